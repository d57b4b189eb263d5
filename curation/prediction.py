"""What was predicted of an output, beside what came: from `prediction.json`, `ledger.json` and the log of events."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.store import Place

PREDICTION = "prediction.json"
FORMAT = "reelmill-prediction/1"
_EVENTS = re.compile(r"events(-.*)?\.jsonl")


@dataclass(frozen=True)
class Line:
    """One predicted amount and the actual one."""

    what: str
    unit: str
    """clips, hours, bytes or seconds."""
    low: float
    mid: float
    high: float
    actual: float

    @property
    def ratio(self) -> float | None:
        """Predicted over actual; None where nothing came."""
        return self.mid / self.actual if self.actual else None


def compared(out: Place) -> list[Line]:
    """Every predicted amount that the output can tell of; empty without a prediction, or before the ledger.

    Times are those of all runs over this output together, as their log tells them.
    """
    if not out.exists(PREDICTION) or not out.exists("ledger.json"):
        return []
    told = json.loads(out.text(PREDICTION))
    predicted, cpus = told["predicted"], told["cluster"]["cpus"]
    sums = json.loads(out.text("ledger.json"))
    lines = [
        _line("clips", "clips", predicted["clips"]["all"], sums["clips"]["all"]),
        _line("hours of clips", "hours", predicted["clips"]["hours"], sums["clips"]["hours"]),
        _line("clips kept", "clips", predicted["clips"]["kept"], sums["clips"]["kept"]),
        _line("hours kept", "hours", predicted["clips"]["kept_hours"], sums["clips"]["kept_hours"]),
        _line("samples", "clips", predicted["samples"]["in shards"], sums["samples"]["in shards"]),
        _line("bytes of shards", "bytes", predicted["samples"]["bytes"], sums["samples"]["bytes"]),
    ]
    cpu_s, wall_s, total_s = spent(out)
    for phase, took in predicted["phases"].items():
        if phase in cpu_s:
            lines.append(_line(f"CPU of {phase}", "seconds", took["cpu_s"], cpu_s[phase]))
    if cpu_s:
        lines.append(_line("CPU of all", "seconds", predicted["cpu_s"], sum(cpu_s.values())))
    if total_s:
        lines.append(_line(f"wall time, on {cpus:g} CPUs", "seconds", predicted["wall_s"], total_s))
    return lines


def spent(out: Place) -> tuple[dict[str, float], dict[str, float], float]:
    """CPU seconds and wall seconds by phase, and the wall seconds of all runs that ended."""
    cpu_s: dict[str, float] = defaultdict(float)
    wall_s: dict[str, float] = defaultdict(float)
    total_s = 0.0
    for event in _events(out):
        if event["event"] == "unit":
            cpu_s[event["phase"]] += event["cpu_s"]
        elif event["event"] == "done":
            wall_s[event["phase"]] += event["seconds"]
        elif event["event"] == "end":
            total_s += event["seconds"]
    return dict(cpu_s), dict(wall_s), total_s


def _events(out: Place) -> Iterator[dict[str, Any]]:
    for name in out.names("", ".jsonl"):
        if _EVENTS.fullmatch(name):
            for line in out.text(name).splitlines():
                try:
                    yield json.loads(line)
                except ValueError:  # a run that was killed while it wrote
                    continue


def _line(what: str, unit: str, told: dict[str, float], actual: float) -> Line:
    return Line(what, unit, told["low"], told["mid"], told["high"], float(actual))
