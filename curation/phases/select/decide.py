"""All decisions over all clips, in their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation import tables
from curation.phases.select.reasons import Verdict, listed, passed
from curation.phases.select.rules import OF_CAPTION, Resolved, apply
from curation.recipe import Rule


def decide(clips: pa.Table, rules: Sequence[Rule], *, captioned: bool) -> tuple[pa.Table, list[Resolved]]:
    """The selection of a table of clips, and the numbers that were used.

    Args:
        clips: `clip_id` and every column that the rules name, one row a clip.
        captioned: whether captions are there; without them rules on captions are left out.

    A percentile is taken over all clips that have a value in that column, for captions over the
    clips that were captioned.
    """
    resolved: list[Resolved] = []
    verdicts: list[Verdict] = []
    rows = np.ones(clips.num_rows, np.bool_)
    for of_caption in (False, True) if captioned else (False,):
        for rule in rules:
            if (rule.field in OF_CAPTION) == of_caption:
                numbers, verdict = apply(clips, rule, rows)
                resolved.append(numbers)
                verdicts.append(verdict)
        rows = passed(verdicts, clips.num_rows)
    selection = pa.table(
        [clips["clip_id"], pa.array(rows), listed(verdicts, clips.num_rows)],
        schema=tables.SELECTION,
    )
    return selection, resolved
