"""Which samples a view can use, and the shape that each gives: decided from the index, before anything is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Data
from training.stream.dataset import KINDS, Dataset

_UNKNOWN = -100.0


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


def rows(dataset: Dataset, data: Data, *, held_out: bool = False) -> Rows:
    """Sort the samples of a dataset into buckets: those that are trained on, or those that `data.held_out` keeps back.

    A sample goes into the longest bucket that it can fill, and of these into the one whose ratio of width to height
    is nearest, by the ratio of the ratios. What a foreign tar does not tell is taken as fitting, and found out when
    the sample is opened: into the shortest bucket without frames, into the first without a size.
    """
    video = np.asarray(dataset.column("kind")) == KINDS.index("video")
    image = ~video
    if data.held_out:
        part = kept_back(dataset, data.held_out) == held_out
        video, image = video & part, image & part
    frames = np.asarray(dataset.column("frames"))
    if data.handheld is not None:
        # However many frames are wanted, an image gives them.
        video, image, frames = video | image, np.zeros_like(image), np.where(image, np.iinfo(np.int32).max, frames)
    rates = np.asarray(dataset.column("fps"))
    shapes = data.shapes
    lengths = sorted({shape.frames or 0 for shape in shapes}, reverse=True)
    chosen = np.full(len(dataset), -1, np.int16)
    for length in lengths:
        fits = video & (chosen < 0) & (frames >= needed(data, length, rates))
        fits |= video & (frames == 0) & (length == lengths[-1])
        chosen[fits] = _nearest(dataset, {n: shape.size for n, shape in enumerate(shapes) if shape.frames == length})[
            fits
        ]
    clips = np.flatnonzero(chosen >= 0)
    alone = len(shapes) == 1
    return Rows(
        buckets=(clips,) if alone else tuple(np.flatnonzero(chosen == number) for number in range(len(shapes))),
        clips=clips,
        images=np.flatnonzero(image),
        short=int(video.sum()) - len(clips),
        longest=int(frames[video].max(initial=0)),
    )


def kept_back(dataset: Dataset, share: float) -> NDArray[np.bool_]:
    """Which samples are never trained on, (samples,): those whose key has a hash in the first `share` of all hashes.

    Nothing but the key counts, so a sample is on the same side in every generation of a growing dataset.
    """
    limit = int(share * 2**64)
    hashes = (hashlib.blake2b(key.encode(), digest_size=8).digest() for key in dataset.all_keys())
    return np.fromiter((int.from_bytes(digest, "big") < limit for digest in hashes), np.bool_, len(dataset))


def needed(data: Data, frames: int, rates: NDArray) -> NDArray:
    """Frames that a sample of this frame rate must have to give a clip of `frames`, at the least stride.

    Where frames are chosen by time and the sample has fewer a second than asked for, it gives all it has.
    """
    if data.rates is None:
        return np.full(len(rates), (frames - 1) * data.strides[0] + 1)
    strides = np.maximum(rates.astype(np.float64) / data.rates[1], 1.0)
    return np.ceil((frames - 1) * strides - 1e-3).astype(np.int64) + 1


def _nearest(dataset: Dataset, sizes: Mapping[int, tuple[int, int]]) -> NDArray[np.int16]:
    """The number of the size that is nearest to each sample's by shape, the first where that is not known."""
    best = np.full(len(dataset), min(sizes), np.int16)
    if len(sizes) == 1:
        return best
    ratio = _ratio(np.asarray(dataset.column("height")), np.asarray(dataset.column("width")))
    least = np.full(len(dataset), np.inf)
    for number, size in sizes.items():
        distance = np.abs(ratio - np.log(size[1] / size[0]))
        nearer = (distance < least - 1e-6) & (ratio != _UNKNOWN)
        best[nearer], least[nearer] = number, distance[nearer]
    return best


def _ratio(height: NDArray, width: NDArray) -> NDArray:
    """The logarithm of width over height."""
    known = (height > 0) & (width > 0)
    return np.where(known, np.log(np.where(known, width, 1) / np.where(known, height, 1)), _UNKNOWN)
