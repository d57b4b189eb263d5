"""Captions state what was measured, and belong to the clip that they were made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import validate
from curation.models.captioners import Captioner, Shown
from curation.models.describe import colours, describe
from curation.phases import Unit
from curation.phases.caption import Caption, words
from curation.recipe import Recipe


def _shown(colour: tuple[int, int, int], **measured: float | None) -> Shown:
    facts: dict = {"brightness": 0.5, "motion": 0.1, "motion_x": 0.0, "motion_y": 0.0} | measured
    return Shown("0" * 16, [np.full((32, 32, 3), colour, np.uint8)], None, **facts)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((220, 20, 20), "red"),
        ((250, 140, 10), "orange"),
        ((240, 230, 30), "yellow"),
        ((30, 160, 50), "green"),
        ((30, 60, 210), "blue"),
        ((130, 40, 190), "purple"),
        ((245, 120, 180), "pink"),
        ((110, 65, 25), "brown"),
        ((250, 250, 250), "white"),
        ((128, 128, 128), "grey"),
        ((5, 5, 5), "black"),
    ],
)
def test_colours_have_the_names_that_people_use(colour: tuple[int, int, int], name: str) -> None:
    assert colours([np.full((16, 16, 3), colour, np.uint8)]) == [name]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"motion": 0.0}, "without motion"),
        ({"motion": 0.02, "motion_x": 0.02}, "slow motion to the right"),
        ({"motion": 0.1, "motion_x": -0.09}, "steady motion to the left"),
        ({"motion": 0.5, "motion_y": 0.4}, "fast motion downwards"),
        ({"motion": 0.5, "motion_y": -0.4}, "fast motion upwards"),
        ({"motion": 0.1, "motion_x": 0.01}, "steady motion."),
        ({"brightness": 0.05}, "A very dark scene"),
        ({"brightness": 0.8}, "A bright scene"),
        ({"motion": None}, "single moment"),
    ],
)
def test_sentence_states_the_measured_facts(measured: dict, expected: str) -> None:
    sentence = describe(_shown((30, 60, 210), **measured))
    assert expected in sentence
    assert "blue" in sentence
    assert words(sentence) >= 3


class _Fussy(Captioner):
    """Answers for some clips, in another order, and for one that nobody asked about."""

    name = "fussy"

    def __init__(self, answered: set[str]):
        self._answered = answered

    def caption(self, clips: Sequence[Shown]) -> Mapping[str, str]:
        answers = {
            clip.clip_id: f"made for {clip.clip_id}" for clip in reversed(clips) if clip.clip_id in self._answered
        }
        return {"f" * 16: "made for nobody", **answers}


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_caption_never_reaches_another_clip(first: list[bool], second: list[bool]) -> None:
    ids = [f"{number:016x}" for number in range(len(first))]
    phase = Caption(validate.parse({"name": "t", "sources": [{"files": "x"}]}, Recipe))
    phase._captioners = [
        _Fussy({clip_id for clip_id, answers in zip(ids, first) if answers}),
        _Fussy({clip_id for clip_id, answers in zip(ids, second) if answers}),
    ]
    jpeg = bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1])
    facts = {"source_caption": None, "brightness": 0.1, "motion": 0.1, "motion_x": 0.0, "motion_y": 0.0}
    rows = [{"clip_id": clip_id, "thumbnails": [jpeg], **facts} for clip_id in ids]
    captions = phase.process(Unit(0, ""), rows, Path()).tables["captions"]
    assert [row["clip_id"] for row in captions] == ids
    for row, one, other in zip(captions, first, second):
        assert row["caption"] == (f"made for {row['clip_id']}" if one or other else None)
