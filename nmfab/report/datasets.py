"""Datasets as text: the table of all, and the page that says what one of them needs."""

from textwrap import indent, shorten, wrap

from nmfab.base.errors import DataError
from nmfab.datasets import Status
from nmfab.report import text

_WIDTH = 100
_LICENCE = 48  # characters of the licence in the table; the page shows it whole
_MOST_MISSING = 12


def table(datasets):
    """Return what ``nmfab datasets`` shows.

    Parameters
    ----------
    datasets : sequence of Dataset
        All that are registered.

    Returns
    -------
    str
        One line each: name, tasks, state on this machine, size, licence; then the folders searched.
    """
    header = ["name", "tasks", "state", "size", "licence"]
    rows = [
        [
            dataset.name,
            ", ".join(dataset.tasks),
            _status(dataset).state,
            dataset.size or text.ABSENT,
            shorten(dataset.licence or text.ABSENT, _LICENCE, placeholder=" …"),
        ]
        for dataset in datasets
    ]
    roots = ", ".join(str(root) for root in datasets[0].roots) if datasets else ""
    last = f"looked for in {roots} (add folders by --data DIR or $NMFAB_DATA)"
    more = "nmfab datasets NAME shows what to get, from where, and where each file goes"
    return "\n".join([*text.columns(header, rows), "", last, more])


def page(dataset, *, all_missing=False):
    """Return what ``nmfab datasets NAME`` shows.

    Parameters
    ----------
    dataset : Dataset
        The one asked for.
    all_missing : bool
        Name everything that is missing, not the first few.

    Returns
    -------
    str
        State, what is missing, where to get it, the tree of files, the steps, licence and BibTeX.
    """
    status = _status(dataset)
    lines = [f"{dataset.name}: {dataset.release or summary(dataset)}"]
    lines += _field("tasks", ", ".join(dataset.tasks))
    message = status.message.removesuffix(f": {dataset.hint}")  # it is being read
    lines += _field("state", f"{status.state}, {message}")
    lines += _field("size", dataset.size)
    lines += _field("licence", dataset.licence)
    lines += _field("source", dataset.source)
    if dataset.tree:
        lines += ["", "tree", indent(dataset.tree.rstrip(), "  ")]
    if dataset.steps:
        lines += ["", "steps", *_steps(dataset)]
    if status.missing:
        lines += ["", f"missing ({len(status.missing)})", *_missing(status.missing, all_missing)]
    if dataset.bibtex:
        lines += ["", "cite", indent(dataset.bibtex.strip(), "  ")]
    return "\n".join(lines)


def state_line(dataset):
    """Return a dataset's state in one line."""
    status = _status(dataset)
    return f"{status.state}, {status.message}"


def by_hand(dataset):
    """Return why a dataset, or a part of it, cannot be downloaded, and what to do instead."""
    why = dataset.no_download or "there is nothing to download"
    lines = [f"{dataset.name}: {why}", *_steps(dataset)]
    return "\n".join([*lines, *_field("source", dataset.source)])


def _status(dataset):
    """Return a dataset's state; one whose tables cannot be read is broken, with the reason."""
    try:
        return dataset.status()
    except DataError as error:
        return Status("broken", str(error))


def summary(dataset):
    """Return the first line of a dataset's documentation."""
    return (type(dataset).__doc__ or "").strip().partition("\n")[0]


def _field(name, value):
    """Return a field whose value is wrapped under itself."""
    if not value:
        return []
    first, *others = wrap(value, _WIDTH - 10, break_long_words=False, break_on_hyphens=False)
    return [f"{name:<10}{first}", *(" " * 10 + line for line in others)]


def _steps(dataset):
    lines = []
    for number, step in enumerate(dataset.steps, start=1):
        first, *others = wrap(step, _WIDTH - 5, break_long_words=False, break_on_hyphens=False)
        lines += [f"  {number}. {first}", *(" " * 5 + line for line in others)]
    return lines


def _missing(missing, every):
    shown = missing if every else missing[:_MOST_MISSING]
    lines = [f"  {path}" for path in shown]
    if len(shown) < len(missing):
        lines.append(f"  … and {len(missing) - len(shown)} more: --missing lists them all")
    return lines
