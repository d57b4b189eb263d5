"""Columns of numbers on the disk, and what is asked of them: quantiles, histograms, ends. A piece at a time.

The clips are read once. What is needed of them again lies in temporary files, eight bytes a value or fewer, so that no
column is ever in memory as a whole. All results are exact.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PIECE = 1 << 18
"""Values that are in memory at once."""
_FEW = 1 << 20  # values that may be sorted in memory
_DIGIT = 16  # bits by which values are told apart in one pass


class Columns:
    """Columns of equal length, written once and read piece by piece. Goes away with the object.

    Args:
        piece: values that are in memory at once.
    """

    def __init__(self, piece: int = PIECE):
        self._piece = piece
        self._folder = tempfile.TemporaryDirectory(prefix="reelmill-report-")
        self._types: dict[str, np.dtype] = {}
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Columns:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.finish()
        self._folder.cleanup()

    def append(self, name: str, values: np.ndarray) -> None:
        """Add values to a column; the first ones decide its type."""
        if name not in self._types:
            self._types[name] = values.dtype
            self._open[name] = open(self._path(name), "wb")  # noqa: SIM115
        self._open[name].write(np.ascontiguousarray(values, self._types[name]).data)

    def finish(self) -> None:
        """All columns are complete."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def pieces(self, *names: str) -> Iterator[tuple[np.ndarray, ...]]:
        """These columns side by side."""
        files = [open(self._path(name), "rb") for name in names]  # noqa: SIM115
        try:
            while True:
                found = tuple(np.fromfile(file, self._types[name], self._piece) for name, file in zip(names, files))
                if not len(found[0]):
                    return
                yield found
        finally:
            for file in files:
                file.close()

    def whole(self, name: str) -> np.ndarray:
        """A column in memory: eight bytes a value."""
        if name not in self._types:
            return np.array([])
        return np.fromfile(self._path(name), self._types[name])

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, f"{list(self._types).index(name)}.bin")


Pieces = Callable[[], Iterator[np.ndarray]]
"""Starts a pass over some values, which are finite."""


def quantiles(pieces: Pieces, count: int, shares: Sequence[float], few: int = _FEW) -> list[float]:
    """Values below which these shares of `count` values lie, by linear interpolation as in numpy.

    Args:
        few: values that may be sorted in memory; with more of them they are first told apart by their leading bits.
    """
    places = [share * (count - 1) for share in shares]
    ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, count - 1))})
    values = dict(zip(ranks, _ranked(pieces, count, ranks, few)))
    found = []
    for place in places:
        low, high = values[int(place)], values[min(int(place) + 1, count - 1)]
        inside = low + (place - int(place)) * (high - low)
        found.append(float(min(max(inside, low), high)))
    return found


def _ranked(pieces: Pieces, count: int, ranks: list[int], few: int) -> list[float]:
    """The values at these places of the sorted values."""
    if count <= few:
        everything = np.concatenate([np.asarray(piece, np.float64) for piece in pieces()])
        everything.partition(ranks)
        return [float(everything[rank]) for rank in ranks]
    return [_at(pieces, rank, few) for rank in ranks]


def _at(pieces: Pieces, rank: int, few: int) -> float:
    """Radix selection: of all values those with the right leading bits, until they are few or all the same."""
    prefix, known = np.uint64(0), 0
    while known < 64:
        shift = np.uint64(64 - known - _DIGIT)
        counts = np.zeros(1 << _DIGIT, np.int64)
        for keys in _keys(pieces, prefix, known):
            counts += np.bincount(
                (keys >> shift & np.uint64((1 << _DIGIT) - 1)).astype(np.int64), minlength=1 << _DIGIT
            )
        ends = np.cumsum(counts)
        digit = int(np.searchsorted(ends, rank, side="right"))
        rank -= int(ends[digit] - counts[digit])
        prefix, known = prefix << np.uint64(_DIGIT) | np.uint64(digit), known + _DIGIT
        if counts[digit] <= few and known < 64:
            left = np.concatenate(list(_keys(pieces, prefix, known)))
            left.partition(rank)
            return _value(left[rank])
    return _value(prefix)


def _keys(pieces: Pieces, prefix: np.uint64, known: int) -> Iterator[np.ndarray]:
    """Values as whole numbers in the same order, only those that begin with these bits."""
    for piece in pieces():
        bits = np.asarray(piece, np.float64).view(np.uint64)
        top = np.uint64(1 << 63)
        keys = np.where(bits & top, ~bits, bits | top)
        yield keys[keys >> np.uint64(64 - known) == prefix] if known else keys


def _value(key: np.uint64) -> float:
    top = np.uint64(1 << 63)
    bits = key & ~top if key & top else ~key
    return float(np.array([bits], np.uint64).view(np.float64)[0])


def counted(values: np.ndarray, kept: Bools, edges: Floats) -> tuple[Ints, Ints]:
    """How many values are in each bin, and how many kept ones; what lies outside counts to the outer bins."""
    bins = len(edges) - 1
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    both = np.bincount(at + bins * kept, minlength=2 * bins)
    return both[:bins] + both[bins:], both[bins:]


class Ends:
    """The least and the greatest values of a column and the rows that they are in; of equal ones the first rows."""

    def __init__(self, most: int):
        self._most = most
        self._low: list[tuple[float, int]] = []
        self._high: list[tuple[float, int]] = []

    def add(self, values: np.ndarray, rows: Ints) -> None:
        if not len(values):
            return
        few = min(self._most, len(values))
        for sign, ends in ((1, self._low), (-1, self._high)):
            signed = sign * np.asarray(values, np.float64)
            bound = np.partition(signed, few - 1)[few - 1]
            below = np.flatnonzero(signed < bound)
            at = np.concatenate([below, np.flatnonzero(signed == bound)[: few - len(below)]])
            ends += zip(signed[at].tolist(), rows[at].tolist())
            ends.sort()
            del ends[self._most :]

    @property
    def least(self) -> list[int]:
        """Rows, the least value first."""
        return [row for _, row in self._low]

    @property
    def greatest(self) -> list[int]:
        """Rows, the greatest value first."""
        return [row for _, row in self._high]
