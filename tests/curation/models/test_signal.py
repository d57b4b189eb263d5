"""The built-in scorer's numbers are those of the published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from curation.models.signal import SignalScorer, colourfulness, contrast, exposure

RNG = np.random.default_rng(3)


def test_colourfulness_is_that_of_hasler_and_suesstrunk() -> None:
    picture = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    red, green, blue = (picture[..., channel].astype(np.float64) for channel in range(3))
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.sqrt(rg.var() + yb.var()) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    assert colourfulness(picture) == pytest.approx(expected, rel=1e-4)
    assert colourfulness(np.full((8, 8, 3), 77, np.uint8)) == 0


def test_contrast_and_exposure_follow_their_definitions() -> None:
    luma = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
    value = luma / 255.0
    assert contrast(luma) == pytest.approx(value.std(), rel=1e-5)
    assert exposure(luma) == pytest.approx(np.exp(-((value - 0.5) ** 2) / 0.08).mean(), rel=1e-5)


def test_empty_pictures_score_lower_than_full_ones() -> None:
    ramp = np.linspace(0, 255, 256, dtype=np.uint8)
    full = np.stack([np.tile(ramp, (256, 1)), np.tile(ramp[:, None], (1, 256)), np.full((256, 256), 90, np.uint8)], -1)
    full = np.clip(full.astype(int) + RNG.integers(-40, 40, full.shape), 0, 255).astype(np.uint8)
    grey, black = np.full((256, 256, 3), 128, np.uint8), np.zeros((256, 256, 3), np.uint8)
    scores = [row["signal"] for row in SignalScorer().score([[full], [grey], [black]])]
    assert scores[0] > 5 > 0.5 > scores[1] >= scores[2]


def test_clip_score_is_the_mean_and_the_least_of_its_pictures() -> None:
    good = RNG.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    bad = np.zeros((256, 256, 3), np.uint8)
    scorer = SignalScorer()
    (both,), (alone,) = scorer.score([[good, bad]]), scorer.score([[good]])
    assert both["signal"] == pytest.approx(alone["signal"] / 2)
    assert both["signal_min"] == 0
    assert set(both) == {measure.name for measure in scorer.measures}
