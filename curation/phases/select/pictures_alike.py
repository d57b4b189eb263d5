"""Which clips show the same pictures: perceptual hashes, compared in time order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.phases.select.percentiles import Bools, Ints

Hashes = npt.NDArray[np.uint64]
Pairs = tuple[Ints, Ints]

_BITS = 64
# A picture sets half of its 64 bits by construction. Only a flat one, whose frequencies are all nought, does not.
_BALANCED = (24, 40)
# What more clips than this show at some time (a logo, a test card) says nothing of one of them.
_COMMON = 1000
_CHUNK = 1 << 18  # pairs compared at a time


class PicturesAlike:
    """Two clips are alike if more than half of the pictures of the one with more match, in the same order.

    Pictures match if their hashes differ in at most `distance` bits. The search is exact: two hashes that differ
    in few bits are equal or nearly equal in one of their parts (Norouzi, Punjani and Fleet 2012, "Fast search in
    Hamming space with multi-index hashing"; faiss's IndexBinaryMultiHash). Images are only compared with images.

    Args:
        hashes: for every clip its pictures' hashes in time order, lists of uint64.
        image: for every clip whether it is an image.
        distance: 0 to 8. Up to 3 the search is fastest, from 6 on it is slow.
    """

    def __init__(self, hashes: pa.ChunkedArray, image: Bools, distance: int):
        self._hashes, self._sizes = _aligned(hashes)
        self._image = image
        self._distance = distance
        self._owners = np.empty(int(self._sizes.sum()), np.int64)
        self._index = self._empty()

    def known(self, rows: Ints) -> Pairs:
        """Of these clips, those that are like added ones: pairs of the clip and the added one."""
        return self._found(rows, self._index, self._owners)

    def among(self, rows: Ints) -> Pairs:
        """Pairs of these clips that are alike."""
        index, owners = self._empty(), self._owner_of_each(rows)
        index.add(self._bytes(rows))
        return self._found(rows, index, owners)

    def add(self, rows: Ints) -> None:
        owners = self._owner_of_each(rows)
        if len(owners):
            self._owners[self._index.ntotal : self._index.ntotal + len(owners)] = owners
            self._index.add(self._bytes(rows))

    def _empty(self) -> Any:
        import faiss

        parts = 2 if self._distance <= 3 else 3
        index = faiss.IndexBinaryMultiHash(_BITS, parts, _BITS // parts)
        index.nflip = self._distance // parts
        return index

    def _shown(self, sizes: Ints) -> Bools:
        return np.arange(self._hashes.shape[1]) < sizes[:, None]

    def _owner_of_each(self, rows: Ints) -> Ints:
        return np.repeat(rows, self._sizes[rows])

    def _bytes(self, rows: Ints) -> npt.NDArray[np.uint8]:
        return _bytes(self._hashes[rows][self._shown(self._sizes[rows])])

    def _found(self, rows: Ints, index: Any, owners: Ints) -> Pairs:
        none = np.empty(0, np.int64)
        if not len(rows) or not index.ntotal:
            return none, none
        # Where more than half of the pictures match, one of the first half (rounded up) does.
        asked = (self._sizes[rows] + 1) // 2
        queries = _bytes(self._hashes[rows][self._shown(asked)])
        if not len(queries):
            return none, none
        ends, _, found = index.range_search(queries, self._distance + 1)
        query = np.repeat(np.repeat(rows, asked), np.diff(ends.astype(np.int64)))
        clips = len(self._sizes)
        pairs = np.unique(query * clips + owners[found])
        left, right = pairs // clips, pairs % clips
        fit = (left != right) & (self._image[left] == self._image[right])
        left, right = left[fit], right[fit]
        alike = [self._alike(left[at : at + _CHUNK], right[at : at + _CHUNK]) for at in range(0, len(left), _CHUNK)]
        chosen = np.concatenate(alike) if alike else np.empty(0, np.bool_)
        return left[chosen], right[chosen]

    def _alike(self, left: Ints, right: Ints) -> Bools:
        """The longest common subsequence of the two rows of pictures, for all pairs at once."""
        one, other = self._hashes[left], self._hashes[right]
        most = one.shape[1]
        lengths = np.zeros((most + 1, most + 1, len(left)), np.int8)
        for i in range(most):
            for j in range(most):
                near = np.bitwise_count(one[:, i] ^ other[:, j]) <= self._distance
                near &= (i < self._sizes[left]) & (j < self._sizes[right])
                longest = np.maximum(lengths[i, j + 1], lengths[i + 1, j])
                lengths[i + 1, j + 1] = np.maximum(longest, lengths[i, j] + near)
        return 2 * lengths[most, most].astype(np.int64) > np.maximum(self._sizes[left], self._sizes[right])


def _bytes(hashes: Hashes) -> npt.NDArray[np.uint8]:
    return hashes.view(np.uint8).reshape(-1, _BITS // 8)


def _aligned(lists: pa.ChunkedArray) -> tuple[Hashes, Ints]:
    """The hashes that say something, one row a clip from the left, and how many there are in each row."""
    column = lists.combine_chunks()
    sizes = column.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    values = column.flatten().to_numpy().astype(np.uint64)
    bits = np.bitwise_count(values)
    table, sizes = _packed(values, sizes, (bits >= _BALANCED[0]) & (bits <= _BALANCED[1]))
    shown = np.arange(table.shape[1]) < sizes[:, None]
    common = _common(table, shown)
    if len(common):
        table, sizes = _packed(table[shown], sizes, ~np.isin(table[shown], common))
    return table, sizes


def _packed(values: Hashes, sizes: Ints, telling: Bools) -> tuple[Hashes, Ints]:
    owner = np.repeat(np.arange(len(sizes)), sizes)[telling]
    values = values[telling]
    sizes = np.bincount(owner, minlength=len(sizes))
    first = np.cumsum(sizes) - sizes
    table = np.zeros((len(sizes), max(int(sizes.max(initial=0)), 1)), np.uint64)
    table[owner, np.arange(len(owner)) - first[owner]] = values
    return table, sizes


def _common(table: Hashes, shown: Bools) -> Hashes:
    """Hashes of very many clips; clips of which all pictures are equal count as one."""
    key = np.zeros(len(table), np.uint64)
    for column in range(table.shape[1]):
        key = (key ^ table[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    _, first = np.unique(key, return_index=True)
    values, counts = np.unique(table[first][shown[first]], return_counts=True)
    return values[counts > _COMMON]
