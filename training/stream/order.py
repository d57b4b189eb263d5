"""The order of one epoch as a pure function of (seed, epoch, dataset): which sample stands at which place.

Shards are laid around a circle in a new order each epoch, and the samples of each are dealt, shuffled, over the
`window` steps of the circle that begin with it. A step is one shard's worth of samples, taken in even parts from the
`window` shards that are open then, and shuffled again; the next step needs one more shard and one less. So samples
are mixed over `window` shards at every place, a reader that takes whole shards needs so many in its cache and fetches
each once an epoch (those of the last steps twice), and any place is found without going through those before it.

With a window of all shards or more there is one step: a permutation of everything.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray


def philox(*parts: str | int) -> np.random.Philox:
    """A counter-based generator (Salmon et al. 2011), keyed by a hash of all parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))


def permutation(count: int, *key: str | int) -> NDArray[np.int64]:
    """The numbers below `count` in a random order, int64 (count,).

    The order is that of `count` raw 64-bit numbers, which NumPy promises never to change.
    """
    order = np.argsort(philox("order", *key).random_raw(count), kind="stable")
    order.setflags(write=False)
    return order


class Epoch:
    """The order of one epoch.

    Args:
        shards: the shard of every sample, from 0 and never falling; int (samples,).
        window: shards that are mixed at any time.
        key: seed, epoch, the dataset's hash, and whatever else tells this order from others.
    """

    def __init__(self, shards: NDArray, window: int, *key: str | int):
        self.key = key
        starts = np.flatnonzero(np.diff(shards, prepend=-1))
        numbers, counts = shards[starts], np.diff(starts, append=len(shards))
        self.samples = len(shards)
        self._whole = window >= len(numbers)
        if self._whole:
            self._order = permutation(self.samples, *key)
            return
        circle = permutation(len(numbers), *key, "shards")
        self._window = window
        self._starts, self._counts, self._shards = starts[circle], counts[circle], numbers[circle]
        sizes = np.zeros(len(circle), np.int64)
        for part in range(window):
            first, last = self._part(self._counts, part)
            sizes += np.roll(last - first, part)
        self._ends = np.cumsum(sizes)
        # Where one step ends the next needs all shards but one again; a step is asked for many times.
        self._step = functools.lru_cache(maxsize=2)(self._deal)
        self._shuffled = functools.lru_cache(maxsize=window + 1)(self._shuffle)

    def __len__(self) -> int:
        return self.samples

    def at(self, place: int) -> int:
        """Which of the samples stands at a place, both from 0."""
        if self._whole:
            return int(self._order[place])
        step = int(np.searchsorted(self._ends, place, side="right"))
        dealt = self._step(step)
        return int(dealt[place - int(self._ends[step])])  # counted from the end of the step

    def _part(self, count: NDArray | int, part: int) -> tuple[NDArray, NDArray]:
        """Which of a shard's samples are dealt to the step `part` after its first: from, to."""
        return np.asarray(count) * part // self._window, np.asarray(count) * (part + 1) // self._window

    def _shuffle(self, place: int) -> NDArray[np.int64]:
        """The samples of the shard at a place of the circle, in the order in which they are dealt."""
        order = permutation(int(self._counts[place]), *self.key, "samples", int(self._shards[place]))
        return order + self._starts[place]

    def _deal(self, step: int) -> NDArray[np.int64]:
        """All samples of a step, in order."""
        dealt = []
        for part in range(self._window):
            place = (step - part) % len(self._counts)
            first, last = self._part(int(self._counts[place]), part)
            dealt.append(self._shuffled(place)[first:last])
        samples = np.concatenate(dealt)
        return samples[permutation(len(samples), *self.key, "step", step)]
