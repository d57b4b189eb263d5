"""What a threshold would keep: one bound of one rule moved through many values, or two at once, all else as it is."""

from __future__ import annotations

import itertools
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
_FEW: dict[End, tuple[Bound, ...]] = {"min": ("p10", "p25", "p50", "p75"), "max": ("p90", "p75", "p50", "p25")}

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


GRID = pa.schema(
    [
        ("first", pa.string()),  # the bounds as they would stand in a manifest; "none" for no bound
        ("second", pa.string()),
        ("clips", pa.int64()),  # kept
        ("share", pa.float64()),  # of all clips
        ("hours", pa.float64()),  # kept
        ("now", pa.bool_()),  # whether the manifest has both
    ]
)


@dataclass(frozen=True)
class Sweep:
    """One bound of one rule, and what each of its values keeps."""

    field: str
    end: End
    rows: pa.Table
    """By the schema SWEEP, from loose to strict at the lower end."""


@dataclass(frozen=True)
class Grid:
    """Two bounds, and what each pair of their values keeps."""

    fields: tuple[str, str]
    ends: tuple[End, End]
    rows: pa.Table
    """By the schema GRID; the second bound moves faster."""


@dataclass(frozen=True)
class Movable:
    """One bound of the first rule that has it, or of a rule that is not there yet."""

    field: str
    end: End
    place: int | None
    """Of the rule among all rules; None for a new one."""
    now: Bound | None

    @classmethod
    def among(cls, rules: Sequence[Rule], field: str, end: End, known: pa.Schema) -> Movable:
        """
        Raises:
            UserError: the column is not there, or holds no numbers.
        """
        if not is_number(checked(field, known, "--what-if").type):
            raise UserError(f"--what-if: {field!r} holds {known.field(field).type}; a threshold needs numbers")
        having = (at for at, rule in enumerate(rules) if rule.field == field and _bound(rule, end) is not None)
        place = next(having, None)
        return cls(field, end, place, None if place is None else _bound(rules[place], end))

    def at(self, rules: Sequence[Rule], bound: Bound | None) -> tuple[list[Rule], Rule | None]:
        """The rules with this bound moved, and the one that has it now; None where nothing is left of it."""
        if self.place is None:
            one = _moved(Rule(field=self.field, min=0.0, max=0.0), self.end, bound, new=True)
            return [*rules, *one], one[0] if one else None
        one = _moved(rules[self.place], self.end, bound, new=False)
        return [*rules[: self.place], *one, *rules[self.place + 1 :]], one[0] if one else None


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
    movable = Movable.among(rules, field, end, clips.schema)
    seconds = clips["duration_s"].to_numpy()
    has_caption = clips["caption_words"].is_valid().to_numpy() if captioned else np.ones(clips.num_rows, np.bool_)
    rows = []
    for bound in dict.fromkeys([*(_USUAL if values is None else values), movable.now]):
        swept, rule = movable.at(rules, bound)
        judged = judge(clips, swept, captioned=captioned, search=search, flags=flags, limit=limit)
        of_groups = rule is not None and rule.by is not None and isinstance(bound, str)
        found = next((one for one in judged.resolved if one.rule is rule), None)
        value = None if found is None or of_groups else (found.least if end == "min" else found.greatest)
        order = float(bound[1:]) if of_groups and isinstance(bound, str) else value
        kept = judged.kept
        row = {
            "bound": _told(bound),
            "value": value,
            "clips": int(kept.sum()),
            "share": float(kept.mean()) if len(kept) else 0.0,
            "hours": float(seconds[kept].sum()) / 3600,
            "uncaptioned": int((judged.captionable & ~has_caption).sum()),
            "now": bound == movable.now,
        }
        rows.append(((bound is not None, order if order is not None else 0.0), row))
    rows.sort(key=lambda pair: pair[0])
    return Sweep(field, end, pa.Table.from_pylist([row for _, row in rows], schema=SWEEP))


def grid(
    clips: pa.Table,
    rules: Sequence[Rule],
    fields: tuple[str, str],
    ends: tuple[End, End],
    values: tuple[Sequence[Bound] | None, Sequence[Bound] | None] = (None, None),
    *,
    captioned: bool,
    search: Search | None = None,
    flags: Flags | None = None,
    limit: Limit | None = None,
) -> Grid:
    """What the rules keep for each pair of values of two bounds: whether two thresholds drop the same clips.

    Args and errors as for `sweep`; by default five percentiles of each column, and no bound.
    """
    movable = [Movable.among(rules, field, end, clips.schema) for field, end in zip(fields, ends)]
    if movable[0].field == movable[1].field and movable[0].end == movable[1].end:
        raise UserError(f"{fields[0]}.{ends[0]} twice; name two thresholds")
    seconds = clips["duration_s"].to_numpy()
    ladders = [
        list(dict.fromkeys([None, one.now, *(_FEW[one.end] if given is None else given)]))
        for one, given in zip(movable, values)
    ]
    # The one that comes later among the rules moves first, so that the other's place stays what it was.
    order = sorted((0, 1), key=lambda at: movable[at].place or 0, reverse=True)
    rows = []
    for pair in itertools.product(*ladders):
        moved = list(rules)
        for at in order:
            moved, _ = movable[at].at(moved, pair[at])
        kept = judge(clips, moved, captioned=captioned, search=search, flags=flags, limit=limit).kept
        rows.append(
            {
                "first": _told(pair[0]),
                "second": _told(pair[1]),
                "clips": int(kept.sum()),
                "share": float(kept.mean()) if len(kept) else 0.0,
                "hours": float(seconds[kept].sum()) / 3600,
                "now": pair == (movable[0].now, movable[1].now),
            }
        )
    return Grid(fields, ends, pa.Table.from_pylist(rows, schema=GRID))


def _told(bound: Bound | None) -> str:
    return "none" if bound is None else bound if isinstance(bound, str) else f"{bound:.12g}"


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
