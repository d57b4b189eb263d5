"""What each rule says of one clip: the threshold as a number, the clip's value, passed or failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.phases.select.rules import OF_CAPTION, Resolved, apply, columns
from curation.plan import Plan
from curation.recipe_select import Bound, Rule
from curation.tables import Row


def judged(plan: Plan, clip: Row) -> list[Row]:
    """For every rule in its order: `rule`, `value`, `least`, `greatest`, `passed` and, where it failed, `reason`.

    `passed` is null where the rule was not asked: it is for the other kind, or on a caption that was never made.
    Columns of all clips are read for percentiles alone.

    Args:
        clip: everything that is known of it.
    """
    rules = plan.recipe.select.every_rule
    relative = [rule for rule in rules if _is_relative(rule)]
    names = ["clip_id", *columns(relative), *(["caption_words"] if any(map(_of_caption, relative)) else [])]
    everything = plan.clips(names) if relative else None
    known = plan.clip_schema()
    return [_judged(rule, clip, everything if _is_relative(rule) else None, known) for rule in rules]


def _judged(rule: Rule, clip: Row, everything: pa.Table | None, known: pa.Schema) -> Row:
    value = clip.get(rule.field)
    if everything is None:
        names = ["clip_id", *columns([rule])]
        one = {"clip_id": clip["clip_id"]} | {name: clip.get(name) for name in names}
        everything = pa.Table.from_pylist([one], schema=pa.schema([known.field(name) for name in dict.fromkeys(names)]))
    ids = everything["clip_id"].to_pylist()
    at = ids.index(clip["clip_id"])
    asked = np.ones(len(ids), np.bool_)
    if _of_caption(rule):
        asked = (
            everything["caption_words"].is_valid().to_numpy() if "caption_words" in everything.column_names else asked
        )
        if clip.get("caption_words") is None:
            return {"rule": _told(rule, None, None), "value": None, "least": None, "greatest": None, "passed": None}
    resolved, verdict = apply(everything, rule, asked)
    least, greatest = _ends(resolved, clip.get(rule.by) if rule.by else None)
    other_kind = rule.kind is not None and (clip["kind"] == "image") != (rule.kind == "image")
    code = int(verdict.codes[at])
    said: Row = {"rule": _told(rule, least, greatest), "value": value, "least": least, "greatest": greatest}
    said["passed"] = None if other_kind else code == verdict.PASSES
    return said if code == verdict.PASSES else said | {"reason": verdict.reasons[code]}


def _is_relative(rule: Rule) -> bool:
    return any(isinstance(bound, str) for bound in rule.bounds)


def _of_caption(rule: Rule) -> bool:
    return rule.field in OF_CAPTION


def _ends(resolved: Resolved, group: Any) -> tuple[float | None, float | None]:
    if resolved.groups is None:
        return resolved.least, resolved.greatest
    own = next(row for row in resolved.groups.to_pylist() if row["group"] == group)
    low, high = resolved.rule.bounds
    return (None if low is None else own["least"], None if high is None else own["greatest"])


def _told(rule: Rule, least: float | None, greatest: float | None) -> str:
    whose = f" (of {rule.kind}s)" if rule.kind else ""
    if rule.one_of is not None:
        return f"{rule.field} is one of {', '.join(rule.one_of)}{whose}"
    if rule.none_of is not None:
        return f"{rule.field} is none of {', '.join(rule.none_of)}{whose}"
    if not rule.on_numbers:
        return f"{rule.field} {'has' if rule.matches else 'lacks'} {rule.matches or rule.lacks}{whose}"
    low, high = rule.bounds
    bounds = [
        f"{sign} {_bound(bound, number, rule.by)}"
        for sign, bound, number in (("≥", low, least), ("≤", high, greatest))
        if bound is not None
    ]
    return f"{rule.field} {' and '.join(bounds)}{whose}"


def _bound(bound: Bound, number: float | None, by: str | None) -> str:
    if not isinstance(bound, str):
        return f"{bound:.6g}"
    which = f"{bound} of its {by}" if by else bound
    return which if number is None else f"{number:.6g} ({which})"
