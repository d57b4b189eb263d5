"""What a training sample is made of: a strided piece of a clip, single frames of others, captions.

Every choice comes from the draws of the sample (`plan.Draws`), so a sample looks the same whoever
prepares it and whenever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.recipe import Data
from training.stream.decode import DecodeError, decode
from training.stream.plan import Draws
from training.stream.shards import Dataset, Entry

_SIDES = re.compile(r"\b(left|right|leftwards?|rightwards?|clockwise|counterclockwise)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Failure:
    """A sample that could not be used."""

    key: str
    reason: str


@dataclass
class View:
    """One training sample."""

    pixels: NDArray[np.uint8]
    """(frames + images, height, width, 3), RGB: the clip, then the single frames."""
    captions: list[str]
    """The clip's, then one for every single frame; empty means unconditional."""
    keys: list[str]
    """The samples that it was made of, in the order of the captions."""
    draws: Draws
    failures: list[Failure] = field(default_factory=list)
    """Samples that others stand in for."""


def base_view(dataset: Dataset, data: Data, draws: Draws, *, text_dropout: float) -> View:
    """A clip of `data.frames` frames and `data.images` frames of other clips (LaVie §3.3).

    A sample that cannot be decoded is replaced by the next one of the dataset.

    Raises:
        UserError: a shard cannot be read, or no sample at all can be decoded.
    """
    failures: list[Failure] = []
    pictures, captions, keys = [], [], []

    def take(index: int, purpose: str, place: Callable[[Entry, np.random.Generator], list[int]]) -> None:
        for step in range(len(dataset)):
            rng = draws.rng(purpose)
            entry = dataset.entry((index + step) % len(dataset))
            try:
                frames = decode(dataset.media(entry), place(entry, rng), entry.frames, size=data.size)
            except DecodeError as error:
                failures.append(Failure(entry.key, str(error)))
                continue
            pictures.append(_crop(frames, data.size, rng, flip=data.flip and not _SIDES.search(entry.caption)))
            captions.append("" if rng.random() < text_dropout else entry.caption)
            keys.append(entry.key)
            return
        raise dataset.hopeless(failures[-1].key, failures[-1].reason)

    def piece(entry: Entry, rng: np.random.Generator) -> list[int]:
        start = int(rng.integers(len(entry.frames.pts) - data.span + 1))
        return list(range(start, start + data.span, data.strides[0]))

    def single(entry: Entry, rng: np.random.Generator) -> list[int]:
        return [int(rng.integers(len(entry.frames.pts)))]

    take(draws.index, "clip", piece)
    # A step of 1 to n-1 around the dataset never lands on the clip itself.
    others = draws.rng("images").integers(1, max(2, len(dataset)), data.images)
    for number, other in enumerate(others):
        take((draws.index + int(other)) % len(dataset), f"image-{number}", single)
    return View(np.concatenate(pictures), captions, keys, draws, failures)


def _crop(
    frames: NDArray[np.uint8], size: tuple[int, int], rng: np.random.Generator, *, flip: bool
) -> NDArray[np.uint8]:
    """One random window for all frames, mirrored half of the time if `flip`."""
    top = int(rng.integers(frames.shape[1] - size[0] + 1))
    left = int(rng.integers(frames.shape[2] - size[1] + 1))
    mirrored = rng.random() < 0.5 and flip
    window = frames[:, top : top + size[0], left : left + size[1]]
    return window[:, :, ::-1] if mirrored else window
