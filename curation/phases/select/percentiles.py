"""Percentiles of a column, over all clips or group by group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def percentile(values: np.ndarray, share: float, rows: Bools) -> float | None:
    """The value below which `share` of the values lie, by linear interpolation; None without values.

    Taken over the finite values of those `rows`. It never leaves the two values that it lies between: over
    equal values it is exactly that value, so that a rule with an inclusive bound drops none of them.
    """
    known = values[rows & np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    place = share * (len(known) - 1)
    low = int(place)
    high = min(low + 1, len(known) - 1)
    known.partition((low, high))
    return float(_between(known[low], known[high], place - low))


def percentiles(values: np.ndarray, group: Ints, groups: int, share: float, rows: Bools) -> Floats:
    """The percentile of every group, as `percentile` takes it; NaN for a group without values.

    Args:
        group: for every value the number of its group, from 0 to `groups` - 1.
    """
    chosen = rows & np.isfinite(values)
    known, of = values[chosen].astype(np.float64), group[chosen]
    known = known[np.lexsort((known, of))]
    counts = np.bincount(of, minlength=groups)
    first = np.cumsum(counts) - counts
    there = counts > 0
    place = share * (counts[there] - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, counts[there] - 1)
    bounds = np.full(groups, np.nan)
    bounds[there] = _between(known[first[there] + low], known[first[there] + high], place - low)
    return bounds


def _between(low: np.ndarray, high: np.ndarray, part: np.ndarray | float) -> np.ndarray:
    with np.errstate(over="ignore"):
        step = high - low
    inside = np.where(
        np.isfinite(step), low + part * np.where(np.isfinite(step), step, 0.0), low * (1 - part) + high * part
    )
    return np.clip(inside, low, high)
