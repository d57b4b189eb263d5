"""The way from inputs to samples as bars: what was there, what went at each step, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from curation.phases.report.facts import Facts


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


def funnel(facts: Facts) -> list[list[Step]]:
    """The steps of sources, then those of clips and samples; each group has its own whole."""
    return [_of_sources(facts), _of_clips(facts)]


def _of_sources(facts: Facts) -> list[Step]:
    sources = facts.sums["sources"]
    whole = facts.sums["inputs"]
    steps = [Step("stage", "sources given", whole, whole, 0, 1 if whole else 0)]
    steps += _losses(list(sources["failed_by_reason"].items()), whole, whole, [None] * len(sources["failed_by_reason"]))
    partly = sources["in part"]
    note = f"{partly:,} of them only in part" if partly else ""
    ok, seconds = sources["ok"], sources["hours"] * 3600
    return [*steps, Step("kept", "decoded", ok, whole, 0, _over(ok, whole), seconds, note=note)]


def _of_clips(facts: Facts) -> list[Step]:
    clips, samples, drops = facts.sums["clips"], facts.sums["samples"], facts.drops
    whole = clips["all"]
    steps = [Step("stage", "clips found", whole, whole, 0, 1 if whole else 0, clips["hours"] * 3600)]
    leading = [number for number, n in enumerate(drops.by_first) if n]
    counted = [(drops.reasons[number], int(drops.by_first[number])) for number in leading]
    seconds: list[float | None] = [facts.seconds(drops.first == number) for number in leading]
    steps += _losses(counted, whole, whole, seconds, leading)
    steps.append(Step("kept", "kept", clips["kept"], whole, 0, _over(clips["kept"], whole), clips["kept_hours"] * 3600))
    failed = samples["failed_by_reason"]
    ids = np.array(facts.clips["clip_id"].to_pylist()) if failed else np.array([])
    lost = facts.seconds(np.isin(ids, list(facts.uncut))) if failed else None
    not_cut = [(f"not cut: {reason}", n) for reason, n in failed.items()]
    steps += _losses(not_cut, clips["kept"], whole, [lost if len(failed) == 1 else None] * len(failed))
    n = samples["in shards"]
    steps.append(Step("kept", "samples in shards", n, whole, 0, _over(n, whole), samples["hours"] * 3600))
    return steps


def _losses(
    counted: list[tuple[str, int]],
    before: int,
    whole: int,
    seconds: list[float | None],
    reasons: list[int] | None = None,
) -> list[Step]:
    """One bar after the other, each taking its piece off the right end of what is left."""
    steps, left = [], before
    for place, ((label, n), length) in enumerate(zip(counted, seconds)):
        left -= n
        reason = reasons[place] if reasons else None
        steps.append(Step("loss", label, n, whole, _over(left, whole), _over(n, whole), length, reason))
    return steps


def _over(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
