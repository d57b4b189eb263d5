"""Sizes of batches: the fastest is measured, and may only be used if it gives the same results bit for bit.

The order in which a matrix product sums up can depend on how many rows it has. If it does, nearly all last bits of
random numbers differ; if none of some thousand differs, the order is the same, and so are all other results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# A larger size is tried only if this one was faster than that, seconds; and taken only if it gains so much.
_LONG_S, _GAIN = 0.2, 1.05


def measured(
    forward: Callable[[Any], np.ndarray], shape: Sequence[int], sizes: Sequence[int]
) -> tuple[tuple[int, ...], dict[int, float]]:
    """Which of the rising `sizes` to use, from the first to the fastest; and inputs per second of those measured.

    Args:
        forward: results (n, …) of a tensor (n, *shape) float32.
    """
    import torch

    probe = torch.randn((max(sizes), *shape), generator=torch.Generator().manual_seed(0))
    usable, rates = list(sizes[:1]), {}
    first: np.ndarray | None = None
    for size in sizes:
        try:
            results = forward(probe[:size])  # the first time is not timed
            if first is not None and not _same(results, first, lambda rows: forward(probe[rows])):
                break
            began = time.perf_counter()
            forward(probe[:size])
        except torch.cuda.OutOfMemoryError:
            break
        seconds = time.perf_counter() - began
        rates[size] = size / seconds
        if first is None:
            first = results
        elif rates[size] >= _GAIN * rates[usable[-1]]:
            usable.append(size)
        if seconds > _LONG_S:
            break
    return tuple(usable), rates


def _same(results: np.ndarray, first: np.ndarray, again: Callable[[slice], np.ndarray]) -> bool:
    """Whether the rows of a larger batch are those that batches of the first size give, also at its end."""
    size, last = len(first), len(results) - len(first)
    return np.array_equal(results[:size], first) and np.array_equal(results[last:], again(slice(last, None)))


def edges(count: int, sizes: Sequence[int]) -> list[int]:
    """Where batches of `count` inputs begin and end: of the largest size as long as they are full."""
    rest = count % sizes[-1]
    return [*range(0, count - rest + 1, sizes[-1]), *([count] if rest else [])]


def filled(count: int, sizes: Sequence[int]) -> int:
    """The least size that holds so many."""
    return next(size for size in sizes if size >= count)
