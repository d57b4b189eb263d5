"""The built-in scorer: how colourful, contrasty, sharp and well exposed a picture is.

It needs no weights and claims no taste: it finds pictures with little in them (black, grey, blurred,
burnt out). It is not an aesthetic score and does not stand in for one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from curation.models.scorers import Measure, Pictures, Scorer

# Pictures are compared at this short side, since sharpness depends on size. Pixels.
_SIZE = 256
# Values at which a property counts as about two thirds present (1 - 1/e). Ours, from the meaning of
# the scales: 33 is "averagely colourful" in Hasler and Süsstrunk's Table 2; 0.2 is the RMS contrast of an
# even ramp's middle; a Laplacian variance near 100 is the usual border between blurred and sharp.
_COLOURFULNESS, _CONTRAST, _SHARPNESS = 33.0, 0.2, 100.0


class SignalScorer(Scorer):
    """`signal` is the mean over a clip's pictures, `signal_min` the least."""

    name = "signal"
    measures = (
        Measure("signal", "Mean over pictures of ten times the geometric mean of the four properties.", "0 to 10"),
        Measure("signal_min", "The same for the worst picture.", "0 to 10"),
        Measure("signal_colourfulness", "Hasler and Süsstrunk 2003, mean over pictures.", "0 grey to about 110"),
        Measure("signal_contrast", "RMS contrast of luma (Peli 1990), mean over pictures.", "0 to 0.5"),
        Measure("signal_sharpness", "Variance of the Laplacian (Pech-Pacheco 2000), mean.", "luma steps squared"),
        Measure("signal_exposure", "Well-exposedness (Mertens et al. 2007), mean over pictures.", "0 to 1"),
    )

    def score(self, clips: Sequence[Pictures]) -> list[dict[str, float]]:
        return [self._score(pictures) for pictures in clips]

    def _score(self, pictures: Pictures) -> dict[str, float]:
        each = [_properties(picture) for picture in pictures]
        totals = [_together(*properties) for properties in each]
        colourfulness, contrast, sharpness, exposure = (float(value) for value in np.mean(each, axis=0))
        return {
            "signal": float(np.mean(totals)),
            "signal_min": min(totals),
            "signal_colourfulness": colourfulness,
            "signal_contrast": contrast,
            "signal_sharpness": sharpness,
            "signal_exposure": exposure,
        }


def colourfulness(rgb: np.ndarray) -> float:
    """Colourfulness M of Hasler and Süsstrunk 2003 (SPIE 5007): 0 grey, 33 average, 109 extreme."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = math.hypot(float(red_green.std()), float(yellow_blue.std()))
    centre = math.hypot(float(red_green.mean()), float(yellow_blue.mean()))
    return spread + 0.3 * centre


def contrast(luma: np.ndarray) -> float:
    """RMS contrast (Peli 1990, JOSA A 7): standard deviation of luma on a scale of 0 to 1."""
    return float(luma.std()) / 255


def exposure(luma: np.ndarray) -> float:
    """Well-exposedness (Mertens, Kautz and Van Reeth 2007): nearness of luma to the middle, sigma 0.2."""
    value = luma.astype(np.float32) / 255
    return float(np.exp(-((value - 0.5) ** 2) / (2 * 0.2**2)).mean())


def _properties(rgb: np.ndarray) -> tuple[float, float, float, float]:
    scale = _SIZE / min(rgb.shape[:2])
    if scale != 1:
        rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    return colourfulness(rgb), contrast(luma), sharpness, exposure(luma)


def _together(colourfulness: float, contrast: float, sharpness: float, exposure: float) -> float:
    """Ten times the geometric mean, each property brought to 0..1 by 1 - exp(-value / scale)."""
    present = [
        1 - math.exp(-colourfulness / _COLOURFULNESS),
        1 - math.exp(-contrast / _CONTRAST),
        1 - math.exp(-sharpness / _SHARPNESS),
        exposure,
    ]
    return 10 * math.prod(present) ** (1 / len(present))
