"""What a threshold would keep: one bound of one rule moved through many values, all else as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from curation.errors import UserError
from curation.phases.select.decide import Flags, Limit, Search, judge
from curation.phases.select.rules import checked, is_number
from curation.recipe_select import Bound, Rule

End = Literal["min", "max"]
_USUAL: tuple[Bound, ...] = tuple(f"p{share}" for share in (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100))

SWEEP = pa.schema(
    [
        ("bound", pa.string()),  # as it would stand in a manifest; "none" for no bound
        ("value", pa.float64()),  # the number that it stands for; null by groups
        ("clips", pa.int64()),  # kept
        ("share", pa.float64()),  # of all clips
        ("hours", pa.float64()),  # kept
        ("uncaptioned", pa.int64()),  # would have to be captioned before the rules on captions can keep them
        ("now", pa.bool_()),  # whether the manifest has this bound
    ]
)


@dataclass(frozen=True)
class Sweep:
    """One bound of one rule, and what each of its values keeps."""

    field: str
    end: End
    rows: pa.Table


def ends(rules: Sequence[Rule], field: str) -> list[End]:
    """The bounds that the rules have on a column; the least value if they have none."""
    bounds = [rule.bounds for rule in rules if rule.field == field]
    low, high = any(low is not None for low, _ in bounds), any(high is not None for _, high in bounds)
    return [*(["min"] if low or not high else []), *(["max"] if high else [])]  # type: ignore[list-item]


def sweep(
    clips: pa.Table,
    rules: Sequence[Rule],
    field: str,
    end: End,
    values: Sequence[Bound] | None = None,
    *,
    captioned: bool,
    search: Search | None = None,
    flags: Flags | None = None,
    limit: Limit | None = None,
) -> Sweep:
    """What the rules keep for each value of one bound of the first rule that has it, or of a new rule.

    Args:
        clips: `clip_id`, `duration_s`, the field and all columns that the rules name.
        values: numbers or percentiles; by default percentiles from p0 to p100.
        captioned, search, flags, limit: as for `decide`.

    Raises:
        UserError: the column is not there, or holds no numbers.
    """
    if not is_number(checked(field, clips.schema, "--what-if").type):
        raise UserError(f"--what-if: {field!r} holds {clips.schema.field(field).type}; a threshold needs numbers")
    place = next((at for at, rule in enumerate(rules) if rule.field == field and _bound(rule, end) is not None), None)
    now = None if place is None else _bound(rules[place], end)
    rule = Rule(field=field, min=0.0, max=0.0) if place is None else rules[place]
    seconds = clips["duration_s"].to_numpy()
    has_caption = clips["caption_words"].is_valid().to_numpy() if captioned else np.ones(clips.num_rows, np.bool_)
    rows = []
    for bound in dict.fromkeys([*(_USUAL if values is None else values), now]):
        moved = _moved(rule, end, bound, new=place is None)
        swept = [*rules, *moved] if place is None else [*rules[:place], *moved, *rules[place + 1 :]]
        judged = judge(clips, swept, captioned=captioned, search=search, flags=flags, limit=limit)
        of_groups = bool(moved) and moved[0].by is not None and isinstance(bound, str)
        found = next((one for one in judged.resolved if moved and one.rule is moved[0]), None)
        value = None if found is None or of_groups else (found.least if end == "min" else found.greatest)
        order = float(bound[1:]) if of_groups and isinstance(bound, str) else value
        kept = judged.kept
        row = {
            "bound": "none" if bound is None else bound if isinstance(bound, str) else f"{bound:.12g}",
            "value": value,
            "clips": int(kept.sum()),
            "share": float(kept.mean()) if len(kept) else 0.0,
            "hours": float(seconds[kept].sum()) / 3600,
            "uncaptioned": int((judged.captionable & ~has_caption).sum()),
            "now": bound == now,
        }
        rows.append(((bound is not None, order if order is not None else 0.0), row))
    rows.sort(key=lambda pair: pair[0])
    return Sweep(field, end, pa.Table.from_pylist([row for _, row in rows], schema=SWEEP))


def _bound(rule: Rule, end: End) -> Bound | None:
    return rule.bounds[0] if end == "min" else rule.bounds[1]


def _moved(rule: Rule, end: End, bound: Bound | None, *, new: bool) -> list[Rule]:
    """The rule with this bound at that end; none where nothing is left of it."""
    low, high = (None, None) if new else rule.bounds
    low, high = (bound, high) if end == "min" else (low, bound)
    if low is None and high is None:
        return []
    by = rule.by if isinstance(low, str) or isinstance(high, str) else None
    return [Rule(field=rule.field, min=low, max=high, by=by, kind=rule.kind, missing=rule.missing)]
