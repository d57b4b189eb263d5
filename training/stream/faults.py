"""What may be wrong with one sample, and when it is too much.

A `SampleError` is about the data and will be the same on every machine and in every run, so that a
replacement chosen by the plan is the same too. What is about a network or a disk is a `UserError`: it ends
the run, which goes on later from the same sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from curation.errors import UserError

Fault = Literal[
    "missing",  # its shard is not there
    "truncated",  # its shard ends before it
    "checksum",  # its bytes are others than its index says
    "refused",  # it is larger than what is read, or its index is impossible
    "undecodable",  # its media is damaged, or of a kind that is not read
    "unfit",  # it is whole, but has not what the view needs (frames, size), as turned out when it was opened
]

_FAULTS: tuple[Fault, ...] = get_args(Fault)


class SampleError(Exception):
    """A sample cannot be used; another has to stand in."""

    def __init__(self, fault: Fault, message: str):
        super().__init__(fault, message)
        self.fault: Fault = fault
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Failure:
    """A sample that could not be used, as it is logged."""

    shard: str
    """Address of its tar, without credentials."""
    key: str
    fault: Fault
    reason: str

    def __str__(self) -> str:
        return f"{self.shard} {self.key}: {self.fault}: {self.reason}"


class Tolerance:
    """Counts samples and failures, and ends a run that has too many.

    The counts are a part of a run's state, so that a run that was resumed ends where an undisturbed one would. Each
    rank counts its own, and what all have counted is known to all from one `settle` to the next.

    Args:
        max_rate: share of the samples that may fail, of all that were tried.
        tried, failed: what has been counted before, over all ranks.
        min_failures: so many are borne whatever the rate.
    """

    def __init__(self, max_rate: float, tried: int = 0, failed: Counter[str] | None = None, *, min_failures: int = 8):
        self.max_rate = max_rate
        self.min_failures = min_failures
        self.tried = tried
        self.failed = Counter(failed or {})
        """Failures by fault."""
        self._settled = (self.tried, Counter(self.failed))
        self._last: Failure | None = None

    def count(self, used: int, failures: list[Failure]) -> None:
        """Count samples that were used, and those that others stood in for.

        Raises:
            UserError: more failed than is borne.
        """
        self.tried += used + len(failures)
        self.failed.update(failure.fault for failure in failures)
        if failures:
            self._last = failures[-1]
            self._judge()

    def settle(self, total: Callable[[Sequence[int]], list[int]]) -> None:
        """Put together what all ranks have counted since the last time; `total` sums numbers over them.

        Raises:
            UserError: more failed than is borne.
        """
        tried, failed = self._settled
        new = total([self.tried - tried, *(self.failed[fault] - failed[fault] for fault in _FAULTS)])
        self.tried = tried + new[0]
        self.failed = Counter({f: failed[f] + n for f, n in zip(_FAULTS, new[1:]) if failed[f] + n})
        self._settled = (self.tried, Counter(self.failed))
        if any(new[1:]):
            self._judge()

    def _judge(self) -> None:
        failed = self.failed.total()
        if failed >= self.min_failures and failed > self.max_rate * self.tried:
            kinds = ", ".join(f"{number} {fault}" for fault, number in self.failed.most_common())
            last = f", the last was {self._last}" if self._last else ""
            raise UserError(
                f"{failed} of {self.tried} samples could not be used ({kinds}){last}; "
                f"check the dataset with `reelmill verify`, or raise data.max_failures"
            )
