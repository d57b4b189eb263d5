"""Batches in the order of the plan, prepared ahead by threads.

Decoding and hashing release the interpreter's lock, so threads are enough (docs/benchmarks.md). The state moves when
the trainer takes a batch, not when a thread prepares it, and is the same on every rank.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.stream.faults import Failure, SampleError, Tolerance
from training.stream.meter import Report
from training.stream.plan import Cursor, Draws, Pick, Plan
from training.stream.samples import Maker, Sample

Allocate = Callable[[tuple[int, ...]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Batch:
    """Samples of one step, or of one rank's slice of it."""

    pixels: NDArray[np.uint8]
    """(batch, frames + images, height, width, 3), RGB: of each sample the clip, then the single frames."""
    frames: int
    """How many of the pictures of a sample are the clip."""
    captions: list[list[str]]
    """For every sample the clip's caption, then one for every single frame; empty means unconditional."""
    keys: list[str]
    """Of every sample of the dataset that went in."""
    draws: list[Draws]
    fps: NDArray[np.float32]
    """(batch,): frames a second of the clips as they were taken, by their timestamps."""
    known: NDArray[np.bool_]
    """(batch, frames): which frames of the clip the model is given."""
    low: NDArray[np.uint8] | None
    """(batch, frames + images, height / scale, width / scale, 3): degraded small copies, of the view `vsr`."""
    noise_level: NDArray[np.int64]
    """(batch,): step of the noise for `low`; 0 in other views."""
    failures: list[Failure]
    """Samples that others stand in for."""

    def split(self, count: int) -> list[Batch]:
        """The batch in `count` equal parts, in order. Keys and failures, which are of no one sample, are the first's.

        Raises:
            ValueError: it cannot be shared evenly.
        """
        if len(self.draws) % count:
            raise ValueError(f"a batch of {len(self.draws)} samples has no {count} equal parts")
        size = len(self.draws) // count
        return [self._part(slice(start, start + size)) for start in range(0, len(self.draws), size)]

    def _part(self, part: slice) -> Batch:
        return Batch(
            pixels=self.pixels[part],
            frames=self.frames,
            captions=self.captions[part],
            keys=[] if part.start else self.keys,
            draws=self.draws[part],
            fps=self.fps[part],
            known=self.known[part],
            low=None if self.low is None else self.low[part],
            noise_level=self.noise_level[part],
            failures=[] if part.start else self.failures,
        )


@dataclass
class Position:
    """How far the trainer has come; all that is needed to go on, on any number of ranks and threads."""

    samples: int = 0
    """Samples that the trainer has taken, over all ranks."""
    cursor: Cursor = field(default_factory=Cursor)
    tried: int = 0
    """Clips and images that were decoded for them: over all ranks up to the last `Loader.settle`, of this one since."""
    failed: dict[str, int] = field(default_factory=dict)
    """Those that others stood in for, by what was wrong with them; counted likewise."""

    @property
    def replaced(self) -> int:
        """All that others stood in for."""
        return sum(self.failed.values())

    @staticmethod
    def from_json(values: dict[str, Any]) -> Position:
        """What `dataclasses.asdict` made of one."""
        return Position(**{**values, "cursor": Cursor.from_json(values["cursor"])})


class Loader:
    """An endless iterator over batches, which starts at `position` and moves it.

    Args:
        rank, world: this process's number and how many there are; each takes its slice of every batch.
        threads: that read and decode; 0 does it while the trainer waits.
        prefetch: batches that are prepared ahead.
        allocate: gives the memory of a batch, such as pinned memory.

    Raises:
        UserError: a dataset cannot be read, or too many clips cannot be decoded.
    """

    def __init__(
        self,
        plan: Plan,
        make: Maker,
        *,
        threads: int,
        prefetch: int,
        position: Position,
        rank: int = 0,
        world: int = 1,
        allocate: Allocate = lambda shape: np.empty(shape, np.uint8),
    ):
        if plan.batch % world:
            raise ValueError(f"a batch of {plan.batch} samples cannot be shared evenly by {world} ranks")
        self.plan = plan
        self.make = make
        self.threads = threads
        self.prefetch = prefetch
        self.position = position
        self._slice = slice(rank * plan.batch // world, (rank + 1) * plan.batch // world)
        self._allocate = allocate
        self._tolerance = Tolerance(plan.data.max_failures, position.tried, Counter(position.failed))

    def __iter__(self) -> Generator[Batch, None, None]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decode") if self.threads else None
        planned: deque[_Planned] = deque()
        working: deque[_Working] = deque()
        cursor = self.position.cursor.copy()
        try:
            while True:
                # Bytes are asked for twice as far ahead as pictures.
                while len(planned) + len(working) <= 2 * self.prefetch:
                    picks = self.plan.take(cursor)[self._slice]
                    planned.append(_Planned(picks, cursor.copy()))
                    _announce(picks)
                while planned and len(working) <= (self.prefetch if pool else 0):
                    working.append(self._begin(planned.popleft(), pool))
                yield self._finish(working.popleft())
        finally:
            if pool:
                pool.shutdown(wait=True, cancel_futures=True)

    def settle(self, total: Callable[[Sequence[int]], list[int]]) -> None:
        """Count over all ranks what each has tried and replaced since the last call; all call it at the same step.

        Args:
            total: sums numbers over the ranks.

        Raises:
            UserError: more failed than is borne, over all ranks; on each of them.
        """
        self._tolerance.settle(total)
        self.position.tried, self.position.failed = self._tolerance.tried, dict(self._tolerance.failed)

    def report(self) -> Report:
        """What loading has cost since the last call."""
        return self.make.meter.report(held.dataset for stock in self.plan.stocks for held in stock.held)

    def _begin(self, planned: _Planned, pool: ThreadPoolExecutor | None) -> _Working:
        shape = planned.picks[0].shape
        assert shape.frames is not None
        pictures = shape.frames + len(planned.picks[0].images)
        pixels = self._allocate((len(planned.picks), pictures, *shape.size, 3))
        jobs: list[Future[Sample] | Sample] = [
            pool.submit(self.make, pick, pixels[number]) if pool else self.make(pick, pixels[number])
            for number, pick in enumerate(planned.picks)
        ]
        return _Working(jobs, pixels, shape.frames, planned.cursor)

    def _finish(self, working: _Working) -> Batch:
        """Wait for a batch, and move the position behind it."""
        samples = [job.result() if isinstance(job, Future) else job for job in working.jobs]
        batch = collate(samples, working.pixels, working.frames)
        self._tolerance.count(len(batch.keys), batch.failures)
        at = self.position
        at.samples += self.plan.batch
        at.cursor = working.cursor
        at.tried, at.failed = self._tolerance.tried, dict(self._tolerance.failed)
        return batch


@dataclass(frozen=True)
class _Planned:
    """One rank's slice of a batch, and the cursor behind the batch."""

    picks: list[Pick]
    cursor: Cursor


@dataclass(frozen=True)
class _Working:
    """A batch that is being made."""

    jobs: list[Future[Sample] | Sample]
    pixels: NDArray[np.uint8]
    frames: int
    cursor: Cursor


def _announce(picks: list[Pick]) -> None:
    """Tell the datasets which samples come next."""
    coming: dict[int, Any] = {}
    for pick in picks:
        for choice in (pick.clip, *pick.images):
            try:
                entry = choice.dataset.entry(int(choice.rows[choice.place]))
            except SampleError:
                continue  # counted when its turn comes
            coming.setdefault(id(choice.dataset), (choice.dataset, []))[1].append(entry)
    for dataset, entries in coming.values():
        dataset.prefetch(entries)


def collate(samples: list[Sample], pixels: NDArray[np.uint8], frames: int) -> Batch:
    """Samples whose pictures are in one array already."""
    small = [sample.given.low for sample in samples]
    return Batch(
        pixels=pixels,
        frames=frames,
        captions=[sample.captions for sample in samples],
        keys=[key for sample in samples for key in sample.keys],
        draws=[sample.draws for sample in samples],
        fps=np.array([sample.fps for sample in samples], np.float32),
        known=np.stack([sample.given.known for sample in samples]),
        low=np.stack([low for low in small if low is not None]) if small[0] is not None else None,
        noise_level=np.array([sample.given.noise_level for sample in samples], np.int64),
        failures=[failure for sample in samples for failure in sample.failures],
    )
