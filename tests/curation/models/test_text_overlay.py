"""The area of text, by the real detector that the wheel carries."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from curation.errors import UserError
from curation.models.text_overlay import TextOverlayScorer
from curation.recipe_score import TextOverlay

PLAIN = np.full((256, 456, 3), (40, 70, 110), np.uint8)


def _written(*lines: tuple[str, float, int]) -> np.ndarray:
    picture = PLAIN.copy()
    for text, scale, y in lines:
        cv2.putText(picture, text, (12, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def test_area_of_text_is_that_of_its_lines_and_nothing_else() -> None:
    scorer = TextOverlayScorer(TextOverlay())
    scorer.setup()
    subtitle = _written(("Some words of a subtitle", 0.9, 225))
    more = _written(("Some words of a subtitle", 0.9, 225), ("and a title above it", 0.9, 60))
    (width, height), below = cv2.getTextSize("Some words of a subtitle", cv2.FONT_HERSHEY_SIMPLEX, 0.9, 1)
    true = width * (height + below) / (256 * 456)
    scores = scorer.score([[PLAIN], [subtitle], [PLAIN, more], [subtitle]])
    assert scores[0] == {"text_area": 0, "text_area_max": 0}
    assert 0.7 * true < scores[1]["text_area"] < 1.8 * true
    assert scores[2]["text_area_max"] > 1.5 * scores[1]["text_area"]
    assert scores[2]["text_area"] == pytest.approx(scores[2]["text_area_max"] / 2)
    assert scores[3] == scores[1]


def test_missing_detector_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(UserError, match=r"score\.text_overlay needs .*pip install 'reelmill\[ocr\]'"):
        TextOverlayScorer(TextOverlay()).setup()
