"""The numbers that the rules' percentiles stand for, from the columns on the disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from curation.phases.report.numbers.columns import Columns, quantiles
from curation.phases.select import OF_CAPTION, Resolved
from curation.phases.select.percentiles import percentiles
from curation.recipe_select import Bound, Rule

CAPTIONED, IMAGE = "captioned", "image"
"""Columns of truth values: whether a clip was captioned, and whether it is an image."""


def group_column(name: str) -> str:
    """The column that holds the number of each clip's group."""
    return f"group of {name}"


def resolved(rule: Rule, columns: Columns, groups: list[str | None]) -> Resolved:
    """A rule with its percentiles as numbers, as select takes them.

    Args:
        groups: of a rule with `by`, the names of its groups by number.
    """
    if not rule.on_numbers:
        return Resolved(rule, None, None)
    if rule.by is not None:
        return _by_groups(rule, columns, groups)
    least, greatest = (_number(bound, rule, columns) for bound in rule.bounds)
    return Resolved(rule, least, greatest)


def _number(bound: Bound | None, rule: Rule, columns: Columns) -> float | None:
    if not isinstance(bound, str):
        return bound

    def pieces() -> Iterator[np.ndarray]:
        for values, captioned, image in columns.pieces(rule.field, CAPTIONED, IMAGE):
            yield values[_looked_at(rule, captioned, image) & np.isfinite(values)]

    count = sum(len(piece) for piece in pieces())
    return quantiles(pieces, count, [_share(bound)])[0] if count else None


def _looked_at(rule: Rule, captioned: np.ndarray, image: np.ndarray) -> np.ndarray:
    rows = captioned if rule.field in OF_CAPTION else np.ones(len(captioned), np.bool_)
    return rows if rule.kind is None else rows & (image == (rule.kind == "image"))


def _by_groups(rule: Rule, columns: Columns, groups: list[str | None]) -> Resolved:
    """Groups have to be sorted, so here a column is in memory as a whole."""
    assert rule.by is not None
    values, group = columns.whole(rule.field), columns.whole(group_column(rule.by)).astype(np.int64)
    rows = _looked_at(rule, columns.whole(CAPTIONED), columns.whole(IMAGE))
    ends = []
    for bound in rule.bounds:
        number = isinstance(bound, str) and percentiles(values, group, len(groups), _share(bound), rows)
        ends.append(number if isinstance(bound, str) else np.full(len(groups), np.nan if bound is None else bound))
    told = pa.table({"group": pa.array(groups, pa.string()), "least": ends[0], "greatest": ends[1]})
    return Resolved(rule, None, None, told.sort_by("group"))


def _share(bound: str) -> float:
    return float(bound[1:]) / 100
