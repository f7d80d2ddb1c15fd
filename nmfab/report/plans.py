"""The plan and its settings as text."""

from nmfab.plan.selector import format_value
from nmfab.report import text


def plan_text(grid, settings=None):
    """Return what ``-p`` shows of a grid: factors, settings, what is left out and why.

    Parameters
    ----------
    grid : Grid
        The united plans.
    settings : list of Setting, optional
        The selection; all where None.

    Returns
    -------
    str
        Factors and modalities stand with the positions that a list selector takes.
    """
    blocks = ["\n".join([*_factors(grid, name), ""]) for name in grid.plans]
    lines = [f"fixed: {text.pairs(grid.fixed)}"] if grid.fixed else []
    lines.append(_total(grid, grid.settings if settings is None else settings))
    return "\n".join(blocks + lines + _left_out(grid))


def list_text(settings):
    """Return what ``-l`` shows: a line per setting, its factors written as a selector.

    Parameters
    ----------
    settings : list of Setting
        The selection; baselines and oracles are named.
    """
    return "\n".join(f"{s.text}  ({s.kind})" if s.kind else s.text for s in settings)


def _factors(grid, name):
    """Return the table of one plan."""
    factors = {f: grid.plans[name][f] for f in grid.factors if f in grid.plans[name]}
    number = sum(name in setting.plans for setting in grid.settings)
    rows = [
        [str(i), factor, "  ".join(f"{j}:{format_value(m)}" for j, m in enumerate(modalities))]
        for i, (factor, modalities) in enumerate(factors.items())
    ]
    title = f"plan {name} · {text.count(number, 'setting')}"
    return [title, "", *text.columns(["", "factor", "modalities"], rows, right={0})]


def _total(grid, chosen):
    kinds = [setting.kind for setting in chosen if setting.kind]
    marked = [text.count(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)]
    among = f", {' and '.join(marked)} among them" if marked else ""
    part = f"{len(chosen)} of " if len(chosen) != len(grid.settings) else ""
    return f"selected: {part}{text.count(len(grid.settings), 'setting')}{among}"


def _left_out(grid):
    """Group by reason what cannot be computed."""
    reasons = {}
    for item in grid.left_out:
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
    if not reasons:
        return []
    lines = [f"left out: {text.count(len(grid.left_out), 'setting')} that cannot be computed"]
    return lines + [f"  {number:>4} × {reason}" for reason, number in reasons.items()]
