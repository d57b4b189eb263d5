"""How the run went, by its log: time, CPU, throughput, what was tried again. Only this differs between runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from curation.store import Place

_LOG = "events"
_SPANS = 400  # stretches of time that are drawn
_REASONS = 1000
_PLAIN = ("time", "event", "phase", "unit", "host", "node", "pid", "seconds", "cpu_s")


@dataclass
class Phase:
    """One phase over all runs of an output."""

    name: str
    wall_s: float = 0.0
    """From its start to its end, or to the last that was heard of it."""
    cpu_s: float = 0.0
    """Of its units."""
    units: int = 0
    slowest_s: float = 0.0
    """Wall time of one unit."""
    retries: int = 0
    lost: int = 0
    """Units whose worker or node went away; they were tried again."""
    failed: int = 0
    """Units that failed every time."""
    counts: Counter[str] = field(default_factory=Counter)
    """What the units say of themselves: sources, clips, samples and so on."""


@dataclass(frozen=True)
class Span:
    """A stretch of time in which a phase ran. Seconds since the first event."""

    phase: str
    start_s: float
    end_s: float


@dataclass
class Journal:
    """All that the log says."""

    phases: dict[str, Phase] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    hosts: Counter[str] = field(default_factory=Counter)
    """Units by host."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why units were tried again."""
    runs: int = 0
    """That ended; a run that was killed is none."""
    elapsed_s: float = 0.0
    """From the first event to the last."""
    peak_mb: float = 0.0

    @property
    def cpu_s(self) -> float:
        return sum(phase.cpu_s for phase in self.phases.values())

    @property
    def wall_s(self) -> float:
        """Time in which a phase ran."""
        return sum(phase.wall_s for phase in self.phases.values())


def journal(out: Place) -> Journal | None:
    """What the log of an output says; None where there is none. A line that is cut off is passed over."""
    reading = _Reading()
    for event in _events(out):
        reading.add(event)
    return reading.journal()


class _Reading:
    """What has been read so far. A phase that never ended, since its run was killed, ends with its last event."""

    def __init__(self) -> None:
        self._found = Journal()
        self._first: float | None = None
        self._last = 0.0
        self._running: dict[str, tuple[float, float]] = {}

    def add(self, event: dict[str, Any]) -> None:
        now, kind, name = float(event["time"]), event.get("event"), event.get("phase")
        self._first = now if self._first is None else self._first
        self._last = now
        if kind == "end":
            self._found.runs += 1
            self._found.peak_mb = max(self._found.peak_mb, float(event.get("peak_mb", 0.0)))
        if not isinstance(name, str):
            return
        phase = self._found.phases.setdefault(name, Phase(name))
        if kind == "start":
            self._end(name)
            self._running[name] = now, now
        elif name in self._running:
            self._running[name] = self._running[name][0], now
        if kind == "done":
            self._end(name)
        elif kind == "unit":
            phase.units += 1
            phase.cpu_s += float(event.get("cpu_s", 0.0))
            phase.slowest_s = max(phase.slowest_s, float(event.get("seconds", 0.0)))
            self._found.hosts[str(event.get("host", "?"))] += 1
            phase.counts.update({key: n for key, n in event.items() if key not in _PLAIN and isinstance(n, int)})
        elif kind in ("retry", "failed"):
            phase.retries += kind == "retry"
            phase.failed += kind == "failed"
            phase.lost += bool(event.get("lost"))
            if len(self._found.reasons) < _REASONS:
                self._found.reasons[str(event.get("reason", ""))[:300]] += 1

    def _end(self, name: str) -> None:
        if name in self._running and self._first is not None:
            since, until = self._running.pop(name)
            self._found.phases[name].wall_s += until - since
            if len(self._found.spans) < _SPANS:
                self._found.spans.append(Span(name, since - self._first, until - self._first))

    def journal(self) -> Journal | None:
        if self._first is None:
            return None
        for name in list(self._running):
            self._end(name)
        self._found.elapsed_s = self._last - self._first
        return self._found


def _events(out: Place) -> Iterator[dict[str, Any]]:
    for name in out.names("", ".jsonl"):
        if not name.startswith(_LOG):
            continue
        with out.open(name) as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and isinstance(event.get("time"), (int, float)):
                    yield event
