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
from curation.video.tiny import FLAT, alike, all_alike, differ, products, values

# Half lengths of the windows in frames; longer ones follow up to the longest transition.
_HALVES = (3, 4, 6, 9, 13, 19, 28, 40, 57, 81)
_LONGEST_S = 3.4
# Where a window is looked into, from -1 (its first frame) to 1 (its last).
_INSIDE = (-0.6, -0.3, 0.0, 0.3, 0.6)
_STRETCH = 2048
_NEAR = 6
"""A window is compared with at most so many others on either side."""

# Coarse tests of a window; they only save work.
_LEAST_CHANGE = 12.0
"""Mean difference of its ends, in steps of 8 bits."""
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
WEIGHTS = (4.37, -44.26, -6.31, 0.07, 1.37, -1.42, -1.83, 0.39, 0.07, 7.76)
BIAS = -11.40
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

    window: _Window
    first: int
    end: int
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
    shots = frozenset(cuts)
    for window in _promising(series, rate):
        # A trace holds the middle of its window.
        if any(other.first <= window.middle < other.end for other in found):
            continue
        trace = _traced(series, window, shots)
        if (
            trace
            and trace.certainty >= CERTAIN
            and not any(_touch(trace, other) for other in found)
            and not _is_move(series, trace)
        ):
            found.append(trace)
    joined: list[Transition] = []
    for trace in sorted(found, key=lambda trace: trace.first):
        kind = _kind(series, trace)
        gap = _JOINED_FADES if kind == "fade" else _JOINED
        if joined and trace.first - joined[-1].end <= gap and kind == joined[-1].kind:
            joined[-1] = Transition(joined[-1].first, trace.end, kind)
        else:
            joined.append(Transition(trace.first, trace.end, kind))
    return joined


def traces(series: Series, rate: float, cuts: Collection[int] = ()) -> Iterator[Trace]:
    """Whatever might be a transition, the most promising first."""
    for window in _promising(series, rate):
        if trace := _traced(series, window, cuts):
            yield trace


def _promising(series: Series, rate: float) -> list[_Window]:
    return sorted(_windows(series, rate), key=lambda window: -window.promise)


def _is_move(series: Series, trace: Trace) -> bool:
    """Whether the end of a trace is its beginning, moved."""
    first, last = max(0, trace.first - 1), min(len(series) - 1, trace.end)
    height, width = (side * _FINER for side in TINY)
    down, right = _MOST_MOVED
    before, after = (
        cv2.resize(series.tiny(at, at + 1)[0], (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float64)
        for at in (first, last)
    )
    middle = after[down : height - down, right : width - right]
    moved = np.lib.stride_tricks.sliding_window_view(before, middle.shape)
    return bool((all_alike(moved.reshape(-1, middle.size), middle.reshape(1, -1)) > _MOVED_ALIKE).any())


def _touch(one: Trace, other: Trace) -> bool:
    return one.first < other.end and other.first < one.end


def _windows(series: Series, rate: float) -> Iterator[_Window]:
    halves = [half for half in _HALVES if 2 * half <= max(80, _LONGEST_S * rate) and 2 * half < len(series)]
    if not halves:
        return
    for start in range(0, len(series), _STRETCH):
        yield from _of_stretch(series, start, halves)


def _of_stretch(series: Series, start: int, halves: list[int]) -> Iterator[_Window]:
    """The windows of these half lengths with their middles in the stretch that begins at a record."""
    first = max(0, start - halves[-1])
    tiny = series.tiny(first, min(len(series), start + _STRETCH + halves[-1]))
    pictures, pixels = tiny.reshape(len(tiny), -1), values(tiny)
    for half in halves:
        step = max(1, half // 4)
        middles = np.arange(max(start, half), min(start + _STRETCH, len(series) - half), step) - first
        if len(middles):
            yield from _best_near(list(_passing(pictures, pixels, middles, half, first)), half // 2)


def _passing(pictures: np.ndarray, pixels: np.ndarray, middles: np.ndarray, half: int, first: int) -> Iterator[_Window]:
    """The windows of one length that pass the coarse tests.

    Args:
        pictures: (frames, values) uint8 from frame `first` of the film on.
        pixels: their `values`.
        middles: where in them windows are tried.
    """
    size = pictures.shape[1]
    change = _sums(cv2.absdiff(pictures[middles + half], pictures[middles - half])) / size
    middles, change = middles[change > _LEAST_CHANGE], change[change > _LEAST_CHANGE]
    start, end = pixels[middles - half], pixels[middles + half]
    different = all_alike(start, end) < _MOST_ALIKE
    middles, change, start, end = middles[different], change[different], start[different], end[different]
    if not len(middles):
        return
    before, after = pictures[middles - half], pictures[middles + half]
    low, high, there = cv2.min(before, after), cv2.max(before, after), end - start
    begun = products(start, there)
    whole = products(end, there) - begun + 1e-3
    outside, way = [], []
    steps = [int(round(place * half)) for place in _INSIDE]
    for step in steps:
        inside = pictures[middles + step]
        beyond = _sums(cv2.subtract(low, inside)) + _sums(cv2.subtract(inside, high))
        outside.append(beyond / size / (change + 1e-3))
        way.append((products(pixels[middles + step], there) - begun) / whole)
    even = (np.array(steps) / half + 1) / 2
    uneven = np.abs(np.array(way) - even[:, None]).mean(0)
    at_once = np.diff(way, axis=0, prepend=0.0, append=1.0).max(0)
    mean_outside = np.mean(outside, axis=0)
    fine = (mean_outside + uneven < _MOST_UNEVEN) & (np.max(outside, axis=0) < _MOST_OUTSIDE)
    fine &= at_once < _MOST_AT_ONCE
    for i in np.flatnonzero(fine):
        yield _Window(int(middles[i]) + first, half, float(change[i]), float(mean_outside[i]), float(uneven[i]))


def _sums(rows: np.ndarray) -> np.ndarray:
    """Of each of (rows, values) uint8."""
    found: np.ndarray = cv2.reduce(rows, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
    return found


def _best_near(windows: list[_Window], reach: int) -> Iterator[_Window]:
    """Those of one length, by their middles, that none within reach outdoes."""
    middles = np.array([window.middle for window in windows])
    promises = np.array([window.promise for window in windows])
    best = np.ones(len(windows), bool)
    for shift in range(1, min(_NEAR, len(windows) - 1) + 1):
        near = middles[shift:] - middles[:-shift] <= reach
        better = promises[shift:] > promises[:-shift]
        best[:-shift] &= ~(near & better)
        best[shift:] &= ~(near & ~better)
    return (windows[number] for number in np.flatnonzero(best))


def _traced(series: Series, window: _Window, cuts: Collection[int]) -> Trace | None:
    """Follow the way of a window outwards to the frames where it begins and ends; None if it jumps."""
    low = max(0, window.middle - 3 * window.half)
    high = min(len(series), window.middle + 3 * window.half + 1)
    pixels = values(series.tiny(low, high))
    middle = window.middle - low
    before, after = pixels[middle - window.half], pixels[middle + window.half]
    gone = products(pixels, after - before)
    begun, ended = gone[middle - window.half], gone[middle + window.half]
    way = (gone - begun) / (ended - begun + 1e-3)
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
    return Trace(window, low + first, low + last + 1, measures)


def _moved(pixels: np.ndarray, first: int, last: int) -> float:
    """Mean difference of two frames outside the transition; 0 where there are none."""
    first, last = max(0, first), min(len(pixels) - 1, last)
    return differ(pixels[first], pixels[last]) if last - first >= 2 else 0.0


def _kind(series: Series, trace: Trace) -> str:
    if trace.measures[-1]:
        return "fade"
    middle, half = trace.window.middle, trace.window.half
    before, inside, after = (values(series.tiny(at, at + 1)[0]) for at in (middle - half, middle, middle + half))
    return "wipe" if _bimodal(inside, before, after) else "dissolve"


def _bimodal(inside: np.ndarray, before: np.ndarray, after: np.ndarray) -> bool:
    """Whether pixels show either the one or the other, and not a mix."""
    there = after - before
    clear = np.abs(there) > 24
    if not clear.any():
        return False
    share = (inside - before)[clear] / there[clear]
    return bool(np.mean((share > 0.2) & (share < 0.8)) < 0.35)
