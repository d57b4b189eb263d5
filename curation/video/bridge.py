"""A measurer for a pass that leaves frames out: what is missing is filled in between its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from curation.video.measure import BLANK, JUMP, Measurer, content_scores, describe
from curation.video.probe import Header
from curation.video.series import FRAME, TINY
from curation.video.tiny import FLAT, alike, values

SHOT_CONTENT = 10.0
"""Content score under which two frames are surely of one shot."""
_STILL = 2.0
"""Mean difference of small frames, in steps of 8 bits, under which nothing changes that matters."""


class Step(NamedTuple):
    """From one measured frame to the next, which may be frames away."""

    before: int
    number: int
    content: float
    alike: float
    """1 where it does not matter: between frames that follow each other, and where the content score is small."""
    flat: bool
    """Whether either of the two shows nothing."""


class BridgingMeasurer(Measurer):
    """Writes a record for every frame of the film, also for those that it never sees.

    Motion is measured over a few frames where those between are left out.

    Args:
        pts: of every frame of the film.
    """

    _motion_reach = 4
    _after_jump = 2
    _calm_periods = 4

    def __init__(self, head: Header, series: Path, thumbnails: Path, pts: Sequence[int], *, size: int):
        super().__init__(head, series, thumbnails, size=size)
        self._path = series
        self._pts = pts
        self.steps: list[Step] = []
        self._small: dict[int | None, np.ndarray] = {}

    @property
    def waiting(self) -> bool:
        """Whether the very next frame is wanted, to measure motion to."""
        return self._sampled is not None

    def small(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame made small, which is kept until the frame is measured."""
        small = self._small[frame.pts] = np.empty(self.shrinker.values, np.uint8)
        self.shrinker.shrink(frame, small)
        return small

    def change(self, one: np.ndarray, other: np.ndarray) -> float:
        """How much the tiny pictures of two small frames differ, luma and colours together, in steps of 8 bits."""
        if cv2.norm(one, other, cv2.NORM_L1) < _STILL * one.size:
            return 0.0
        pairs = zip(self._tiny_planes(one), self._tiny_planes(other))
        return sum(cv2.norm(*pair, cv2.NORM_L1) for pair in pairs) / (TINY[0] * TINY[1])

    def _tiny_planes(self, small: np.ndarray) -> list[np.ndarray]:
        return [cv2.resize(plane, TINY[::-1], interpolation=cv2.INTER_AREA) for plane in self.shrinker.planes(small)]

    def finish(self) -> None:
        """Measure what is left, and repeat the last frame up to the film's end."""
        finishing = self.started
        super().finish()
        if finishing:
            last = self._records[0]
            self._fill(last, last, len(self._pts))

    def replace(self, first: int, smalls: np.ndarray) -> None:
        """Put in what was seen after all, of frames that follow each other; the first one only to compare with.

        The series must be finished.
        """
        end = first + len(smalls)
        self.steps = [step for step in self.steps if not (step.before >= first and step.number < end)]
        looks = self.shrinker.looks(smalls)
        records = np.memmap(self._path, FRAME, "r+")
        records["content"][first + 1 : end] = content_scores(looks.hsv)
        describe(records[first + 1 : end], smalls[1:], looks.bgr[1:], self.shrinker)
        records.flush()

    def moved(self, one: int, other: int) -> float:
        """Most that the picture differs from that of frame `one`, up to another frame, in steps of 8 bits."""
        first, last = sorted((one, other))
        tiny = np.memmap(self._path, FRAME, "r")["tiny"][first : last + 1].astype(np.float32)
        return float(np.abs(tiny - tiny[one - first]).mean((1, 2, 3)).max())

    def hold(self, at: int) -> None:
        """Take it that the whole of a step happens at its last frame; the series must be finished."""
        before, number, *_ = step = self.steps[at]
        self.steps[at] = step._replace(before=number - 1)
        records = np.memmap(self._path, FRAME, "r+")
        for name in ("tiny", "brightness", "contrast"):
            records[name][before + 1 : number] = records[name][before]
        records["content"][before + 1 : number] = records["content"][before]
        records["content"][number] = step.content
        records.flush()

    def _shrink(self, frame: av.VideoFrame, into: np.ndarray) -> None:
        small = self._small.pop(frame.pts, None)
        if small is None:
            super()._shrink(frame, into)
        else:
            into[:] = small

    def _jumps(self, place: int) -> bool:
        """By tiny pictures, which motion over a few frames changes little."""
        return self.started and self.change(self._smalls[place], self._smalls[place - 1]) > JUMP

    def _compared(self, first: int) -> None:
        """Note the steps, and share their scores out over the frames that they span."""
        for before, after in zip(self._records[first:], self._records[first + 1 : self._held + 1]):
            content, frames = float(after["content"]), int(after["number"]) - int(before["number"])
            likeness, flat = 1.0, False
            if frames > 1 and content >= SHOT_CONTENT:
                likeness = alike(values(before["tiny"]), values(after["tiny"]))
                flat = min(before["tiny"].std(), after["tiny"].std()) < FLAT
            self.steps.append(Step(int(before["number"]), int(after["number"]), content, likeness, flat))
            after["content"] = content / frames

    def _write(self, first: int, end: int) -> None:
        for place in range(first, end):
            super()._write(place, place + 1)
            if place < self._held:
                before, after = self._records[place : place + 2]
                self._fill(before, after, int(after["number"]))

    def _fill(self, before: np.void, after: np.void, end: int) -> None:
        """Records after one frame and before frame `end`, on an even way to another one's picture."""
        first = int(before["number"]) + 1
        if first >= end:
            return
        records = np.full(end - first, BLANK, FRAME)
        share = np.arange(1, len(records) + 1) / (len(records) + 1)
        records["number"], records["pts"] = np.arange(first, end), self._pts[first:end]
        records["content"] = after["content"] if after["number"] == end else 0.0
        for name in ("tiny", "brightness", "contrast"):
            low, high = before[name].astype(np.float32), after[name].astype(np.float32)
            even = low + (high - low) * share.reshape(-1, *[1] * low.ndim)
            records[name] = np.rint(even) if name == "tiny" else even
        self._writer.extend(records)
