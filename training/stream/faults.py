"""What may be wrong with one sample, and when it is too much.

A `SampleError` is about the data and will be the same on every machine and in every run, so that a
replacement chosen by the plan is the same too. What is about a network or a disk is a `UserError`: it ends
the run, which goes on later from the same sample.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from curation.errors import UserError

Fault = Literal[
    "missing",  # its shard is not there
    "truncated",  # its shard ends before it
    "checksum",  # its bytes are others than its index says
    "refused",  # it is larger than what is read, or its index is impossible
    "undecodable",  # its media is damaged, or of a kind that is not read
    "unfit",  # it is whole, but has not what the view needs (frames, size), as turned out when it was opened
]


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


@dataclass
class Tolerance:
    """Counts samples and failures, and ends a run that has too many.

    The counts are a part of a run's state, so that a run that was resumed ends where an undisturbed one would.
    """

    max_rate: float
    """Share of the samples that may fail, of all that were tried."""
    min_failures: int = 8
    """So many are borne whatever the rate."""
    tried: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failures by fault."""

    def count(self, used: int, failures: list[Failure]) -> None:
        """Count samples that were used, and those that others stood in for.

        Raises:
            UserError: more failed than is borne.
        """
        self.tried += used + len(failures)
        self.failed.update(failure.fault for failure in failures)
        total = self.failed.total()
        if failures and total >= self.min_failures and total > self.max_rate * self.tried:
            kinds = ", ".join(f"{number} {fault}" for fault, number in self.failed.most_common())
            raise UserError(
                f"{total} of {self.tried} samples could not be used ({kinds}), the last was {failures[-1]}; "
                f"check the dataset with `reelmill verify`, or raise data.max_failures"
            )
