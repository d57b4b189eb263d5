"""Gradual transitions: dissolves, fades and wipes, from the tiny pictures of a series.

In the middle of a gradual transition every pixel lies between what it was before and what it will
be after, and the picture as a whole moves from the one to the other at an even pace. Motion and
camera moves break the first, cuts and flashes the second, changes of light leave the picture alike.
Windows of several lengths are tried around every frame; what passes coarse tests is traced to its ends
and judged by a linear rule of a few measures, as Koala-36M (arXiv 2410.08260) judges cuts by a linear SVM.
The rule's weights come from `benchmarks/fit_rules.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from curation.video.series import TINY, Series
from curation.video.tiny import FLAT, alike, all_alike, differ

# Half lengths of the windows in frames; longer ones follow up to the longest transition.
_HALVES = (3, 4, 6, 9, 13, 19, 28, 40, 57, 81)
_LONGEST_S = 3.4
# Where a window is looked into, from -1 (its first frame) to 1 (its last).
_INSIDE = (-0.6, -0.3, 0.0, 0.3, 0.6)
_STRETCH = 2048

# Coarse tests of a window; they only save work.
_LEAST_CHANGE = 12.0
"""Mean difference of its ends, in steps of 8 bits."""
_LEAST_COARSE = 9.0
"""The same over every fourth value."""
_COARSE = 4
_MOST_ALIKE = 0.85
"""Correlation of its ends; a picture that only gets brighter stays alike."""
_MOST_OUTSIDE = 0.6
_MOST_UNEVEN = 0.35
_MOST_AT_ONCE = 0.5
"""Share of the way that may be gone from one of the looked-at frames to the next."""

_STEP = 0.4
"""Share of the way from one frame to the next from which on it is a cut."""
_EDGE = 0.04
"""Share of the way at which a transition begins, and what is left where it ends."""
# A slow camera move takes every tiny pixel evenly to its neighbour. It gives itself away by its ends, which are one
# picture, moved: by at most this many steps down and right, of which `_FINER` are a tiny pixel.
_MOVED_ALIKE = 0.8
_FINER = 4
_MOST_MOVED = (4, 8)
_JOINED = 3
_JOINED_FADES = 12
"""Transitions of one kind with no more frames between them are one. A fade out and in may rest at its black longer."""

# The rule: certainty = logistic(bias + weights · measures). See `_traced`.
WEIGHTS = (4.11, -41.86, -4.94, -0.21, 1.50, -1.64, -1.41, 0.35, 0.00, 9.45)
BIAS = -10.20
CERTAIN = 0.88


@dataclass(frozen=True)
class Transition:
    """Frames [first, end) of a film that show two shots, or one on its way to black or white."""

    first: int
    end: int
    kind: str
    """dissolve | fade | wipe"""


@dataclass(frozen=True)
class _Window:
    middle: int
    half: int
    change: float
    outside: float
    uneven: float

    @property
    def promise(self) -> float:
        """Windows that hold the whole change come before those that hold a part of it."""
        return self.change * (1 - (self.outside + self.uneven) / (_MOST_UNEVEN + _MOST_OUTSIDE))


@dataclass(frozen=True)
class Trace:
    """A window followed to the ends of the transition."""

    first: int
    end: int
    kind: str
    measures: tuple[float, ...]

    @property
    def certainty(self) -> float:
        return float(1 / (1 + np.exp(-(BIAS + np.dot(WEIGHTS, self.measures)))))


def transitions(series: Series, rate: float, cuts: Collection[int] = ()) -> list[Transition]:
    """Every gradual transition of a film, in order, none overlapping.

    Args:
        rate: frames per second; bounds the length that is looked for.
        cuts: records that begin a new shot; a transition is not traced beyond one.
    """
    found: list[Trace] = []
    for trace in traces(series, rate, frozenset(cuts)):
        if (
            trace.certainty >= CERTAIN
            and not any(_touch(trace, other) for other in found)
            and not _is_move(series, trace)
        ):
            found.append(trace)
    joined: list[Transition] = []
    for trace in sorted(found, key=lambda trace: trace.first):
        gap = _JOINED_FADES if trace.kind == "fade" else _JOINED
        if joined and trace.first - joined[-1].end <= gap and trace.kind == joined[-1].kind:
            joined[-1] = Transition(joined[-1].first, trace.end, trace.kind)
        else:
            joined.append(Transition(trace.first, trace.end, trace.kind))
    return joined


def traces(series: Series, rate: float, cuts: Collection[int] = ()) -> Iterator[Trace]:
    """Whatever might be a transition, the most promising first."""
    for window in sorted(_windows(series, rate), key=lambda window: -window.promise):
        if trace := _traced(series, window, cuts):
            yield trace


def _is_move(series: Series, trace: Trace) -> bool:
    """Whether the end of a trace is its beginning, moved."""
    first, last = max(0, trace.first - 1), min(len(series) - 1, trace.end)
    height, width = (side * _FINER for side in TINY)
    down, right = _MOST_MOVED
    before, after = (
        cv2.resize(series.tiny(at, at + 1)[0], (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        for at in (first, last)
    )
    middle = after[down : height - down, right : width - right].reshape(-1)
    return any(
        alike(before[y : y + height - 2 * down, x : x + width - 2 * right].reshape(-1), middle) > _MOVED_ALIKE
        for y in range(2 * down + 1)
        for x in range(2 * right + 1)
    )


def _touch(one: Trace, other: Trace) -> bool:
    return one.first < other.end and other.first < one.end


def _windows(series: Series, rate: float) -> Iterator[_Window]:
    halves = [half for half in _HALVES if 2 * half <= max(80, _LONGEST_S * rate) and 2 * half < len(series)]
    if not halves:
        return
    margin = halves[-1]
    for start in range(0, len(series), _STRETCH):
        first = max(0, start - margin)
        pixels = _pixels(series, first, min(len(series), start + _STRETCH + margin))
        coarse = np.ascontiguousarray(pixels[:, ::_COARSE])
        for half in halves:
            middles = np.arange(max(start, half), min(start + _STRETCH, len(series) - half), max(1, half // 4)) - first
            change = np.abs(coarse[middles + half] - coarse[middles - half]).mean(1)
            yield from _best_near(_passing(pixels, middles[change > _LEAST_COARSE], half), first)


def _pixels(series: Series, first: int, end: int) -> np.ndarray:
    """(frames, values) float32."""
    return series.tiny(first, end).reshape(-1, series.values).astype(np.float32)


def _passing(pixels: np.ndarray, middles: np.ndarray, half: int) -> list[_Window]:
    """The windows of one length that pass the coarse tests."""
    if len(middles) == 0:
        return []
    change = np.abs(pixels[middles + half] - pixels[middles - half]).mean(1)
    middles, change = middles[change > _LEAST_CHANGE], change[change > _LEAST_CHANGE]
    before, after = pixels[middles - half], pixels[middles + half]
    different = all_alike(before, after) < _MOST_ALIKE
    middles, change, before, after = middles[different], change[different], before[different], after[different]
    if len(middles) == 0:
        return []
    outside, way = [], []
    low, high, there = np.minimum(before, after), np.maximum(before, after), after - before
    whole = (there * there).sum(1) + 1e-3
    steps = [int(round(place * half)) for place in _INSIDE]
    for step in steps:
        inside = pixels[middles + step]
        beyond = np.maximum(low - inside, 0) + np.maximum(inside - high, 0)
        outside.append(beyond.mean(1) / (change + 1e-3))
        way.append(((inside - before) * there).sum(1) / whole)
    even = (np.array(steps) / half + 1) / 2
    uneven = np.abs(np.array(way) - even[:, None]).mean(0)
    at_once = np.diff(np.vstack([np.zeros(len(middles)), *way, np.ones(len(middles))]), axis=0).max(0)
    mean_outside = np.mean(outside, axis=0)
    fine = (mean_outside + uneven < _MOST_UNEVEN) & (np.max(outside, axis=0) < _MOST_OUTSIDE)
    fine &= at_once < _MOST_AT_ONCE
    return [
        _Window(int(middles[i]), half, float(change[i]), float(mean_outside[i]), float(uneven[i]))
        for i in np.flatnonzero(fine)
    ]


def _best_near(windows: list[_Window], first: int) -> Iterator[_Window]:
    """Those that no neighbour of the same length outdoes, by their place in the film."""
    for number, window in enumerate(windows):
        near = [
            other
            for other in windows[max(0, number - 6) : number + 7]
            if abs(other.middle - window.middle) <= window.half // 2
        ]
        if window == max(near, key=lambda other: other.promise):
            yield _Window(window.middle + first, window.half, window.change, window.outside, window.uneven)


def _traced(series: Series, window: _Window, cuts: Collection[int]) -> Trace | None:
    """Follow the way of a window outwards to the frames where it begins and ends; None if it jumps."""
    low = max(0, window.middle - 3 * window.half)
    high = min(len(series), window.middle + 3 * window.half + 1)
    pixels = _pixels(series, low, high)
    middle = window.middle - low
    before, after = pixels[middle - window.half], pixels[middle + window.half]
    there = after - before
    way = ((pixels - before) * there).sum(1) / ((there * there).sum() + 1e-3)
    step = float(np.diff(way[middle - window.half : middle + window.half + 1]).max())
    if step > _STEP:
        return None
    first, last = middle, middle
    while first > 0 and way[first - 1] > _EDGE and low + first not in cuts:
        first -= 1
    while last < len(way) - 1 and way[last + 1] < 1 - _EDGE and low + last + 1 not in cuts:
        last += 1
    ends = pixels[max(0, first - 1)], pixels[min(len(pixels) - 1, last + 1)]
    frames = last - first + 1
    change = differ(*ends)
    rest = max(3, frames // 2)
    moved = (_moved(pixels, first - 1 - rest, first - 1), _moved(pixels, last + 1, last + 1 + rest))
    flat = min(end.std() for end in ends) < FLAT
    measures = (
        float(np.log(change + 1)),
        window.outside,
        window.uneven,
        alike(*ends),
        float(np.log1p(sum(moved)) - np.log1p(change)),
        max(moved) / (change + 1),
        min(moved) / (change + 1),
        float(np.log(frames)),
        step * frames,
        float(flat),
    )
    kind = "fade" if flat else "wipe" if _bimodal(pixels[middle], before, after) else "dissolve"
    return Trace(low + first, low + last + 1, kind, measures)


def _moved(pixels: np.ndarray, first: int, last: int) -> float:
    """Mean difference of two frames outside the transition; 0 where there are none."""
    first, last = max(0, first), min(len(pixels) - 1, last)
    return differ(pixels[first], pixels[last]) if last - first >= 2 else 0.0


def _bimodal(inside: np.ndarray, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether pixels show either the one or the other, and not a mix."""
    there = after - before
    clear = np.abs(there) > 24
    if not clear.any():
        return False
    share = (inside - before)[clear] / there[clear]
    return bool(np.mean((share > 0.2) & (share < 0.8)) < 0.35)
