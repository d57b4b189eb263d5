"""Clips to decisions: rules, near-duplicates, balance, with every reason. Never decodes anything."""

from __future__ import annotations

import pyarrow as pa

from curation.phases.select import captions, duplicates, rules
from curation.phases.select.balance import balanced
from curation.phases.select.captions import flagged
from curation.phases.select.decide import DUPLICATE, decide
from curation.phases.select.order import kept_by
from curation.phases.select.rules import OF_CAPTION, Resolved
from curation.recipe_select import Select

__all__ = [
    "DUPLICATE",
    "OF_CAPTION",
    "Resolved",
    "balanced",
    "check",
    "columns",
    "decide",
    "duplicates",
    "flagged",
    "kept_by",
]


def check(select: Select, known: pa.Schema) -> None:
    """
    Raises:
        UserError: a column that is named is not among the `known` ones, or cannot be used in that way.
    """
    rules.check(select.rules, known)
    keep_by = kept_by(select, known)
    if select.duplicates is not None:
        duplicates.columns(select.duplicates, keep_by, known)
    if select.balance is not None:
        rules.check_groups(select.balance.by, known, "select.balance.by")


def columns(select: Select, known: pa.Schema) -> list[str]:
    """The columns that the decisions look at, but for those that near-duplicates are searched by."""
    names = rules.columns(select.every_rule)
    if select.caption_flags:
        names += captions.COLUMNS
    if select.balance is not None:
        names += [select.balance.by, *kept_by(select, known)]
    return list(dict.fromkeys(names))
