"""The run as a picture: when which phase ran."""

from __future__ import annotations

from dataclasses import dataclass

from curation.phases.report.numbers.amounts import span
from curation.phases.report.numbers.journal import Journal

_BREAK = 0.02  # of the whole: how wide a pause between runs is drawn


@dataclass(frozen=True)
class Stretch:
    """A bar of the timeline; `start` and `width` are shares of the whole."""

    start: float
    width: float
    told: str


@dataclass(frozen=True)
class Timeline:
    """A row of bars for every phase, pauses between runs left out."""

    rows: list[tuple[str, list[Stretch]]]
    pauses: list[float]
    """Where time was left out, as shares of the whole."""


def timeline(run: Journal) -> Timeline:
    """Pauses in which no phase ran for longer than all phases together are drawn narrow."""
    spans = sorted(run.spans, key=lambda one: one.start_s)
    busy = sum(one.end_s - one.start_s for one in spans) or 1.0
    placed, pauses, at, until = [], [], 0.0, spans[0].start_s if spans else 0.0
    for one in spans:
        pause = one.start_s - until
        if pause > busy:
            pauses.append(at + busy * _BREAK / 2)
            pause = busy * _BREAK
        start = max(at + pause, 0.0) if pause > 0 else at + pause
        placed.append((one, start))
        if one.end_s > until:
            at, until = start + one.end_s - one.start_s, one.end_s
    whole = at or 1.0
    rows = []
    for name in run.phases:
        bars = [
            Stretch(start / whole, (one.end_s - one.start_s) / whole, f"{name}: {span(one.end_s - one.start_s)}")
            for one, start in placed
            if one.phase == name
        ]
        if bars:
            rows.append((name, bars))
    return Timeline(rows, [pause / whole for pause in pauses])
