"""Rules on columns: which clips fail each of them, and for which reason. Whole columns at a time."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import UserError
from curation.phases.select.percentiles import Bools, Floats, Ints, percentile, percentiles
from curation.phases.select.reasons import Verdict
from curation.recipe_select import Bound, Rule
from curation.tables import CAPTIONS

# Columns that exist only once a clip is captioned; rules on them see only clips that pass the others.
OF_CAPTION = tuple(name for name in CAPTIONS.names if name != "clip_id")

_MISSING, _UNDER, _OVER = range(3)


@dataclass(frozen=True)
class Resolved:
    """A rule with its percentiles turned into numbers."""

    rule: Rule
    least: float | None
    greatest: float | None
    groups: pa.Table | None = None
    """Of a rule with `by`: one row a group in the order of their names, with `group`, `least`, `greatest`."""

    @property
    def reasons(self) -> tuple[str, str, str]:
        """Drop reasons for: no value, too little, too much."""
        field, rule = self.rule.field, self.rule
        low, high = rule.bounds
        return f"no {field}", f"{field} < {_shown(low, rule.by)}", f"{field} > {_shown(high, rule.by)}"


def columns(rules: Sequence[Rule]) -> list[str]:
    """The columns that the rules look at."""
    needed = [name for rule in rules for name in (rule.field, rule.by, "kind" if rule.kind else None)]
    return list(dict.fromkeys(name for name in needed if name is not None))


def check(rules: Sequence[Rule], known: pa.Schema) -> None:
    """
    Raises:
        UserError: a rule names no column of the clips, or asks of one what its values cannot answer.
    """
    for number, rule in enumerate(rules):
        where = f"select.rules.{number}"
        type_ = checked(rule.field, known, f"{where}.field").type
        text = pa.types.is_string(type_)
        if not text and not is_number(type_):
            raise UserError(f"{where}.field: {rule.field!r} holds {type_}; rules are on columns of numbers or text")
        if text and rule.on_numbers:
            raise UserError(f"{where}.field: {rule.field!r} holds text, which has no min or max; use one_of or none_of")
        if not text and not rule.on_numbers:
            raise UserError(f"{where}.field: {rule.field!r} holds numbers; use min, max or between")
        for key in ("matches", "lacks"):
            _check_pattern(getattr(rule, key), f"{where}.{key}")
        if rule.by is not None:
            check_groups(rule.by, known, f"{where}.by")
            if rule.by in OF_CAPTION and rule.field not in OF_CAPTION:
                raise UserError(
                    f"{where}.by: {rule.by!r} is not known yet when {rule.field!r} is judged, before captioning; "
                    "take groups by another column"
                )


def check_groups(name: str, known: pa.Schema, where: str) -> None:
    """
    Raises:
        UserError: the column is not there, or holds no text.
    """
    if not pa.types.is_string(checked(name, known, where).type):
        raise UserError(f"{where}: {name!r} holds no text; groups are named by text, such as category")


def checked(name: str, known: pa.Schema, where: str) -> pa.Field:
    """The column of that name.

    Raises:
        UserError: there is none; names the nearest.
    """
    if name not in known.names:
        near = difflib.get_close_matches(name, known.names, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(known.names)}"
        raise UserError(f"{where}: no column {name!r}; {advice}")
    return known.field(name)


def is_number(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _check_pattern(pattern: str | None, where: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern or "")
    except pa.ArrowInvalid as error:
        raise UserError(f"{where}: not a regular expression of RE2: {str(error).splitlines()[0]}") from None


def apply(clips: pa.Table, rule: Rule, rows: Bools) -> tuple[Resolved, Verdict]:
    """What a rule says of those clips that `rows` marks and whose kind it is for; of the others nothing."""
    if rule.kind is not None:
        rows = rows & (is_image(clips) == (rule.kind == "image"))
    if rule.on_numbers:
        return _bounded(clips, rule, rows)
    return Resolved(rule, None, None), _named(clips[rule.field], rule, rows)


def is_image(clips: pa.Table) -> Bools:
    return pc.equal(clips["kind"], "image").to_numpy()


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, NaN where there is none."""
    return column.to_numpy()


def _bounded(clips: pa.Table, rule: Rule, rows: Bools) -> tuple[Resolved, Verdict]:
    values = numbers(clips[rule.field])
    least: np.ndarray | float | None
    greatest: np.ndarray | float | None
    if rule.by is None:
        least, greatest = (_number(bound, values, rows) for bound in rule.bounds)
        resolved = Resolved(rule, least, greatest)
    else:
        group, names = coded(clips[rule.by])
        ends = [_numbers(bound, values, group, len(names), rows) for bound in rule.bounds]
        told = pa.table({"group": names, "least": ends[0], "greatest": ends[1]})
        resolved = Resolved(rule, None, None, told.sort_by("group"))
        least, greatest = (None if bound is None else end[group] for bound, end in zip(rule.bounds, ends))
    codes = np.full(len(values), Verdict.PASSES, np.int32)
    with np.errstate(over="ignore"):  # a bound beyond what single precision holds
        if greatest is not None:
            codes[rows & (values > greatest)] = _OVER
        if least is not None:
            codes[rows & (values < least)] = _UNDER
    if rule.missing == "drop":
        codes[rows & np.isnan(values)] = _MISSING
    return resolved, Verdict(codes, list(resolved.reasons))


def _number(bound: Bound | None, values: np.ndarray, rows: Bools) -> float | None:
    """A bound as a number. Beside a column of single precision a plain one is compared in that precision."""
    return percentile(values, _share(bound), rows) if isinstance(bound, str) else bound


def _numbers(bound: Bound | None, values: np.ndarray, group: Ints, groups: int, rows: Bools) -> Floats:
    """The same for every group, NaN where there is none."""
    if isinstance(bound, str):
        return percentiles(values, group, groups, _share(bound), rows)
    return np.full(groups, np.nan if bound is None else bound)


def coded(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Each value of a text column as a number, and what the numbers stand for; no value is one of its own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _named(column: pa.ChunkedArray, rule: Rule, rows: Bools) -> Verdict:
    """A rule on text: every different value is judged once."""
    code, names = coded(column)
    failing = np.flatnonzero(~_fitting(names, rule))
    told = [_told(rule, name) for name in names.take(pa.array(failing)).to_pylist()]
    reasons = list(dict.fromkeys(told))
    number = {reason: at for at, reason in enumerate(reasons)}
    of_name = np.full(len(names), Verdict.PASSES, np.int32)
    of_name[failing] = [number[reason] for reason in told]
    return Verdict(np.where(rows, of_name[code], np.int32(Verdict.PASSES)), reasons)


def _fitting(names: pa.Array, rule: Rule) -> Bools:
    if rule.one_of is not None or rule.none_of is not None:
        fits = pc.is_in(names, pa.array(rule.one_of or rule.none_of, pa.string()))
    else:
        fits = pc.match_substring_regex(names, rule.matches or rule.lacks)
    fits = pc.invert(fits) if rule.forbids else fits
    # Where something is forbidden, a clip that has nothing has nothing forbidden.
    missing = rule.forbids or rule.missing == "keep"
    return pc.if_else(pc.is_valid(names), fits, missing).to_numpy(zero_copy_only=False)


def _told(rule: Rule, name: str | None) -> str:
    if name is None:
        return f"no {rule.field}"
    if rule.matches is not None:
        return f"{rule.field} lacks {rule.matches}"
    if rule.lacks is not None:
        return f"{rule.field} has {rule.lacks}"
    return f"{rule.field} is {name}"


def _share(bound: str) -> float:
    return float(bound[1:]) / 100


def _shown(bound: Bound | None, by: str | None) -> str:
    if isinstance(bound, str):
        return f"{bound} of {by}" if by else bound
    return "" if bound is None else f"{bound:.12g}"
