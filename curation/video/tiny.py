"""Comparing tiny pictures: how much two of them differ, and how alike their patterns are."""

from __future__ import annotations

import numpy as np

# Standard deviation in steps of 8 bits under which a picture shows nothing: a fade's black or white.
FLAT = 6.0


# Rows and columns of a look, and the thousandths of blue, green and red in luma (BT.601).
LOOK = (3, 4)
_LUMA = np.array([114, 587, 299])


def looks(tiny: np.ndarray) -> np.ndarray:
    """Mean luma of a coarse grid over each picture: (frames, H, W, 3 uint8 BGR) to (frames, 12) uint8.

    Enough to tell whether another file shows the same frame, in a few bytes.
    """
    frames, height, width, _ = tiny.shape
    rows, columns = height // LOOK[0], width // LOOK[1]
    blocks = tiny.reshape(frames, LOOK[0], rows, LOOK[1], columns, 3).sum((2, 4), dtype=np.int64)
    # Whole numbers all the way: the same bytes on every machine.
    found: np.ndarray = ((blocks @ _LUMA + 500 * rows * columns) // (1000 * rows * columns)).astype(np.uint8)
    return found.reshape(frames, LOOK[0] * LOOK[1])


def values(tiny: np.ndarray) -> np.ndarray:
    """Tiny pictures (…, H, W, 3 uint8) as the float32 values (…, H · W · 3) that the others compare.

    They lie around zero, so that sums of their products are exact, and the same on every machine.
    """
    return tiny.reshape(*tiny.shape[:-3], -1).astype(np.float32) - 128


def products(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The inner product of each pair of rows, or of each row with one; float64."""
    found: np.ndarray = np.einsum("ij,ij->i" if others.ndim == 2 else "ij,j->i", ones, others).astype(np.float64)
    return found


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference, in steps of 8 bits."""
    return float(np.abs(one - other).mean())


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation, -1 to 1; 0 where one of the two shows nothing. A picture that gets brighter stays alike."""
    return float(all_alike(one[None], other[None])[0])


def all_alike(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`alike` of many pairs, (pairs, values) each."""
    count = ones.shape[1]
    means = ones.mean(1, dtype=np.float64), others.mean(1, dtype=np.float64)
    squares, mixed = (products(ones, ones), products(others, others)), products(ones, others)
    a, b = (np.sqrt(np.maximum(0, square / count - mean * mean)) for square, mean in zip(squares, means))
    found: np.ndarray = np.where(np.minimum(a, b) < FLAT, 0.0, (mixed / count - means[0] * means[1]) / (a * b + 1e-3))
    return found
