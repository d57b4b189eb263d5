"""Which samples a view can use, and the shape that each gives: decided from the index, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Data
from training.stream.dataset import KINDS, Dataset


@dataclass(frozen=True)
class Rows:
    """The samples of a dataset that are used, by number."""

    buckets: tuple[NDArray[np.int64], ...]
    """Clips by the shape in `Data.shapes`, each rising."""
    clips: NDArray[np.int64]
    """All of them, rising."""
    images: NDArray[np.int64]
    short: int
    """Videos that are left out because they have too few frames."""
    longest: int
    """Frames of the longest video."""

    def of(self, use: str) -> NDArray[np.int64]:
        """Those of one use: a bucket's number, or "images"."""
        return self.images if use == "images" else self.buckets[int(use)]


def rows(dataset: Dataset, data: Data) -> Rows:
    """Sort the samples of a dataset into buckets.

    A sample goes into the longest bucket that it can fill, and of these into the one whose ratio of width to height
    is nearest, by the ratio of the ratios. What a foreign tar does not tell is taken as fitting, and found out when
    the sample is opened: into the shortest bucket without frames, into the first without a size.
    """
    video = np.asarray(dataset.column("kind")) == KINDS.index("video")
    frames = np.asarray(dataset.column("frames"))
    rates = np.asarray(dataset.column("fps"))
    shapes = data.shapes
    lengths = sorted({shape.frames or 0 for shape in shapes}, reverse=True)
    ratio = _ratio(np.asarray(dataset.column("height")), np.asarray(dataset.column("width")))
    chosen = np.full(len(dataset), -1, np.int16)
    for length in lengths:
        fits = video & (chosen < 0) & (frames >= needed(data, length, rates))
        fits |= video & (frames == 0) & (length == lengths[-1])
        numbers = [number for number, shape in enumerate(shapes) if shape.frames == length]
        best, distance = np.full(len(dataset), numbers[0], np.int16), np.full(len(dataset), np.inf)
        for number in numbers:
            away = np.abs(ratio - _ratio(*np.asarray(shapes[number].size)))
            nearer = away < distance - 1e-6
            best[nearer], distance[nearer] = number, away[nearer]
        chosen[fits] = best[fits]
    clips = np.flatnonzero(chosen >= 0)
    return Rows(
        buckets=tuple(np.flatnonzero(chosen == number) for number in range(len(shapes))),
        clips=clips,
        images=np.flatnonzero(~video),
        short=int(video.sum()) - len(clips),
        longest=int(frames[video].max(initial=0)),
    )


def needed(data: Data, frames: int, rates: NDArray) -> NDArray:
    """Frames that a sample of this frame rate must have to give a clip of `frames`, at the least stride.

    Where frames are chosen by time and the sample has fewer a second than asked for, it gives all it has.
    """
    if data.rates is None:
        return np.full(len(rates), (frames - 1) * data.strides[0] + 1)
    strides = np.maximum(rates.astype(np.float64) / data.rates[1], 1.0)
    return np.ceil((frames - 1) * strides - 1e-3).astype(np.int64) + 1


def _ratio(height: NDArray, width: NDArray) -> NDArray:
    """The logarithm of width over height; 0 where they are not known."""
    known = (height > 0) & (width > 0)
    return np.log(np.where(known, width, 1) / np.where(known, height, 1))
