"""Clips to decisions: the recipe's rules on columns, with every reason. Never decodes anything."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.errors import UserError
from curation.recipe import Bound, Rule

# Columns that exist only once a clip is captioned; rules on them see only clips that pass the others.
OF_CAPTION = ("caption", "caption_words", "captioner")


@dataclass(frozen=True)
class Resolved:
    """A rule with its percentiles turned into numbers."""

    rule: Rule
    least: float | None
    greatest: float | None

    @property
    def reasons(self) -> tuple[str, str, str]:
        """Drop reasons for: no value, too little, too much."""
        field, rule = self.rule.field, self.rule
        low, high = rule.between or (rule.min, rule.max)
        return f"no {field}", f"{field} < {_shown(low)}", f"{field} > {_shown(high)}"


def columns(rules: list[Rule], known: pa.Schema) -> list[str]:
    """The columns that the rules look at.

    Raises:
        UserError: a rule names no column of the clips, or bounds one that holds no numbers.
    """
    for number, rule in enumerate(rules):
        where = f"select.rules.{number}.field"
        if rule.field not in known.names:
            near = difflib.get_close_matches(rule.field, known.names, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(known.names)}"
            raise UserError(f"{where}: no column {rule.field!r}; {advice}")
        type_ = known.field(rule.field).type
        numeric = pa.types.is_integer(type_) or pa.types.is_floating(type_)
        if rule.one_of is None and not numeric:
            raise UserError(f"{where}: {rule.field!r} holds {type_}, which has no min or max; use one_of")
        if rule.one_of is not None and not pa.types.is_string(type_):
            raise UserError(f"{where}: {rule.field!r} holds numbers; use min, max or between")
    return list(dict.fromkeys(rule.field for rule in rules))


def decide(clips: pa.Table, rules: list[Rule], *, captioned: bool) -> tuple[pa.Table, list[Resolved]]:
    """The selection of a table of clips: `clip_id`, `kept`, `drop_reasons`; and the numbers used.

    Args:
        clips: `clip_id` and every column that the rules name, one row a clip.
        captioned: whether captions are there; without them rules on captions are left out.

    A percentile is taken over all clips that have a value in that column, for captions over the
    clips that were captioned.
    """
    reasons: list[list[str]] = [[] for _ in range(clips.num_rows)]
    resolved = []
    before = [rule for rule in rules if rule.field not in OF_CAPTION]
    after = [rule for rule in rules if rule.field in OF_CAPTION] if captioned else []
    for rule in before:
        resolved.append(_apply(clips, rule, reasons, range(clips.num_rows)))
    passed = [number for number, why in enumerate(reasons) if not why]
    for rule in after:
        resolved.append(_apply(clips, rule, reasons, passed))
    selection = pa.table(
        [
            clips["clip_id"],
            pa.array([not why for why in reasons], pa.bool_()),
            pa.array(reasons, pa.list_(pa.string())),
        ],
        schema=tables.SELECTION,
    )
    return selection, resolved


def _apply(clips: pa.Table, rule: Rule, reasons: list[list[str]], rows: range | list[int]) -> Resolved:
    values = clips[rule.field].take(pa.array(rows, pa.int64()))
    if rule.one_of is not None:
        allowed = set(rule.one_of)
        for row, value in zip(rows, values.to_pylist()):
            if value not in allowed:
                reasons[row].append(f"{rule.field} is {value}" if value is not None else f"no {rule.field}")
        return Resolved(rule, None, None)
    low, high = rule.between or (rule.min, rule.max)
    resolved = Resolved(rule, _number(low, values), _number(high, values))
    missing, under, over = resolved.reasons
    for row, value in zip(rows, values.to_pylist()):
        if value is None or value != value:
            reasons[row].append(missing)
        elif resolved.least is not None and value < resolved.least:
            reasons[row].append(under)
        elif resolved.greatest is not None and value > resolved.greatest:
            reasons[row].append(over)
    return resolved


def _number(bound: Bound | None, values: pa.ChunkedArray) -> float | None:
    """A bound as a number; a percentile by linear interpolation between the two nearest values."""
    if bound is None or not isinstance(bound, str):
        return bound
    return pc.quantile(values, q=float(bound[1:]) / 100, skip_nulls=True)[0].as_py()


def _shown(bound: Bound | None) -> str:
    return bound if isinstance(bound, str) else f"{bound:g}" if bound is not None else ""
