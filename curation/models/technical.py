"""Technical quality without weights: blur, noise and black bars, each by its own published or stated measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from curation.models.scorers import Measure, Pictures, Scorer

# Length of the strong low-pass that a picture is compared with. Pixels; Crété-Roffet et al. 2007.
_BLUR = 9
# A row or column is a bar where no luma is above this: video black is 16, and JPEG moves it a little. Ours.
_BLACK = 24
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class TechnicalScorer(Scorer):
    """Three measures that stay apart, since no weights join them to what people see (DOVER, arXiv 2211.04894, does).

    They are taken on the thumbnails, so they tell of what is left at that size: fine noise and blocks of a codec are
    averaged away. There is no bound by default; compare within one dataset, for instance `{field: technical_blur,
    max: p90}`.
    """

    name = "technical"
    measures = (
        Measure("technical_blur", "Crété-Roffet et al. 2007, mean over pictures.", "0 sharp to 1 blurred"),
        Measure("technical_noise", "Standard deviation of noise (Immerkær 1996), mean over pictures.", "luma steps"),
        Measure("technical_bars", "Share of the picture that is black bars at its edges in all pictures.", "0 to 1"),
    )

    def score(self, clips: Sequence[Pictures]) -> Sequence[Mapping[str, Any]]:
        return [self._score(pictures) for pictures in clips]

    def _score(self, pictures: Pictures) -> Mapping[str, Any]:
        lumas = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
        return {
            "technical_blur": float(np.mean([blur(luma) for luma in lumas])),
            "technical_noise": float(np.mean([noise(luma) for luma in lumas])),
            "technical_bars": min(bars(luma) for luma in lumas),
        }


def blur(luma: np.ndarray) -> float:
    """Blur (Crété-Roffet et al. 2007, SPIE 6492): how little a low-pass takes of the steps between neighbours.

    A picture without any steps is 1.
    """
    given = luma.astype(np.float32)
    return max(_blur_along(given, (1, _BLUR), 0), _blur_along(given, (_BLUR, 1), 1))


def _blur_along(luma: np.ndarray, window: tuple[int, int], axis: int) -> float:
    steps = np.abs(np.diff(luma, axis=axis))
    smoothed = np.abs(np.diff(cv2.blur(luma, window), axis=axis))
    total = float(steps.sum(dtype=np.float64))
    if total == 0:
        return 1.0
    return 1 - float(np.maximum(0, steps - smoothed).sum(dtype=np.float64)) / total


def noise(luma: np.ndarray) -> float:
    """Standard deviation of noise (Immerkær 1996, CVIU 64): a mask that straight edges and ramps do not touch."""
    if min(luma.shape) < 3:
        return 0.0
    response = cv2.filter2D(luma.astype(np.float32), cv2.CV_32F, _NOISE)[1:-1, 1:-1]
    return math.sqrt(math.pi / 2) * float(np.abs(response).mean(dtype=np.float64)) / 6


def bars(luma: np.ndarray) -> float:
    """Share of a picture that is black rows and columns at its edges."""
    rows, columns = (np.flatnonzero(luma.max(axis=axis) > _BLACK) for axis in (1, 0))
    if not len(rows):
        return 1.0
    shown = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return 1 - float(shown) / luma.size
