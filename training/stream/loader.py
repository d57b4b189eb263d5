"""Batches in the order of the plan, prepared ahead by threads.

PyAV and hashing release the interpreter's lock, so threads are enough. The state is one integer
that moves when the trainer takes a batch, not when a thread prepares it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import UserError
from training.stream.plan import Draws, Plan
from training.stream.views import Failure, View

_MIN_FAILURES = 8
_MAX_FAILURE_RATE = 0.1


@dataclass(frozen=True)
class Batch:
    """Samples of one step."""

    pixels: NDArray[np.uint8]
    """(batch, frames + images, height, width, 3), RGB."""
    captions: list[list[str]]
    """For every sample the clip's caption, then one for every single frame."""
    keys: list[str]
    """Of every sample that went in."""
    draws: list[Draws]
    failures: list[Failure]


@dataclass
class Position:
    """How far the trainer has come; all that is needed to go on."""

    samples: int = 0
    """Samples that the trainer has taken."""
    clips: int = 0
    """Clips that were decoded for them, single frames counted too."""
    replaced: int = 0
    """Clips that could not be decoded, and that others stood in for."""


class Loader:
    """An endless iterator over batches, which starts at `position` and moves it.

    Raises:
        UserError: a shard cannot be read, or more than a tenth of the clips cannot be decoded.
    """

    def __init__(
        self,
        plan: Plan,
        view: Callable[[Draws], View],
        *,
        batch: int,
        threads: int,
        prefetch: int,
        position: Position,
    ):
        self.plan = plan
        self.view = view
        self.batch = batch
        self.threads = threads
        self.prefetch = prefetch
        self.position = position

    def __iter__(self) -> Generator[Batch, None, None]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decode")
        ahead: deque[Future[View]] = deque()
        submitted = self.position.samples
        try:
            while True:
                while len(ahead) < self.batch * (self.prefetch + 1):
                    ahead.append(pool.submit(self.view, self.plan.at(submitted)))
                    submitted += 1
                views = [ahead.popleft().result() for _ in range(self.batch)]
                batch = collate(views)
                self._count(views)
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _count(self, views: list[View]) -> None:
        at = self.position
        at.samples += len(views)
        at.clips += sum(len(view.keys) for view in views)
        failures = [failure for view in views for failure in view.failures]
        at.replaced += len(failures)
        tried = at.clips + at.replaced
        if at.replaced >= _MIN_FAILURES and failures and at.replaced > _MAX_FAILURE_RATE * tried:
            last = failures[-1]
            raise UserError(
                f"{at.replaced} of {tried} clips cannot be decoded, the last was {last.key}: {last.reason}; "
                f"check the dataset with `reelmill verify`"
            )


def collate(views: list[View]) -> Batch:
    """Samples packed into one array."""
    return Batch(
        pixels=np.stack([view.pixels for view in views]),
        captions=[view.captions for view in views],
        keys=[key for view in views for key in view.keys],
        draws=[view.draws for view in views],
        failures=[failure for view in views for failure in view.failures],
    )
