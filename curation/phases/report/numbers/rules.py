"""The rules in words, and what each reason cost as rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from curation.phases.report.numbers.amounts import number
from curation.phases.report.numbers.drops import Cost, Decision
from curation.phases.report.numbers.facts import Facts
from curation.phases.select import Resolved
from curation.recipe_select import Bound


@dataclass(frozen=True)
class Reason:
    """One drop reason."""

    number: int
    """Its place in `Drops`."""
    text: str
    value: str
    """The number that a percentile stood for; empty for plain numbers."""
    first: int
    any: int
    only: int
    seconds: float
    """Of the clips that it is the first of."""


def reasons(facts: Facts) -> list[Reason]:
    """Every reason that occurs, the one that dropped most clips first."""
    drops, values = facts.drops, _percentiles(facts.resolved)
    counted = zip(drops.reasons, drops.by_first, drops.by_any, drops.by_only, drops.seconds)
    return [
        Reason(place, text, values.get(text, ""), int(first), int(every), int(only), float(seconds))
        for place, (text, first, every, only, seconds) in enumerate(counted)
    ]


def costs(facts: Facts) -> list[tuple[str, Cost]]:
    """Everything that decides, in words, and what it cost."""
    return [(named(cost.decision, facts.resolved), cost) for cost in facts.drops.costs]


def named(decision: Decision, resolved: list[Resolved]) -> str:
    """A decision as one line."""
    found = next((one for one in resolved if one.rule == decision.rule), None)
    return decision.name if found is None else told(found)


def told(resolved: Resolved) -> str:
    """A rule as one line, percentiles with their numbers."""
    rule = resolved.rule
    whose = f" (of {rule.kind}s)" if rule.kind else ""
    return f"{rule.field} {_condition(resolved)}{whose}"


def _condition(resolved: Resolved) -> str:
    rule = resolved.rule
    if rule.one_of is not None:
        return f"is one of {', '.join(rule.one_of)}"
    if rule.none_of is not None:
        return f"is none of {', '.join(rule.none_of)}"
    if not rule.on_numbers:
        return f"has {rule.matches}" if rule.matches is not None else f"lacks {rule.lacks}"
    low, high = rule.bounds
    bounds = [
        f"{sign} {_bound(bound, value, resolved, end)}"
        for sign, bound, value, end in (("≥", low, resolved.least, "least"), ("≤", high, resolved.greatest, "greatest"))
        if bound is not None
    ]
    return " and ".join(bounds)


def _percentiles(resolved: list[Resolved]) -> dict[str, str]:
    values = {}
    for one in resolved:
        low, high = one.rule.bounds
        _, under, over = one.reasons
        for reason, bound, value, end in ((under, low, one.least, "least"), (over, high, one.greatest, "greatest")):
            if isinstance(bound, str):
                values[reason] = _value(value, one, end)
    return values


def _value(value: float | None, resolved: Resolved, end: str) -> str:
    """What a percentile stood for; of groups, from the least to the greatest of them."""
    if resolved.groups is None:
        return number(value)
    spread = pc.min_max(resolved.groups[end].drop_null()).as_py()
    return f"{number(spread['min'])} to {number(spread['max'])}"


def _bound(bound: Bound, value: float | None, resolved: Resolved, end: str) -> str:
    if not isinstance(bound, str):
        return number(bound)
    by = f" of {resolved.rule.by}" if resolved.rule.by else ""
    return f"{_value(value, resolved, end)} ({bound}{by})"
