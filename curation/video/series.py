"""What the split pass notes of every frame: a few numbers and a tiny picture, in a file of fixed records.

A film's series is all that deciding on scenes needs, so that a film may be decoded in parallel segments
whose series are joined, and so that memory does not grow with the film: numbers are read one
column at a time, tiny pictures one stretch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

# Height and width of the tiny pictures: coarse enough that motion inside a scene changes them little.
TINY = (9, 16)

FRAME = np.dtype(
    [
        ("pts", "<i8"),
        ("number", "<i4"),  # the frame's place in the file, from 0 in each segment
        ("content", "<f8"),  # PySceneDetect's content score against the frame before
        ("histogram", "<f8"),  # correlation of luma histograms with the frame before
        ("brightness", "<f4"),  # mean luma, 0 to 1
        ("contrast", "<f4"),  # standard deviation of luma, 0 to 1
        ("sharpness", "<f4"),  # where sampled, else NaN; so are the three below
        ("motion", "<f4"),
        ("motion_x", "<f4"),
        ("motion_y", "<f4"),
        ("tiny", "u1", (*TINY, 3)),  # BGR
    ]
)
_STRETCH = 4096


class SeriesWriter:
    """Appends finished records to a file."""

    def __init__(self, path: Path):
        self._file = open(path, "wb")  # noqa: SIM115  (closed on exit)

    def __enter__(self) -> SeriesWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def extend(self, records: np.ndarray) -> None:
        """Append records (frames,) of `FRAME`."""
        self._file.write(records.tobytes())


class Series:
    """The records of one or more files that `SeriesWriter` made, one after the other."""

    def __init__(self, paths: Iterable[Path]):
        self._parts = [(path, path.stat().st_size // FRAME.itemsize) for path in paths]
        self._columns: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return sum(count for _, count in self._parts)

    @property
    def values(self) -> int:
        """Values in a tiny picture."""
        return TINY[0] * TINY[1] * 3

    def column(self, name: str) -> np.ndarray:
        """One number of every frame, shape (frames,)."""
        if name not in self._columns:
            stretches = [stretch[name].copy() for stretch in self._stretches()]
            self._columns[name] = np.concatenate(stretches) if stretches else np.zeros(0, FRAME[name])
        return self._columns[name]

    def tiny(self, first: int, end: int) -> np.ndarray:
        """Tiny pictures of records [first, end), shape (frames, 9, 16, 3) uint8."""
        found = []
        start = 0
        for path, count in self._parts:
            low, high = max(first, start), min(end, start + count)
            if low < high:
                found.append(_read(path, low - start, high - start)["tiny"])
            start += count
        return np.concatenate(found) if found else np.zeros((0, *TINY, 3), np.uint8)

    def _stretches(self) -> Iterator[np.ndarray]:
        for path, count in self._parts:
            for first in range(0, count, _STRETCH):
                yield _read(path, first, min(count, first + _STRETCH))


def _read(path: Path, first: int, end: int) -> np.ndarray:
    with open(path, "rb") as file:
        return np.fromfile(file, FRAME, count=end - first, offset=first * FRAME.itemsize)
