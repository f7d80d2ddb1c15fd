"""What a table shows: which metrics, and which factor's modalities stand as columns."""

from dataclasses import dataclass

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.plan.selector import parse_value


@dataclass(frozen=True)
class View:
    """What to show.

    Attributes
    ----------
    metrics : tuple of str
        Names, in the order shown.
    pivot : str or None
        The factor whose modalities are columns; there is one metric then.
    """

    metrics: tuple[str, ...]
    pivot: str | None = None


def choose(what, metrics, factors):
    """Read what to display.

    Parameters
    ----------
    what : str or None
        Nothing: all metrics but the details; ``all``: those too; ``0`` or a name: that one;
        ``[0,2]``: those; ``rank:0``: that one, with the modalities of the factor ``rank`` as
        columns.
    metrics : mapping of str to Metric
        The metrics that exist, in order.
    factors : sequence of str
        The factors that exist.

    Returns
    -------
    View

    Raises
    ------
    UsageError
        If a metric or factor does not exist.
    """
    text = (what or "").strip()
    main = tuple(name for name, metric in metrics.items() if not metric.detail)
    metrics = list(metrics)
    if text in ("", "all"):
        return View(tuple(metrics) if text else main)
    factor, colon, metric = text.partition(":")
    if colon:
        if factor.strip() not in factors:
            raise UsageError(unknown("factor", factor.strip(), factors))
        return View((_metric(parse_value(metric), metrics),), factor.strip())
    chosen = parse_value(text)
    chosen = chosen if isinstance(chosen, list) else [chosen]
    return View(tuple(dict.fromkeys(_metric(item, metrics) for item in chosen)))


def _metric(item, metrics):
    if type(item) is int and 0 <= item < len(metrics):
        return metrics[item]
    if item not in metrics:
        numbered = [f"{position} {name}" for position, name in enumerate(metrics)]
        raise UsageError(unknown("metric", item, numbered))
    return item
