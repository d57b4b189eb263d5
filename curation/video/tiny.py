"""Comparing tiny pictures: how much two of them differ, and how alike their patterns are."""

from __future__ import annotations

import numpy as np

# Standard deviation in steps of 8 bits under which a picture shows nothing: a fade's black or white.
FLAT = 6.0


def values(tiny: np.ndarray) -> np.ndarray:
    """A tiny picture (H, W, 3 uint8) as the float32 values that the others compare."""
    return tiny.reshape(-1).astype(np.float32)


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference, in steps of 8 bits."""
    return float(np.abs(one - other).mean())


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation, -1 to 1; 0 where one of the two shows nothing. A picture that gets brighter stays alike."""
    return float(all_alike(one[None], other[None])[0])


def all_alike(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`alike` of many pairs, (pairs, values) each."""
    a, b = ones - ones.mean(1, keepdims=True), others - others.mean(1, keepdims=True)
    deviations = np.sqrt((a * a).mean(1)), np.sqrt((b * b).mean(1))
    found: np.ndarray = np.where(
        np.minimum(*deviations) < FLAT, 0.0, (a * b).mean(1) / (deviations[0] * deviations[1] + 1e-3)
    )
    return found
