"""What the rules did: how many clips each of them dropped first, at all, and alone."""

from __future__ import annotations

from dataclasses import dataclass

from curation.phases.report.amounts import number
from curation.phases.report.facts import Facts
from curation.phases.select import Resolved
from curation.recipe import Bound


@dataclass(frozen=True)
class Reason:
    """One drop reason."""

    text: str
    value: str
    """The number that a percentile stood for; empty for plain numbers."""
    first: int
    any: int
    only: int
    anchor: str | None
    """Its contact sheet; None where it is the first reason of no clip."""


def reasons(facts: Facts) -> list[Reason]:
    """Every reason that occurs, the one that dropped most clips first."""
    drops = facts.drops
    values = _percentiles(facts.resolved)
    counted = zip(drops.reasons, drops.by_first, drops.by_any, drops.by_only)
    return [
        Reason(text, values.get(text, ""), int(first), int(every), int(only), f"dropped-{place}" if first else None)
        for place, (text, first, every, only) in enumerate(counted)
    ]


def idle(facts: Facts) -> list[str]:
    """The rules that dropped nothing, as sentences."""
    return [told(resolved) for resolved in facts.resolved if not _dropped(resolved, facts.drops.reasons)]


def told(resolved: Resolved) -> str:
    """A rule as one line, percentiles with their numbers."""
    rule = resolved.rule
    if rule.one_of is not None:
        return f"{rule.field} is one of {', '.join(rule.one_of)}"
    low, high = rule.between or (rule.min, rule.max)
    bounds = [
        f"{sign} {_bound(bound, value)}"
        for sign, bound, value in (("≥", low, resolved.least), ("≤", high, resolved.greatest))
        if bound is not None
    ]
    return f"{rule.field} {' and '.join(bounds)}"


def _dropped(resolved: Resolved, found: list[str]) -> bool:
    field = resolved.rule.field
    if resolved.rule.one_of is not None:
        return any(reason == f"no {field}" or reason.startswith(f"{field} is ") for reason in found)
    return any(reason in found for reason in resolved.reasons)


def _percentiles(resolved: list[Resolved]) -> dict[str, str]:
    values = {}
    for one in resolved:
        low, high = one.rule.between or (one.rule.min, one.rule.max)
        _, under, over = one.reasons
        for reason, bound, value in ((under, low, one.least), (over, high, one.greatest)):
            if isinstance(bound, str):
                values[reason] = number(value)
    return values


def _bound(bound: Bound, value: float | None) -> str:
    return f"{number(value)} ({bound})" if isinstance(bound, str) else number(value)
