"""Plans as objects of doce 0.1, both ways. The only file that imports doce.

A plan is a `doce.Factor`; several plans are a `doce.Factor` that holds one for each, as doce writes
it. A plan becomes all its combinations, the redundant and the impossible ones too: in doce a
setting reads every factor. Factors and modalities keep the positions that ``-p`` shows, so that a
mask picks in doce what it picks after ``-s PLAN/``.
"""

from nmfab.base.errors import UsageError
from nmfab.plan.factors import holds


def to_doce(grid):
    """Return the plans of a grid as a `doce.Factor` that holds a `doce.Factor` for each.

    Parameters
    ----------
    grid : Grid
        Its plans are expanded by doce anew; the order of factors is that of the grid.

    Returns
    -------
    doce.Factor

    Raises
    ------
    UsageError
        If doce reserves the name of a plan or a factor.
    """
    import doce

    whole, reserved = doce.Factor(), {"id", "merge", *dir(doce.Factor()), *dir(doce.Setting)}
    for plan, factors in grid.plans.items():
        part = doce.Factor()
        for name in grid.factors:
            if name in factors:
                _check(f"factor {name!r} of plan {plan}", name, reserved)
                setattr(part, name, list(factors[name]))
        _check(f"plan {plan!r}", plan, reserved)
        setattr(whole, plan, part)
    return whole


def from_doce(plan, factor):
    """Return the factors of a `doce.Factor` with their modalities.

    Parameters
    ----------
    plan : str
        Name of the plan, for messages.
    factor : doce.Factor
        Its mask, if it has one, restricts the modalities. Modalities that doce calls defaults are
        modalities as any other: they matter to the names of doce's files alone.

    Returns
    -------
    dict of str to list

    Raises
    ------
    UsageError
        If it is no `doce.Factor`, holds several plans, or its mask is no single grid.
    """
    import doce

    if not isinstance(factor, doce.Factor):
        raise UsageError(f"plan {plan}: a mapping or a doce.Factor is needed, not {factor!r}")
    factors = {name: getattr(factor, name) for name in factor.factors()}
    if any(isinstance(modalities, doce.Factor) for modalities in factors.values()):
        raise UsageError(f"plan {plan}: the doce.Factor holds {', '.join(factors)}: add each alone")
    factors = {
        name: modalities if isinstance(modalities, list) else modalities.tolist()
        for name, modalities in factors.items()
    }
    return _masked(plan, factors, factor._mask or [])


def _check(what, name, reserved):
    if name in reserved or name.startswith("_"):
        raise UsageError(f"{what}: doce reserves this name, choose another")


def _masked(plan, factors, mask):
    """Return the modalities that a mask leaves, read as doce reads it."""
    if all(isinstance(positions, list) for positions in mask):
        if len(mask) > 1:
            raise UsageError(
                f"plan {plan}: the mask of its doce.Factor unites {len(mask)} grids: add a plan "
                "for each"
            )
        mask = mask[0] if mask else []
    kept = dict(factors)
    for (name, modalities), chosen in zip(factors.items(), mask, strict=False):
        if chosen == -1:
            continue
        kept[name] = []
        for position in chosen if isinstance(chosen, list) else [chosen]:
            if not 0 <= position < len(modalities):
                raise UsageError(
                    f"plan {plan}: {name} has no modality {position}, which the mask names"
                )
            if not holds(kept[name], modalities[position]):
                kept[name].append(modalities[position])
    return kept
