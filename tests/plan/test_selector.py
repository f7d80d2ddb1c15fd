import math

import hypothesis
import hypothesis.strategies as st
import pytest

from nmfab.base.errors import UsageError
from nmfab.plan.selector import (
    Alternative,
    format_selector,
    format_terms,
    parse,
    parse_assignment,
    parse_value,
)

WANTED = [Alternative(factors={"beta": [1, 2], "dataset": ["rwcpop"]})]


@pytest.mark.parametrize(
    "text",
    [
        '{"beta":[1,2],"dataset":"rwcpop"}',
        '<"beta":[1,2],"dataset":"rwcpop">',
        "{'beta': [1, 2.0], 'dataset': 'rwcpop'}",
        '\n{ "beta" : [ 1 ,\n 2 ] ,\t"dataset" : "rwcpop" }\n',
        '<\n"beta" : [1, 2, 1.0],\n"dataset" : [ "rwcpop" ]\n>',
        "beta=1+2,dataset=rwcpop",
        " beta = 1 + 2 ,\n dataset = 'rwcpop' ",
        'beta=[1,2],"dataset"=rwcpop',
        "{beta:[1,2],dataset:rwcpop}",
        '[{"beta":[1,2],"dataset":"rwcpop"}]',
        '["beta=1+2,dataset=rwcpop"]',
        {"beta": [1, 2], "dataset": "rwcpop"},
        {"beta": (1.0, 2), "dataset": ["rwcpop"]},
        [{"beta": [1, 2], "dataset": "rwcpop"}],
    ],
)
def test_every_form_of_one_selection_reads_alike(text):
    assert parse(text) == WANTED


@pytest.mark.parametrize("text", [None, "", "  \n", [], {}, "[]", "{}", "<>", "[-1]", "[-1, -1]"])
def test_nothing_said_selects_everything(text):
    assert parse(text) == [Alternative(factors={})]


def test_alternatives():
    two = [Alternative(factors={"beta": [1]}), Alternative(factors={"rank": [10], "beta": [2]})]
    assert parse("beta=1:rank=10,beta=2") == two
    assert parse('[{"beta":1},{"rank":10,"beta":2}]') == two
    assert parse('{"beta":1} : <"rank":10,"beta":2>') == two
    assert parse(["beta=1", {"rank": 10, "beta": 2}]) == two


def test_positions():
    assert parse("[-1,[0,1]]") == [Alternative(positions=[-1, [0, 1]])]
    assert parse([1, 0]) == [Alternative(positions=[[1], [0]])]
    assert parse("[[0,1],[1,2]]") == [
        Alternative(positions=[[0], [1]]),
        Alternative(positions=[[1], [2]]),
    ]
    assert parse("[[0,1],[1,2],-1]") == [Alternative(positions=[[0, 1], [1, 2]])]
    assert parse('[{"beta":1},[0]]') == [
        Alternative(factors={"beta": [1]}),
        Alternative(positions=[[0]]),
    ]


def test_plan_prefix():
    assert parse("piano/beta=1") == [Alternative("piano", {"beta": [1]})]
    assert parse("piano/") == [Alternative("piano", {})]
    assert parse('piano/{"beta":1}:drums/[0]') == [
        Alternative("piano", {"beta": [1]}),
        Alternative("drums", None, [[0]]),
    ]
    assert parse('"my plan" / beta = 1') == [Alternative("my plan", {"beta": [1]})]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("1.50", 1.5),
        ("1e-3", 0.001),
        ("1e+3", 1000),
        ("-2.5E2", -250),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("None", None),
        ("null", None),
        ('"true"', "true"),
        ('"1"', "1"),
        ("01", "01"),
        ("1st", "1st"),
        ("-", "-"),
        ("é", "é"),
        (r'"a\"b\\\né"', 'a"b\\\né'),
        (r'"\ud83c\udfb5"', "\N{MUSICAL NOTE}"),
        (r"'it\'s'", "it's"),
        ("[1, [2, a]]", [1, [2, "a"]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_values(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_one_is_not_true():
    assert parse("x=1+true+1.0") == [Alternative(factors={"x": [1, True]})]
    assert [type(v) for v in parse("x=1+true")[0].factors["x"]] == [int, bool]


def test_a_modality_may_be_a_list_or_hold_any_sign():
    assert parse('{"x":[[1,2]]}') == [Alternative(factors={"x": [[1, 2]]})]
    assert parse('path="a+b,c:d=e/f"') == [Alternative(factors={"path": ["a+b,c:d=e/f"]})]
    assert parse("torch_mu.eps=1e-12") == [Alternative(factors={"torch_mu.eps": [1e-12]})]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('{"beta":[1,2', 13),
        ('{"beta" 1}', 9),
        ('{"beta":1 "rank":2}', 11),
        ("beta", 5),
        ("beta=", 6),
        ("beta=1 2", 8),
        ("beta=1,,rank=2", 8),
        ("=1", 1),
        ("[1,2", 5),
        ("<beta:1}", 8),
        ('x="open', 3),
        ("x='\\u12'", 6),
        ("beta=1}", 7),
    ],
)
def test_an_unreadable_selector_shows_where(text, position):
    with pytest.raises(UsageError) as caught:
        parse(text)
    message = str(caught.value)
    assert f"at character {position}:" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "selector",
    ["a=1,a=2", '{"a":1,"a":2}', "[0.5]", "[true]", "[-2]", '[1,{"a":1}]', 3, {"a": math.nan}],
)
def test_contradictions_are_refused(selector):
    with pytest.raises(UsageError):
        parse(selector)


def test_no_code_is_run():
    with pytest.raises(UsageError):
        parse('__import__("os").getcwd()')


def test_assignments():
    assert parse_assignment("rank=32") == ("rank", [32])
    assert parse_assignment("torch_mu.eps = 1e-9 + 1e-6") == ("torch_mu.eps", [1e-9, 1e-6])
    assert parse_assignment("rank= [16, 32] ") == ("rank", [16, 32])
    assert parse_assignment("a.b=a+1e-9+null+a") == ("a.b", ["a", 1e-9, None])
    for wrong in ("rank", "rank=", "=3", "rank=1,beta=2", "rank=1+"):
        with pytest.raises(UsageError):
            parse_assignment(wrong)


NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8))
MODALITIES = st.lists(st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), min_size=1, max_size=4)
NAMES = st.text(min_size=1, max_size=6)
FACTORS = st.dictionaries(NAMES, MODALITIES, max_size=3)
POSITIONS = st.lists(
    st.one_of(st.just(-1), st.lists(st.integers(0, 5), min_size=1, max_size=3)), min_size=1
)


def no_surrogates(value):
    return "\\ud" not in ascii(value)


@hypothesis.given(FACTORS.filter(no_surrogates), st.none() | NAMES.filter(no_surrogates))
def test_what_is_written_is_read_back(factors, plan):
    alternatives = [Alternative(plan, parse(factors)[0].factors)]
    assert parse(format_selector(alternatives)) == alternatives


@hypothesis.given(POSITIONS)
def test_positions_are_read_back(positions):
    alternatives = parse([*positions, -1])
    assert parse(format_selector(alternatives)) == alternatives


@hypothesis.given(
    st.dictionaries(NAMES.filter(no_surrogates), SCALARS.filter(no_surrogates), min_size=1)
)
def test_the_text_of_a_setting_selects_its_values(values):
    wanted = {name: [value] for name, value in values.items()}
    assert parse(format_terms(values)) == parse(wanted)


@hypothesis.given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        parse(text)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_message_says_what_was_to_be_read():
    for read, text, words in (
        (parse, "a=1,,", "cannot read the selector at character 5"),
        (parse_assignment, "rank=1,2", "cannot read 'rank=1,2' as NAME=VALUE at character 7"),
        (parse_value, "[0,", "cannot read '[0,' at character 4"),
    ):
        with pytest.raises(UsageError) as caught:
            read(text)
        assert str(caught.value).startswith(words)
