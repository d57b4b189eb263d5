"""A measurer for a pass that leaves frames out: what is missing is filled in between its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from curation.video.measure import BLANK, Measurer, Step, content_scores, describe
from curation.video.probe import Header
from curation.video.series import FRAME
from curation.video.tiny import alike, values

SHOT_CONTENT = 10.0
"""Content score under which two frames are surely of one shot."""
_STILL = 2.0
"""Mean difference of small frames, in steps of 8 bits, under which the content score is surely under that."""


class BridgingMeasurer(Measurer):
    """Writes a record for every frame of the film, also for those that it never sees.

    Motion is measured over a few frames where those between are left out.

    Args:
        pts: of every frame of the film.
    """

    def __init__(self, head: Header, series: Path, thumbnails: Path, pts: Sequence[int], *, size: int):
        super().__init__(head, series, thumbnails, size=size)
        self._path = series
        self._pts = pts
        self.steps: list[Step] = []

    _motion_reach = 4

    @property
    def waiting(self) -> bool:
        """Whether the very next frame is wanted, to measure motion to."""
        return self._sampled is not None

    def small(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame made small."""
        small = np.empty(self.shrinker.values, np.uint8)
        self.shrinker.shrink(frame, small)
        return small

    def content_since(self, frame: av.VideoFrame) -> float:
        """Content score against the frame that was measured last; 0 where it is surely small."""
        if not self.started:
            return 0.0
        small, last = self.small(frame), self._smalls[self._held]
        if cv2.norm(small, last, cv2.NORM_L1) < _STILL * small.size:
            return 0.0
        return float(content_scores(self.shrinker.looks(np.stack([last, small])).hsv)[0])

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

    def _compared(self, first: int) -> None:
        """Note the steps, and share their scores out over the frames that they span."""
        for before, after in zip(self._records[first:], self._records[first + 1 : self._held + 1]):
            content, frames = float(after["content"]), int(after["number"]) - int(before["number"])
            likeness = alike(values(before["tiny"]), values(after["tiny"])) if content >= SHOT_CONTENT else 1.0
            self.steps.append(Step(int(before["number"]), int(after["number"]), content, likeness))
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
