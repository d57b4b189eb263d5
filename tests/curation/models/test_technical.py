"""Blur, noise and bars: the published formulas, and what they say of pictures made for them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from curation.models.technical import TechnicalScorer, bars, blur, noise

RNG = np.random.default_rng(4)


def test_blur_is_that_of_crete_roffet() -> None:
    luma = RNG.integers(0, 256, (40, 30), dtype=np.uint8).astype(float)
    expected = []
    for given in (luma, luma.T):
        padded = np.pad(given, ((4, 4), (0, 0)), mode="reflect")
        smoothed = np.stack([padded[row : row + 9].mean(axis=0) for row in range(len(given))])
        steps, left = np.abs(np.diff(given, axis=0)), np.abs(np.diff(smoothed, axis=0))
        taken = np.maximum(0, steps - left)
        expected.append((steps.sum() - taken.sum()) / steps.sum())
    assert blur(luma.astype(np.uint8)) == pytest.approx(max(expected), rel=1e-4)


def test_blurred_pictures_are_more_blurred() -> None:
    luma = RNG.integers(0, 256, (120, 160), dtype=np.uint8)
    values = [blur(luma), *(blur(cv2.GaussianBlur(luma, (0, 0), sigma)) for sigma in (1, 2, 4))]
    assert values == sorted(values)
    assert values[0] < 0.3 < 0.5 < values[-1]
    assert blur(np.full((50, 50), 90, np.uint8)) == 1


def test_noise_is_its_standard_deviation_and_ramps_have_none() -> None:
    ramp = np.tile(np.linspace(60, 200, 256), (256, 1))
    for sigma in (2.0, 5.0, 10.0):
        noisy = (ramp + RNG.normal(0, sigma, ramp.shape)).clip(0, 255).round().astype(np.uint8)
        assert noise(noisy) == pytest.approx(sigma, rel=0.1)
    assert noise(np.tile(np.arange(200, dtype=np.uint8), (50, 1))) == 0


def test_bars_are_those_that_all_pictures_have() -> None:
    picture = np.full((100, 200, 3), 120, np.uint8)
    boxed, dark = picture.copy(), picture.copy()
    boxed[:10] = boxed[-10:] = dark[:40] = dark[-10:] = 3
    grey = cv2.cvtColor(boxed, cv2.COLOR_RGB2GRAY)
    assert bars(grey) == pytest.approx(0.2)
    assert bars(np.zeros((8, 8), np.uint8)) == 1
    (score,) = TechnicalScorer().score([[boxed, dark]])
    assert score["technical_bars"] == pytest.approx(0.2)
    assert set(score) == {measure.name for measure in TechnicalScorer.measures}
