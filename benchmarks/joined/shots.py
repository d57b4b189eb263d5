"""Single shots of films whose cuts are known, and the frames of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from benchmarks.joined.truth import Truth

# Cuts that were marked by hand may lie a frame beside their place, and the ends of fades a few.
_CUT_MARGIN = 2
_RANGE_MARGIN = 4
_SHORTEST = 40
_LOOK = (16, 9)


@dataclass(frozen=True)
class Shot:
    """Frames [first, first + frames) of a film, of one shot and away from its ends."""

    path: Path
    first: int
    frames: int
    pts: int
    """Presentation time of the first frame, in the stream's time base."""
    look: tuple[int, ...]
    """The middle frame as 16 × 9 grey values, to tell shots apart."""

    def unlike(self, other: Shot) -> float:
        """Mean difference of the looks, 0 to 255."""
        return float(np.abs(np.array(self.look) - np.array(other.look)).mean())

    def pictures(self, skipped: int, count: int) -> Iterator[np.ndarray]:
        """`count` frames after the first `skipped`, (H, W, 3) uint8 BGR at the film's own size."""
        to_bgr = VideoReformatter()
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            container.seek(self.pts, stream=stream)
            number = -skipped
            for frame in container.decode(stream):
                if frame.pts is None or frame.pts < self.pts:
                    continue
                if number >= 0:
                    yield to_bgr.reformat(frame, format="bgr24").to_ndarray()
                number += 1
                if number == count:
                    return


def halves(footage: Path, truths: list[Truth]) -> tuple[list[Shot], list[Shot]]:
    """Shots of the first and of the second half of every film; by halves, since shots return within a sequence."""
    early: list[Shot] = []
    late: list[Shot] = []
    for truth in truths:
        shots = _shots(footage / truth.file, truth)
        middle = sum(shot.frames for shot in shots) / 2
        seen = 0
        for shot in shots:
            (early if seen + shot.frames / 2 <= middle else late).append(shot)
            seen += shot.frames
    return early, late


def _shots(path: Path, truth: Truth) -> list[Shot]:
    """One decode of the film, since frame numbers are those of decoded frames."""
    wanted = {(first + end) // 2: (first, end) for first, end in _clean(truth)}
    to_grey = VideoReformatter()
    pts: list[int] = []
    looks: dict[int, tuple[int, ...]] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for number, frame in enumerate(container.decode(stream)):
            assert frame.pts is not None
            pts.append(frame.pts)
            if number in wanted:
                small = to_grey.reformat(frame, *_LOOK, format="gray", interpolation=Interpolation.AREA)
                looks[number] = tuple(int(value) for value in small.to_ndarray().ravel())
    if len(pts) != truth.frames:
        raise ValueError(f"{path.name} has {len(pts)} frames and its truth is of {truth.frames}")
    return [Shot(path, first, end - first, pts[first], looks[middle]) for middle, (first, end) in wanted.items()]


def _clean(truth: Truth) -> list[tuple[int, int]]:
    """Runs of frames [first, end) that touch no cut, no transition and no ignored range."""
    free = np.ones(truth.frames + 1, bool)
    free[-1] = False
    for cut in truth.hard_cuts:
        free[max(0, cut - _CUT_MARGIN) : cut + _CUT_MARGIN] = False
    for first, last in truth.gradual + truth.ignore:
        free[max(0, first - _RANGE_MARGIN) : last + 1 + _RANGE_MARGIN] = False
    edges = np.flatnonzero(np.diff(free, prepend=False)).tolist()
    return [(first, end) for first, end in zip(edges[::2], edges[1::2]) if end - first >= _SHORTEST]
