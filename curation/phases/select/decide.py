"""All decisions over all clips, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from curation import tables
from curation.phases.select.percentiles import Bools, Ints
from curation.phases.select.reasons import Verdict, listed, passed
from curation.phases.select.rules import OF_CAPTION, Resolved, apply
from curation.recipe_select import Rule

DUPLICATE = "duplicate"

Search = Callable[[Bools], Ints]
"""From the clips that take part to the row of the better clip that each repeats, -1 for none."""
Flags = Callable[[Bools], list[Verdict]]
"""From the clips that were captioned to what is said against their captions."""
Limit = Callable[[Bools], Verdict]
"""From the clips that are left to those that are too many."""


@dataclass(frozen=True)
class Judged:
    """What everything that decides says of every clip."""

    verdicts: list[Verdict]
    resolved: list[Resolved]
    repeats: Ints
    """For every clip the row of the better one that it repeats, -1 for none."""
    captionable: Bools
    """The clips that pass what needs no caption."""
    kept: Bools


def judge(
    clips: pa.Table,
    rules: Sequence[Rule],
    *,
    captioned: bool,
    search: Search | None = None,
    flags: Flags | None = None,
    limit: Limit | None = None,
) -> Judged:
    """See `decide`, which makes a table of it."""
    resolved: list[Resolved] = []
    verdicts: list[Verdict] = []

    def ask(of_caption: bool, rows: Bools) -> None:
        for rule in rules:
            if (rule.field in OF_CAPTION) == of_caption:
                numbers, verdict = apply(clips, rule, rows)
                resolved.append(numbers)
                verdicts.append(verdict)

    count = clips.num_rows
    ask(False, np.ones(count, np.bool_))
    repeats = np.full(count, -1, np.int64)
    if search is not None:
        repeats = search(passed(verdicts, count))
        verdicts.append(Verdict(np.where(repeats < 0, Verdict.PASSES, 0).astype(np.int32), [DUPLICATE]))
    captionable = passed(verdicts, count)
    if captioned:
        ask(True, captionable)
        if flags is not None:
            verdicts += flags(captionable)
        if limit is not None:
            verdicts.append(limit(passed(verdicts, count)))
    return Judged(verdicts, resolved, repeats, captionable, passed(verdicts, count))


def decide(
    clips: pa.Table,
    rules: Sequence[Rule],
    *,
    captioned: bool,
    search: Search | None = None,
    flags: Flags | None = None,
    limit: Limit | None = None,
) -> tuple[pa.Table, list[Resolved]]:
    """The selection of a table of clips, and the numbers that were used.

    First the rules that need no caption, then near-duplicates among what is left, then the rules on captions
    and their flags, then balance. So near-duplicates are not captioned, and no clip is dropped for one that these
    rules drop.

    Args:
        clips: `clip_id` and every column that the rules name, one row a clip.
        captioned: whether captions are there; without them rules on captions, and balance, are left out.
        search: finds near-duplicates.
        flags: finds captions that are none.
        limit: balances groups.

    A percentile is taken over all clips that have a value in that column, for captions over the
    clips that were captioned.
    """
    judged = judge(clips, rules, captioned=captioned, search=search, flags=flags, limit=limit)
    reasons = listed(judged.verdicts, clips.num_rows)
    better = clips["clip_id"].take(pa.array(judged.repeats, mask=judged.repeats < 0))
    columns = [clips["clip_id"], pa.array(judged.kept), reasons, better]
    return pa.table(columns, schema=tables.SELECTION), judged.resolved
