"""Captions state what was measured."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from curation.models.captioners import Shown
from curation.models.describe import colours, describe
from curation.text.words import words


def _shown(colour: tuple[int, int, int], **measured: float | None) -> Shown:
    facts: dict = {"brightness": 0.5, "motion": 0.1, "motion_x": 0.0, "motion_y": 0.0} | measured
    picture = np.full((32, 32, 3), colour[::-1], np.uint8)
    return Shown("0" * 16, [bytes(cv2.imencode(".jpg", picture)[1])], None, **facts)


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
