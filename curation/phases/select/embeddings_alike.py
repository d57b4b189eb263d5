"""Which clips mean the same to the embedding model: cosine of their stored embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.phases.select.percentiles import Bools, Ints
from curation.phases.select.pictures_alike import Pairs

# Candidates are searched among whole numbers: a component of 0.5 becomes 127. Their sums of products stay below
# 2 ** 24, where single precision is exact, so that no machine's order of summing finds other neighbours.
_STEPS = 254
_LARGEST = 127
_EXACT_UP_TO = 20_000
_PROBED = 8
_CHUNK = 4096  # pairs compared at a time
_SIDE = 1024  # of the squares in which clips are compared with each other


class EmbeddingsAlike:
    """Two clips are alike if the cosine of their embeddings is at least `similarity`.

    Up to 20 000 clips the search is exact; beyond, each clip is compared with those in the eight nearest of
    about 4 √n cells (faiss's IndexIVFScalarQuantizer), whose centres are clips at even steps. What is found is
    then judged exactly: products of half-precision numbers of a unit vector add up without rounding in double
    precision. Images are only compared with images.

    Args:
        vectors: for every clip its embedding, a fixed-size list of float16; null where there is none.
        image: for every clip whether it is an image.
        similarity: least cosine.
    """

    def __init__(self, vectors: pa.ChunkedArray, image: Bools, similarity: float):
        column = vectors.combine_chunks()
        width = column.type.list_size
        self._comparable = column.is_valid().to_numpy(zero_copy_only=False)
        self._vectors = np.zeros((len(column), width), np.float16)
        self._vectors[self._comparable] = column.drop_null().flatten().to_numpy().reshape(-1, width)
        self._comparable &= np.isfinite(self._vectors).all(axis=1) & self._vectors.any(axis=1)
        self._image = image
        self._similarity = similarity
        # Rounding moves two vectors apart or together by less than two steps along their difference, and adds
        # a twelfth of a squared step a component each; candidates are judged afterwards.
        self._radius = (_STEPS * (2 - 2 * similarity) ** 0.5 + 2) ** 2 + width / 4
        self._owners = np.empty(int(self._comparable.sum()), np.int64)
        self._index = self._cells(np.flatnonzero(self._comparable), width)

    def known(self, rows: Ints) -> Pairs:
        """Of these clips, those that are like added ones: pairs of the clip and the added one."""
        rows = rows[self._comparable[rows]]
        if not len(rows) or not self._index.ntotal:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        ends, _, found = self._index.range_search(self._whole(rows), self._radius)
        return self._judged(np.repeat(rows, np.diff(ends.astype(np.int64))), self._owners[found])

    def among(self, rows: Ints) -> Pairs:
        """Pairs of these clips that are alike."""
        rows = rows[self._comparable[rows]]
        left, right = [], []
        for start in range(0, len(rows), _SIDE):
            ours, others = rows[start : start + _SIDE], rows[start:]
            one, other = self._whole(ours), self._whole(others)
            squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
            near = np.nonzero(squares - 2 * (one @ other.T) < self._radius)
            left.append(ours[near[0]])
            right.append(others[near[1]])
        none = [np.empty(0, np.int64)]
        return self._judged(np.concatenate(left or none), np.concatenate(right or none))

    def add(self, rows: Ints) -> None:
        rows = rows[self._comparable[rows]]
        if len(rows):
            self._owners[self._index.ntotal : self._index.ntotal + len(rows)] = rows
            self._index.add(self._whole(rows))

    def _cells(self, rows: Ints, width: int) -> Any:
        import faiss

        cells = 1 if len(rows) <= _EXACT_UP_TO else int(4 * len(rows) ** 0.5)
        self._centres = faiss.IndexFlatL2(width)  # faiss only borrows it
        steps = np.linspace(0, len(rows), cells, endpoint=False).astype(np.int64)
        self._centres.add(self._whole(rows[steps]) if len(rows) else np.zeros((1, width), np.float32))
        exact = faiss.ScalarQuantizer.QT_8bit_direct_signed
        index = faiss.IndexIVFScalarQuantizer(self._centres, width, cells, exact, faiss.METRIC_L2, False)
        index.train(np.zeros((1, width), np.float32))  # the centres are there already
        index.nprobe = min(_PROBED, cells)
        return index

    def _whole(self, rows: Ints) -> npt.NDArray[np.float32]:
        scaled = np.rint(self._vectors[rows].astype(np.float32) * _STEPS)
        return np.clip(scaled, -_LARGEST, _LARGEST)

    def _judged(self, left: Ints, right: Ints) -> Pairs:
        fit = (left != right) & (self._image[left] == self._image[right])
        left, right = left[fit], right[fit]
        alike = np.zeros(len(left), np.bool_)
        for at in range(0, len(left), _CHUNK):
            one = self._vectors[left[at : at + _CHUNK]].astype(np.float64)
            other = self._vectors[right[at : at + _CHUNK]].astype(np.float64)
            lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
            alike[at : at + _CHUNK] = (one * other).sum(axis=1) / lengths >= self._similarity
        return left[alike], right[alike]
