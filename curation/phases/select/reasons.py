"""From what each rule says of the clips to the list of reasons of every clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.phases.select.percentiles import Bools


@dataclass(frozen=True)
class Verdict:
    """What one rule says of every clip."""

    PASSES: ClassVar[int] = -1
    codes: npt.NDArray[np.int32]
    """For every clip the number of its reason, or PASSES."""
    reasons: list[str]

    @property
    def passed(self) -> Bools:
        return self.codes == self.PASSES


def passed(verdicts: Sequence[Verdict], clips: int) -> Bools:
    """The clips that no verdict is against."""
    every = np.ones(clips, np.bool_)
    for verdict in verdicts:
        every &= verdict.passed
    return every


def listed(verdicts: Sequence[Verdict], clips: int) -> pa.ListArray:
    """For every clip its reasons, in the order of the verdicts."""
    sizes = np.zeros(clips, np.int64)
    for verdict in verdicts:
        sizes += ~verdict.passed
    ends = np.cumsum(sizes)
    codes = np.empty(int(ends[-1]) if clips else 0, np.int32)
    place = ends - sizes
    reasons: list[str] = []
    for verdict in verdicts:
        rows = np.flatnonzero(~verdict.passed)
        codes[place[rows]] = verdict.codes[rows] + len(reasons)
        place[rows] += 1
        reasons += verdict.reasons
    texts = pa.array(reasons, pa.string()).take(pa.array(codes))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), texts)
