"""One training sample: read, decode, cut, and whatever its view adds; another stands in where one cannot be used.

All choices come from the draws of the sample (`plan.Draws`), so it is the same whoever makes it and whenever.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curation.errors import UserError
from training.recipe_data import Data
from training.stream.clips import Piece, Window, distinct, piece, single
from training.stream.dataset import Entry
from training.stream.decode import decoder, image
from training.stream.faults import Failure, SampleError
from training.stream.handheld import wander
from training.stream.meter import Meter
from training.stream.plan import Choice, Draws, Pick
from training.stream.probing import frame_index
from training.stream.views import VIEWS, Given

_SIDES = re.compile(r"\b(left|right|leftwards?|rightwards?|clockwise|counterclockwise)\b", re.IGNORECASE)


@dataclass
class Sample:
    """One training sample but for its pictures."""

    captions: list[str]
    """The clip's, then one for every single frame; empty means unconditional."""
    keys: list[str]
    """The dataset's samples that it was made of, in the order of the captions."""
    draws: Draws
    fps: float
    """Frames a second of the clip as it was taken, by its timestamps."""
    given: Given
    failures: list[Failure] = field(default_factory=list)
    """Samples that others stand in for."""


class Maker:
    """Makes samples; may be called from several threads.

    Args:
        text_dropout: share of captions that are replaced by the empty one.

    Raises:
        UserError: the library that shall decode is not installed.
    """

    def __init__(self, data: Data, *, text_dropout: float, meter: Meter):
        self.data = data
        self.text_dropout = text_dropout
        self.meter = meter
        self.view = VIEWS[data.view]
        self._decode = decoder(data.decoder)

    def __call__(self, pick: Pick, out: NDArray[np.uint8]) -> Sample:
        """Make a sample; its pictures go to `out`, (frames + images, height, width, 3).

        Raises:
            UserError: a dataset cannot be read, or none of its samples can be used.
        """
        frames = len(out) - len(pick.images)
        failures: list[Failure] = []
        entry, caption, fps = self._fill(pick.clip, out[:frames], failures)
        captions, keys = [caption], [entry.key]
        for number, choice in enumerate(pick.images):
            entry, caption, _ = self._fill(choice, out[frames + number :][:1], failures)
            captions.append(caption)
            keys.append(entry.key)
        draws = pick.clip.draws
        given = self.view.give(out, frames, self.data, draws)
        return Sample(captions, keys, draws, fps, given, failures)

    def _fill(self, choice: Choice, out: NDArray[np.uint8], failures: list[Failure]) -> tuple[Entry, str, float]:
        """Decode what was chosen, or the first after it that can be used."""
        for step in range(len(choice.rows)):
            number = int(choice.rows[(choice.place + step) % len(choice.rows)])
            entry = None
            try:
                entry = choice.dataset.entry(number)
                fps = self._take(choice, entry, out)
            except SampleError as error:
                where = (entry.shard, entry.key) if entry else (choice.dataset.url, f"number {number}")
                failures.append(Failure(*where, error.fault, error.message))
                continue
            dropped = choice.draws.rng(f"{choice.purpose} caption").random() < self.text_dropout
            return entry, "" if dropped else entry.caption, fps
        raise UserError(f"{choice.dataset.url}: none of its samples can be used, the last was {failures[-1]}")

    def _take(self, choice: Choice, entry: Entry, out: NDArray[np.uint8]) -> float:
        rng = choice.draws.view(choice.purpose)
        media = choice.dataset.media(entry)
        size = out.shape[1], out.shape[2]
        window = Window.drawn(
            choice.draws.view(f"{choice.purpose} window"), flip=self.data.flip and not _SIDES.search(entry.caption)
        )
        started = time.perf_counter()
        if entry.kind == "image":
            picture = image(media, size=size, native=self.view.native)
            wander(picture, out, window, speed=self.data.handheld or 0.0, rng=rng)
            taken = Piece([0], 0.0)
        else:
            index = entry.index or frame_index(media)
            chosen_from_clip = choice.purpose == "clip"
            taken = piece(index, len(out), self.data, rng) if chosen_from_clip else single(index, rng)
            wanted, places = distinct(taken.frames)
            pictures = self._decode(media, wanted, index, size=size, native=self.view.native)
            _spread(pictures, places, window, out)
        self.meter.decoded(len(out), time.perf_counter() - started)
        return taken.fps


def _spread(pictures: Iterator[NDArray[np.uint8]], places: list[int], window: Window, out: NDArray[np.uint8]) -> None:
    """Cut each picture out into all the places where it is wanted."""
    reached = -1
    for slot, place in enumerate(places):
        if place == reached:
            out[slot] = out[slot - 1]
            continue
        reached = place
        window.cut(next(pictures), out[slot])
