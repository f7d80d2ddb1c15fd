"""Selectors: the text or object that picks settings, read by a parser of its own.

Every form that doce documents, and the angle-bracket one::

    {"beta": [1, 2], "dataset": "rwcpop"}      a list means any of its modalities
    <"beta":[1,2],"dataset":"rwcpop">          the same
    beta=1+2,dataset=rwcpop:beta=0             ``+`` between modalities, ``:`` between alternatives
    [-1, [0, 1]]                               by position, -1 being all modalities of a factor
    [{"beta": 1}, {"rank": 10}]                any of them; a list of lists likewise
    piano/beta=1                               in the plan ``piano`` only

Spaces and newlines may stand anywhere between tokens. Text that holds ``+ , : = /`` is quoted.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nmfab.base.errors import UsageError
from nmfab.base.values import canonical, same

_NUMBER = re.compile(
    r"-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![^\s+,:=/<>{}\[\]'\"])"
)
_WORD = re.compile(r"[^\s+,:=/<>{}\[\]'\"]+")
_CONSTANTS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_PAIRS_END = {"{": "}", "<": ">"}


@dataclass(frozen=True)
class Alternative:
    """One of the selections that a selector unites.

    Attributes
    ----------
    plan : str or None
        The plan that settings must belong to.
    factors : dict or None
        Factor and the list of its modalities to select, in canonical form.
    positions : list or None
        In place of `factors`: per factor, in order, -1 (any) or a list of modality positions.
    """

    plan: str | None = None
    factors: Mapping | None = None
    positions: list | None = None


def parse(selector):
    """Read a selector.

    Parameters
    ----------
    selector : None, str, mapping or list
        See the forms above; None, empty text and an empty list select everything.

    Returns
    -------
    list of Alternative

    Raises
    ------
    UsageError
        If it cannot be read; the message shows where.
    """
    if isinstance(selector, str):
        return _Reader(selector).selector() if selector.strip() else [Alternative(factors={})]
    return _alternatives(selector)


def parse_assignment(text):
    """Read ``name=value`` or ``name=value+value``.

    Returns
    -------
    name : str
    modalities : list
        In canonical form, each once; a list in brackets stands for its elements.

    Raises
    ------
    UsageError
        If the text is not of that form.
    """
    reader = _Reader(text, f"{text!r} as NAME=VALUE")
    name = reader.word("a name")
    reader.expect("=")
    modalities = reader.modalities()
    reader.end()
    return name, modalities


def parse_value(text):
    """Read one value: a number, text (quoted or not), true, false, null, or a list of values."""
    reader = _Reader(text, f"{text!r}")
    value = reader.value()
    reader.end()
    return value


def format_selector(alternatives):
    """Return the text that `parse` reads back as the same alternatives."""
    return ":".join(_format_alternative(item) for item in alternatives)


def format_terms(values):
    """Return ``factor=modality,factor=modality``, a selector that picks these values."""
    return ",".join(f"{format_value(name)}={format_value(value)}" for name, value in values.items())


def format_value(value):
    """Return a canonical value as a selector writes it: text is quoted only where it must be."""
    bare = isinstance(value, str) and _WORD.fullmatch(value) and value not in _CONSTANTS
    if bare and not _NUMBER.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _format_alternative(item):
    prefix = "" if item.plan is None else f"{format_value(item.plan)}/"
    if item.positions is not None:
        # A list of lists would mean alternatives; a last -1 says that these are positions.
        return prefix + json.dumps([*item.positions, -1])
    return prefix + json.dumps(item.factors, ensure_ascii=False)


def _alternatives(item):
    """Turn an object (or what was read from brackets) into alternatives."""
    if item is None:
        return [Alternative(factors={})]
    if isinstance(item, str):
        return parse(item)
    if isinstance(item, Mapping):
        return [Alternative(factors={str(n): _as_list(v) for n, v in item.items()})]
    if not isinstance(item, (list, tuple)):
        raise UsageError(f"{item!r} cannot be a selector: use text, a mapping or a list")
    if item and all(isinstance(part, (Mapping, str, list, tuple)) for part in item):
        return [found for part in item for found in _any_of(part)]
    return [_by_position(item)]


def _any_of(part):
    return [_by_position(part)] if isinstance(part, (list, tuple)) else _alternatives(part)


def _by_position(item):
    if not item:
        return Alternative(factors={})
    wanted = [part if isinstance(part, (list, tuple)) else [part] for part in item]
    for part in wanted:
        for position in part:
            if type(canonical(position)) is not int or position < -1:
                raise UsageError(
                    f"selector {item!r}: a list holds positions (0, 1, ..., or -1 for all), "
                    f"selectors, or lists of positions, and {position!r} is none of them"
                )
    positions = [-1 if -1 in part else [int(p) for p in part] for part in wanted]
    while positions and positions[-1] == -1:  # trailing factors are free anyway
        positions.pop()
    return Alternative(positions=positions) if positions else Alternative(factors={})


def _as_list(value):
    """Return the canonical modalities of a factor, each once."""
    modalities = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        item = canonical(item)
        if not any(same(item, known) for known in modalities):
            modalities.append(item)
    return modalities


class _Reader:
    """A recursive-descent reader over one text."""

    def __init__(self, text, noun="the selector"):
        self.text = text
        self.noun = noun  # for messages
        self.at = 0

    def fail(self, wanted):
        """Raise UsageError that shows where `wanted` was expected."""
        before, after = self.text[: self.at], self.text[self.at :]
        shown = f"{' '.join(before.split())[-40:]} >>> {' '.join(after.split())[:40]}"
        found = repr(after[0]) if after else "the end"
        raise UsageError(
            f"cannot read {self.noun} at character {self.at + 1}: expected {wanted}, found "
            f"{found}, here: {shown.strip()}"
        )

    def peek(self):
        """Skip space and return the next character, empty at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, character):
        """Consume `character` if it is the next, and tell whether it was."""
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def expect(self, character):
        """Consume `character`, or fail."""
        if not self.take(character):
            self.fail(repr(character))

    def end(self):
        """Fail unless nothing is left."""
        if self.peek():
            self.fail("the end")

    def selector(self):
        """Read alternatives separated by ``:``."""
        found = self.alternative()
        while self.take(":"):
            found += self.alternative()
        if self.peek():
            self.fail("',', '+', ':' or the end")
        return found

    def alternative(self):
        """Read one alternative, with the plan before it if there is one."""
        if self.peek() in ("{", "<", "["):
            return _alternatives(self.value())
        word = self.word("a factor, a plan, '{', '<' or '['")
        if not self.take("/"):
            return [Alternative(factors=self.terms(word))]
        following = self.peek()
        if following in ("", ":"):
            found = [Alternative(factors={})]
        elif following in ("{", "<", "["):
            found = _alternatives(self.value())
        else:
            found = [Alternative(factors=self.terms(self.word("a factor")))]
        return [Alternative(word, item.factors, item.positions) for item in found]

    def terms(self, name):
        """Read ``=value+value,name=value`` after a first name."""
        factors = {}
        while True:
            if self.peek() != "=":
                self.fail(f"'=' after {name!r} (or '/' after the name of a plan)")
            self.at += 1
            if name in factors:
                raise UsageError(f"the selector names {name!r} twice: use {name}=a+b")
            factors[name] = self.modalities()
            if not self.take(","):
                return factors
            name = self.word("a factor")

    def modalities(self):
        """Read ``value+value``; a list in brackets stands for its elements."""
        found = []
        while True:
            value = self.value()
            found += value if isinstance(value, list) else [value]
            if not self.take("+"):
                return _as_list(found)

    def value(self):
        """Read a mapping, a list, quoted text, a number, a constant or a bare word."""
        character = self.peek()
        if character in _PAIRS_END:
            return self.pairs(_PAIRS_END[character])
        if character == "[":
            return self.items()
        if character and character in "'\"":
            return self.quoted()
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            return _number(number.group())
        word = self.word("a value")
        return _CONSTANTS.get(word, word)

    def pairs(self, closing):
        """Read ``name: value, ...`` between braces or angle brackets."""
        self.at += 1
        found = {}
        while not self.take(closing):
            name = self.word("a factor")
            if name in found:
                raise UsageError(f"the selector names {name!r} twice: give it a list")
            self.expect(":")
            found[name] = self.value()
            if not self.take(",") and self.peek() != closing:
                self.fail(f"',' or {closing!r}")
        return found

    def items(self):
        """Read ``[value, ...]``."""
        self.at += 1
        found = []
        while not self.take("]"):
            found.append(self.value())
            if not self.take(",") and self.peek() != "]":
                self.fail("',' or ']'")
        return found

    def word(self, wanted):
        """Read quoted text or a bare word, as text whatever it looks like."""
        if self.peek() and self.peek() in "'\"":
            return self.quoted()
        word = _WORD.match(self.text, self.at)
        if not word:
            self.fail(wanted)
        self.at = word.end()
        return word.group()

    def quoted(self):
        """Read text between quotes, with the escapes of JSON."""
        start, quote = self.at, self.text[self.at]
        self.at += 1
        found = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == quote:
                return _join_surrogates("".join(found))
            found.append(self.escape() if character == "\\" else character)
        self.at = start
        return self.fail("a closing quote for the one that opens")

    def escape(self):
        """Read what follows a backslash."""
        character = self.text[self.at : self.at + 1]
        self.at += 1
        if character != "u":
            return _ESCAPES.get(character, character)
        code = self.text[self.at : self.at + 4]
        if not re.fullmatch("[0-9a-fA-F]{4}", code):
            self.fail("four hexadecimal digits after \\u")
        self.at += 4
        return chr(int(code, 16))


def _join_surrogates(text):
    # JSON writes a character beyond U+FFFF as two escapes.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(text):
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return canonical(float(text))
