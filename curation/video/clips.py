"""Cuts and transitions to clips: every frame of a film in one row, with what was measured on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.video.gradual import Transition
from curation.video.series import Series
from curation.video.thumbnails import Thumbnail, spread
from curation.video.tiny import looks

SCENE = "scene"
# Frames that no given range covers.
OUTSIDE = "outside"
# The one row of a picture that is no video.
IMAGE = "image"
# FFmpeg's blackdetect calls pixels under a tenth of the range black; a mean under half of that leaves no picture.
_BLACK_BRIGHTNESS = 0.05
_BLACK_CONTRAST = 0.05
# Content score up to which a frame repeats the one before: what an encoder leaves of a held picture. Ours: at the value
# of FFmpeg's freezedetect (a thousandth of the range, 0.25) calm animation already counts as frozen.
_FROZEN_CONTENT = 0.1


@dataclass(frozen=True)
class Stretch:
    """Frames [first, end) that belong together."""

    first: int
    end: int
    kind: str
    """scene, outside, or a transition's kind"""
    scene: int
    """Number of the scene or transition in the film, from 0."""
    piece: int = 0
    """Number of the piece where a long scene was divided, from 0."""
    trimmed: int = 0
    """Frames left off at both ends together."""


def stretches(frames: int, cuts: Sequence[int], transitions: Sequence[Transition]) -> list[Stretch]:
    """A film of so many frames, divided at its cuts and around its transitions, without gap or overlap."""
    edges = {0, frames, *(cut for cut in cuts if 0 < cut < frames)}
    kinds = {}
    for transition in transitions:
        kinds[transition.first] = transition.kind
        edges = {edge for edge in edges if not transition.first < edge < transition.end}
        edges |= {transition.first, min(frames, transition.end)}
    rising = sorted(edges)
    return [
        Stretch(first, end, kinds.get(first, SCENE), number)
        for number, (first, end) in enumerate(zip(rising, rising[1:]))
    ]


def as_given(times: np.ndarray, ranges: Sequence[Sequence[float]]) -> tuple[list[Stretch], int]:
    """A film divided at the ranges that were given for it, without gap or overlap; and how many of them are empty.

    A range begins with the frame nearest to its start and ends before the one nearest to its end, since tables round
    times. What two ranges claim belongs to the first.

    Args:
        times: of every frame, from the first one on, and of the end of the last. Seconds.
        ranges: starts and ends in the order of time. Seconds.
    """
    frames, edges, empty = len(times) - 1, [], 0
    middles = (times[:-1] + times[1:]) / 2
    reached = 0
    for start, end in ranges:
        first = max(reached, int(np.searchsorted(middles, start, side="left")))
        last = int(np.searchsorted(middles, end, side="left"))
        if last <= first:
            empty += 1
            continue
        edges += [(reached, first, OUTSIDE), (first, last, SCENE)]
        reached = last
    edges.append((reached, frames, OUTSIDE))
    there = [edge for edge in edges if edge[1] > edge[0]]
    return [Stretch(first, end, kind, number) for number, (first, end, kind) in enumerate(there)], empty


def pieces(stretch: Stretch, seconds: float, *, trim: int, max_seconds: float, min_frames: int) -> Iterator[Stretch]:
    """A scene without `trim` frames at each end, divided evenly where it is longer than `max_seconds`.

    What would have fewer than `min_frames` left is not trimmed, and no piece gets shorter than that.
    Pieces differ by one frame at most. Transitions stay as they are.
    """
    if stretch.kind != SCENE:
        yield stretch
        return
    frames = stretch.end - stretch.first
    cut_off = trim if frames - 2 * trim >= min_frames else 0
    first, end = stretch.first + cut_off, stretch.end - cut_off
    left = end - first
    count = max(1, -int(-(seconds * left / frames) // max_seconds))
    count = max(1, min(count, left // min_frames))
    edges = [first + left * piece // count for piece in range(count + 1)]
    for piece, (low, high) in enumerate(zip(edges, edges[1:])):
        trimmed = (cut_off if piece == 0 else 0) + (cut_off if piece == count - 1 else 0)
        yield Stretch(low, high, SCENE, stretch.scene, piece, trimmed)


def row(
    stretch: Stretch, series: Series, pts: np.ndarray, end_pts: int, thumbnails: Sequence[Thumbnail], count: int
) -> dict[str, Any]:
    """A clip as JSON-ready facts; its thumbnails as places in the file of pictures.

    Args:
        pts: of every frame, in the stream's time base.
        end_pts: where the last frame ends.
        count: how many thumbnails are chosen.
    """
    first, end = stretch.first, stretch.end
    inside = slice(first, end)
    # The first frame's score and the last one's motion look at frames outside.
    content = series.column("content")[first + 1 : end]
    motion = {name: series.column(name)[first : max(first, end - 1)] for name in ("motion", "motion_x", "motion_y")}
    brightness, contrast = series.column("brightness")[inside], series.column("contrast")[inside]
    return {
        "scene": stretch.scene,
        "piece": stretch.piece,
        "kind": stretch.kind,
        "trimmed": stretch.trimmed,
        "first_frame": first,
        "frames": end - first,
        "start_pts": int(pts[first]),
        "end_pts": int(pts[end]) if end < len(pts) else end_pts,
        **{name: _mean(values) for name, values in motion.items()},
        "sharpness": _mean(series.column("sharpness")[inside]),
        "brightness": _mean(brightness),
        "black": float(np.mean(is_black(brightness, contrast))),
        "frozen": float(np.mean(content <= _FROZEN_CONTENT)) if len(content) else None,
        "thumbnails": [list(thumbnail) for thumbnail in spread(thumbnails, count, first, end)],
        "looks": looks(series.tiny(first, end)).tobytes(),
    }


def is_black(brightness: Any, contrast: Any) -> Any:
    """Whether pictures of this mean and deviation of luma, each from 0 to 1, show nothing."""
    return (brightness < _BLACK_BRIGHTNESS) & (contrast < _BLACK_CONTRAST)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None
