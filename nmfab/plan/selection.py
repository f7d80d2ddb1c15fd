"""Which settings of a grid a selector picks, and what is said where it picks none."""

from nmfab.base.errors import UsageError
from nmfab.base.registry import unknown
from nmfab.plan.factors import holds
from nmfab.plan.selector import format_selector, format_value, parse

MARKED = ("baseline", "oracle")
KEPT, NAMED = 1, 2


def selected(grid, selector):
    """Return the settings that a selector picks; see `nmfab.plan.grid.Grid.select`."""
    if not grid.settings:
        reasons = dict.fromkeys(item.reason for item in grid.left_out)
        raise UsageError(f"no setting of the plans can be computed: {'; '.join(reasons)}")
    if not selector:
        return list(grid.settings)
    alternatives = [_resolve(grid, item) for item in parse(selector)]
    matches = [max(_match(grid, s, *a) for a in alternatives) for s in grid.settings]
    if NAMED not in matches:  # baselines alone, kept beside nothing, are no selection
        raise UsageError(_nothing(grid, selector, alternatives))
    return [s for s, match in zip(grid.settings, matches, strict=True) if match]


def _resolve(grid, item):
    """Return (plan, factor → wanted modalities) of an alternative, checked."""
    factors = grid.factors
    if item.plan is not None:
        if item.plan not in grid.plans:
            raise UsageError(unknown("plan", item.plan, grid.plans))
        own = grid.plans[item.plan]
        factors = {name: own[name] for name in grid.factors if name in own}
    if item.positions is not None:
        return item.plan, _at_positions(item.positions, factors)
    for name, wanted in item.factors.items():
        if name not in grid.factors:
            raise UsageError(_unknown_factor(grid, name))
        for value in wanted:
            if not holds(grid.factors[name], value):
                shown = [format_value(m) for m in grid.factors[name]]
                raise UsageError(unknown(f"modality of {name}", value, shown))
    return item.plan, item.factors


def _unknown_factor(grid, name):
    known = {**{n: p.default for n, p in grid.task.params.items()}, **grid.fixed}
    if name in known:
        return (
            f"{name!r} is no factor of this plan but a parameter, fixed at "
            f"{format_value(known[name])}: set it with --set {name}=VALUE"
        )
    return unknown("factor", name, grid.factors)


def _match(grid, setting, plan, factors):
    """Return 0 (not selected), `KEPT` (a baseline without the factor) or `NAMED`."""
    if plan is not None and plan not in setting.plans:
        return 0
    named = kept = False
    for name, wanted in factors.items():
        if name in setting.values:
            offered = [setting.values[name]]
        else:
            plans = setting.plans if plan is None else (plan,)
            offered = [m for p in plans for m in grid.plans[p].get(name, ())]
        if any(holds(wanted, modality) for modality in offered):
            named = named or name != "dataset"
        elif name in setting.values or setting.kind not in MARKED:
            return 0
        else:
            kept = True
    return KEPT if kept and not named else NAMED


def _nothing(grid, selector, alternatives):
    reasons = {
        item.reason: None
        for item in grid.left_out
        for plan, factors in alternatives
        if (plan is None or plan == item.plan)
        and all(holds(w, item.values[n]) for n, w in factors.items() if n in item.values)
    }
    why = f" ({'; '.join(reasons)})" if reasons else ""
    text = selector if isinstance(selector, str) else format_selector(parse(selector))
    text = " ".join(text.split())
    return f"the selector {text} selects none of the {len(grid.settings)} settings{why}"


def _at_positions(positions, factors):
    """Return factor → modalities for the positions of a list selector."""
    if len(positions) > len(factors):
        raise UsageError(
            f"the selector has {len(positions)} positions, and there are {len(factors)} factors: "
            f"{', '.join(factors)}"
        )
    wanted = {}
    for (name, modalities), chosen in zip(factors.items(), positions, strict=False):
        if chosen == -1:
            continue
        for position in chosen:
            if position >= len(modalities):
                raise UsageError(
                    f"factor {name} has no modality {position}: 0 is "
                    f"{format_value(modalities[0])}, {len(modalities) - 1} is "
                    f"{format_value(modalities[-1])}"
                )
        wanted[name] = [modalities[position] for position in chosen]
    return wanted
