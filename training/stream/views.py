"""What each model is trained on: a few small functions that add to decoded frames what a view needs.

A view is an entry of `VIEWS`. Frames, crop, flip, captions and replacements are the same for all of them (`make`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Data
from training.stream.degradation import degraded
from training.stream.plan import Draws


@dataclass
class Given:
    """What a model is given beside noise, text and time."""

    known: NDArray[np.bool_]
    """(frames,): which frames of the clip are given clean."""
    low: NDArray[np.uint8] | None = None
    """(frames + images, height / scale, width / scale, 3), RGB: the degraded small copy."""
    noise_level: int = 0
    """Step of the noise that is to be added to `low`."""


@dataclass(frozen=True)
class Kind:
    """A view."""

    give: Callable[[NDArray[np.uint8], int, Data, Draws], Given]
    """From the pictures (frames + images, height, width, 3) and the number of frames."""
    native: bool = False
    """Whether pictures are cut out at their own resolution where it is large enough, not scaled to fit."""


def base(pictures: NDArray[np.uint8], frames: int, data: Data, draws: Draws) -> Given:
    """A clip and single frames; by `data.known` the first frame is given, or some."""
    known = np.zeros(frames, np.bool_)
    if data.known == "first":
        known[0] = True
    elif data.known == "mask":
        known = masked(frames, draws.rng("known"))
    return Given(known)


def masked(frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which frames are given, drawn: none, the beginning, the end, both, evenly spaced ones, or any; (frames,).

    The kinds are those that trainers of conditional video models mix (SEINE, arXiv 2310.20700 §3.2: transition and
    prediction by masks); their shares, a sixth each, are ours.
    """
    known = np.zeros(frames, np.bool_)
    kind = int(rng.integers(6))
    count = int(rng.integers(1, max(2, frames // 2 + 1)))
    if kind in (1, 3):
        known[:count] = True
    if kind in (2, 3):
        known[-count:] = True
    if kind == 4:
        known[:: int(rng.integers(2, max(3, frames // 2)))] = True
    if kind == 5:
        known = rng.random(frames) < rng.random()
    return known


def interpolation(pictures: NDArray[np.uint8], frames: int, data: Data, draws: Draws) -> Given:
    """Dense frames, of which every fourth is given (LaVie's interpolation: 61, and 0, 4, … 60 of them)."""
    known = np.zeros(frames, np.bool_)
    known[:: data.every] = True
    return Given(known)


def vsr(pictures: NDArray[np.uint8], frames: int, data: Data, draws: Draws) -> Given:
    """A patch at its own resolution, its degraded small copy, and how much noise that copy shall get."""
    low, high = data.degradation.noise_level
    level = int(draws.rng("noise_level").integers(low, high + 1))
    small = degraded(pictures, data.degradation, draws.rng("degradation"))
    return Given(np.zeros(frames, np.bool_), small, level)


VIEWS: dict[str, Kind] = {
    "base": Kind(base),
    "interpolation": Kind(interpolation),
    "vsr": Kind(vsr, native=True),
}
"""By the values of `data.view`."""
