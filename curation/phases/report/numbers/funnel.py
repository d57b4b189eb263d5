"""The way from inputs to samples as bars: what was there, what went at each step, what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from curation.phases.report.numbers.facts import Facts


@dataclass(frozen=True)
class Step:
    """One bar. `start` and `width` are shares of the whole that the bar is measured against."""

    kind: Literal["stage", "kept", "loss"]
    label: str
    count: int
    whole: int
    start: float
    width: float
    seconds: float | None = None
    """Footage in it; None where nobody knows."""
    reason: int | None = None
    """For a loss of clips, the number of the reason in `Drops`."""
    note: str = ""
    bytes: float | None = None
    """Of it; None where nobody knows."""
    about: bool = False
    """Whether the bytes are a share of the sources' by the length of the clips."""


def funnel(facts: Facts) -> list[list[Step]]:
    """The steps of sources, then those of clips and samples; each group has its own whole."""
    return [_of_sources(facts), _of_clips(facts)]


def _of_sources(facts: Facts) -> list[Step]:
    sources, found = facts.sums["sources"], facts.sources
    whole = facts.sums["inputs"]
    steps = [Step("stage", "sources given", whole, whole, 0, 1 if whole else 0, bytes=found.bytes_all)]
    left = whole
    for reason, n in sources["failed_by_reason"].items():
        left -= n
        size = found.failed_bytes.get(reason)
        steps.append(Step("loss", reason, n, whole, _over(left, whole), _over(n, whole), bytes=size or None))
    partly = sources["in part"]
    note = f"{partly:,} of them only in part" if partly else ""
    ok, seconds = sources["ok"], sources["hours"] * 3600
    kept = Step("kept", "decoded", ok, whole, 0, _over(ok, whole), seconds, note=note, bytes=found.bytes_ok)
    return [*steps, kept]


def _of_clips(facts: Facts) -> list[Step]:
    clips, samples, drops = facts.sums["clips"], facts.sums["samples"], facts.drops
    whole = clips["all"]
    seconds, size = clips["hours"] * 3600, _known(facts.found_bytes)
    steps = [Step("stage", "clips found", whole, whole, 0, 1 if whole else 0, seconds, bytes=size, about=True)]
    left = whole
    for number, reason in enumerate(drops.reasons):
        if n := int(drops.by_first[number]):
            left -= n
            seconds, size = float(drops.seconds[number]), _known(float(drops.bytes[number]))
            place = _over(left, whole), _over(n, whole)
            steps.append(Step("loss", reason, n, whole, *place, seconds, number, bytes=size, about=True))
    kept, seconds, size = clips["kept"], clips["kept_hours"] * 3600, _known(facts.kept_bytes)
    steps.append(Step("kept", "kept", kept, whole, 0, _over(kept, whole), seconds, bytes=size, about=True))
    failed, left = samples["failed_by_reason"], kept
    for reason, n in failed.items():
        left -= n
        lost = facts.uncut_seconds if len(failed) == 1 else None
        steps.append(Step("loss", f"not cut: {reason}", n, whole, _over(left, whole), _over(n, whole), lost))
    n, seconds = samples["in shards"], samples["hours"] * 3600
    last = Step("kept", "samples in shards", n, whole, 0, _over(n, whole), seconds, bytes=samples["bytes"])
    return [*steps, last]


def _known(size: float) -> float | None:
    return size if math.isfinite(size) else None


def _over(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
