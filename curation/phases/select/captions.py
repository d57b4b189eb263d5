"""Captions that are none: flagged when they were made, or the same on very many clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.phases.select.percentiles import Bools
from curation.phases.select.reasons import Verdict
from curation.phases.select.rules import coded
from curation.recipe_select import CaptionFlag

COLUMNS = ("source_id", "caption", "captioner", "caption_flags")


def flagged(clips: pa.Table, flags: Sequence[CaptionFlag], most: int, rows: Bools) -> list[Verdict]:
    """For each flag the clips among `rows` whose caption has it.

    Args:
        most: a caption on more clips than this is common.
    """
    verdicts = []
    for flag in flags:
        wrong = rows & (_common(clips, most, rows) if flag == "common" else _has(clips["caption_flags"], flag))
        codes = np.where(wrong, np.int32(0), np.int32(Verdict.PASSES))
        verdicts.append(Verdict(codes, [f"caption {flag}"]))
    return verdicts


def _has(column: pa.ChunkedArray, flag: str) -> Bools:
    flags = column.combine_chunks()
    of = pc.list_parent_indices(flags).filter(pc.equal(pc.list_flatten(flags), flag))
    has = np.zeros(len(flags), np.bool_)
    has[of.to_numpy()] = True
    return has


def _common(clips: pa.Table, most: int, rows: Bools) -> Bools:
    """A source's caption stands on all of its clips and counts once; the describer is not asked for variety."""
    of_source, of_describer = (
        pc.equal(clips["captioner"], name).fill_null(False).to_numpy() for name in ("source", "describe")
    )
    judged = np.flatnonzero(rows & pc.is_valid(clips["caption"]).to_numpy() & ~of_describer)
    text, texts = coded(clips["caption"])
    source, sources = coded(clips["source_id"])
    said_by = np.where(of_source, source, len(sources) + np.arange(clips.num_rows))
    sayings = np.unique(text[judged] * (len(sources) + clips.num_rows) + said_by[judged])
    times = np.bincount(sayings // (len(sources) + clips.num_rows), minlength=len(texts))
    common = np.zeros(clips.num_rows, np.bool_)
    common[judged] = times[text[judged]] > most
    return common
