"""A measurer for a pass that leaves frames out: what is missing is filled in between its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from curation.video.measure import Look, Measurer, Step, content_score, describe
from curation.video.probe import Header
from curation.video.series import FRAME
from curation.video.tiny import alike, values

SHOT_CONTENT = 10.0
"""Content score under which two frames are surely of one shot."""


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

    def content_since(self, look: Look) -> float:
        """Content score against the frame that was measured last."""
        return content_score(look.hsv, self._last.hsv) if self._last is not None else 0.0

    def alike_since(self, look: Look) -> float:
        """Correlation of the tiny pictures with the frame that was measured last."""
        return alike(values(look.tiny), values(self._last.tiny)) if self._last is not None else 1.0

    def feed(self, number: int, pts: int, frame: av.VideoFrame, look: Look | None = None) -> None:
        look = look or self.look(frame)
        if self._last is None:
            super().feed(number, pts, frame, look)
            return
        before = self.count - 1
        content = self.content_since(look)
        likeness = self.alike_since(look) if content >= SHOT_CONTENT else 1.0
        self.steps.append(Step(before, number, content, likeness))
        self._fill(number, self._last, look, content)
        super().feed(number, pts, frame, look)
        self._writer.record(number)["content"] = content / (number - before)

    def fill_up(self) -> None:
        """Repeat the last frame up to the film's end."""
        if self._last is not None:
            self._fill(len(self._pts), self._last, self._last, 0.0)

    def replace(self, looks: Sequence[tuple[int, Look]]) -> None:
        """Put in what was seen after all, of frames that follow each other; the first one only to compare with.

        The series must be finished.
        """
        done = {number for number, _ in looks}
        self.steps = [step for step in self.steps if not (step.before in done and step.number in done)]
        records = np.memmap(self._path, FRAME, "r+")
        for (_, before), (number, look) in zip(looks, looks[1:]):
            records[number]["content"] = content_score(look.hsv, before.hsv)
            describe(records[number], look)
        records.flush()

    def _fill(self, end: int, before: Look, after: Look, content: float) -> None:
        """Records up to frame `end`, on an even way from one picture to the other."""
        first = self.count
        low, high = before.tiny.astype(np.float32), after.tiny.astype(np.float32)
        ends = np.zeros(2, FRAME)
        describe(ends[0], before)
        describe(ends[1], after)
        for number in range(first, end):
            share = (number - first + 1) / (end - first + 1)
            record = self._writer.next()
            record["number"], record["pts"] = number, self._pts[number]
            record["content"], record["histogram"] = content / (end - first + 1), 1.0
            record["tiny"] = np.rint(low + (high - low) * share)
            for name in ("brightness", "contrast"):
                record[name] = ends[0][name] + (ends[1][name] - ends[0][name]) * share
            record["sharpness"] = record["motion"] = record["motion_x"] = record["motion_y"] = np.nan
