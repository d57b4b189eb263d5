"""Text columns: how often each value occurs, and which row has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.phases.report.numbers.scan import Bools

_MOST = 1 << 18  # different values that are told apart


@dataclass(frozen=True)
class Share:
    """One value of a text column."""

    label: str
    all: int
    kept: int


class Labels:
    """Counts the values of a column as they come.

    Args:
        most: different values that are told apart; what comes after them counts as one.
    """

    def __init__(self, most: int = _MOST):
        self._most = most
        self._numbers: dict[str | None, int] = {}
        self._all = np.zeros(0, np.int64)
        self._kept = np.zeros(0, np.int64)
        self.unnamed = self.unnamed_kept = 0
        """Values beyond the ones that are told apart."""

    def add(self, column: pa.ChunkedArray | pa.Array, kept: Bools) -> npt.NDArray[np.int32]:
        """The number of each value; -1 for one that is not told apart."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        encoded = array.dictionary_encode(null_encoding="encode")
        numbers = np.array([self._number(name) for name in encoded.dictionary.to_pylist()], np.int32)
        codes = numbers[encoded.indices.to_numpy()] if len(numbers) else np.zeros(0, np.int32)
        named = codes >= 0
        size = len(self._numbers)
        self._all = _grown(self._all, size) + np.bincount(codes[named], minlength=size)
        self._kept = _grown(self._kept, size) + np.bincount(codes[named & kept], minlength=size)
        self.unnamed += int((~named).sum())
        self.unnamed_kept += int((~named & kept).sum())
        return codes

    def _number(self, name: str | None) -> int:
        if name not in self._numbers and len(self._numbers) >= self._most:
            return -1
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def names(self) -> list[str | None]:
        return list(self._numbers)

    @property
    def known(self) -> bool:
        """Whether any row has a value."""
        return any(name is not None for name in self._numbers)

    def counts(self) -> list[tuple[str | None, int, int]]:
        """Value, rows, kept rows; the most frequent first."""
        found = zip(self._numbers, self._all.tolist(), self._kept.tolist())
        return sorted(found, key=lambda one: (-one[1], one[0] or ""))

    def shares(self, most: int) -> list[Share]:
        """The most frequent values, then all others as one, then those without a value."""
        counts = self.counts()
        named = [Share(label, every, kept) for label, every, kept in counts if label is not None]
        found, rest = named[:most], named[most:]
        if rest or self.unnamed:
            every = sum(one.all for one in rest) + self.unnamed
            kept = sum(one.kept for one in rest) + self.unnamed_kept
            told = f"{len(rest):,} others" if not self.unnamed else f"more than {len(rest):,} others"
            found.append(Share(told, every, kept))
        found += [Share("none given", every, kept) for label, every, kept in counts if label is None]
        return found


def _grown(counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    return np.concatenate([counts, np.zeros(size - len(counts), np.int64)])


def top(shares: Sequence[Share]) -> int:
    return max((one.all for one in shares), default=0)
