"""The order of training as a pure function: which sample stands at which position of an endless stream.

Nothing here has state. A position counts samples from the start of the training; it alone says the
epoch, the sample and every random draw that belongs to it, so a run resumes from one integer, and
the number of threads or processes that prepare samples changes nothing.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def _philox(*parts: str | int) -> np.random.Philox:
    """A counter-based generator (Salmon et al. 2011), keyed by a hash of all parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, dataset: str, samples: int) -> NDArray[np.int64]:
    """All samples in the order of one epoch, int64 (samples,).

    The order is that of `samples` raw 64-bit numbers, which NumPy promises never to change.
    """
    order = np.argsort(_philox("order", seed, epoch, dataset).random_raw(samples), kind="stable")
    order.setflags(write=False)
    return order


@dataclass(frozen=True)
class Draws:
    """The random numbers of one sample in one epoch, a stream of its own for every purpose."""

    seed: int
    epoch: int
    index: int

    def rng(self, purpose: str) -> np.random.Generator:
        """A fresh generator; the same purpose gives the same numbers again."""
        return np.random.Generator(_philox("draw", self.seed, self.epoch, self.index, purpose))


@dataclass(frozen=True)
class Plan:
    """The endless order of a dataset: every sample once an epoch, in a new order each time."""

    seed: int
    dataset: str
    """The dataset's hash."""
    samples: int

    def at(self, position: int) -> Draws:
        """The epoch and the sample at a position, from 0, with its random draws."""
        epoch, place = divmod(position, self.samples)
        return Draws(self.seed, epoch, int(permutation(self.seed, epoch, self.dataset, self.samples)[place]))
