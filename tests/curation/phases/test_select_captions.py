"""Captions that are none are dropped for what is wrong with them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation.phases.select import decide, flagged
from curation.phases.select.reasons import listed
from curation.recipe_select import Rule

FLAGS = ("refusal", "truncated", "repeats", "language")
_ROW = st.tuples(
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(["A cat.", "A dog.", None]),
    st.sampled_from(["source", "describe", "endpoint"]),
    st.none() | st.lists(st.sampled_from(FLAGS), unique=True),
    st.booleans(),
)


def _clips(rows: list[tuple]) -> pa.Table:
    sources, captions, captioners, flags, _ = zip(*rows)
    return pa.table(
        {
            "clip_id": [f"{number:016x}" for number in range(len(rows))],
            "source_id": sources,
            "caption": pa.array(captions, pa.string()),
            "captioner": pa.array([who if said else None for who, said in zip(captioners, captions)], pa.string()),
            "caption_flags": pa.array(flags, pa.list_(pa.string())),
        }
    )


@given(st.lists(_ROW, min_size=1, max_size=30), st.integers(1, 4))
def test_reasons_are_those_of_a_plain_count(rows: list[tuple], most: int) -> None:
    clips = _clips(rows)
    judged = np.array([row[4] for row in rows])
    reasons = listed(flagged(clips, [*FLAGS, "common"], most, judged), len(rows)).to_pylist()
    said_by = defaultdict(set)
    for number, (source, caption, captioner, _, seen) in enumerate(rows):
        if seen and captioner != "describe":
            said_by[caption].add(source if captioner == "source" else number)
    for (_, caption, captioner, flags, seen), found in zip(rows, reasons):
        wanted = [f"caption {flag}" for flag in FLAGS if flag in (flags or [])]
        if caption and captioner != "describe" and len(said_by[caption]) > most:
            wanted.append("caption common")
        assert found == (wanted if seen else [])


def test_flag_is_a_reason_after_the_rules_on_captions() -> None:
    clips = _clips([("s", "A.", "endpoint", ["repeats"], True), ("s", "A cat sleeps.", "endpoint", [], True)])
    clips = clips.append_column("caption_words", pa.array([1, 3], pa.int32()))
    rule = Rule(field="caption_words", min=3)
    for captioned, wanted in ((True, [["caption_words < 3", "caption repeats"], []]), (False, [[], []])):
        selection, _ = decide(
            clips, [rule], captioned=captioned, flags=lambda rows: flagged(clips, ["repeats"], 1, rows)
        )
        assert selection["drop_reasons"].to_pylist() == wanted
