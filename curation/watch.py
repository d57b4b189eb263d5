"""Who is told of a phase's units while they are done: a person, the log, and Prometheus."""

from __future__ import annotations

from curation.engine import Failure, Where
from curation.events import Events
from curation.metrics import Metrics
from curation.progress import PhaseProgress
from curation.work import Done


class Watch:
    """Told by the engine of one phase; also sums up what its units cost."""

    def __init__(self, phase: str, progress: PhaseProgress, events: Events, metrics: Metrics | None):
        self._phase, self._progress, self._events, self._metrics = phase, progress, events, metrics
        self._at_work: dict[int, Where] = {}
        self.cpu_s = self.peak_mb = 0.0

    def begun(self, unit: int, where: Where) -> None:
        self._at_work[unit] = where
        self._events.add("begun", phase=self._phase, unit=unit, **vars(where))
        self._count(where, 1)

    def done(self, result: Done) -> None:
        self.cpu_s += result.cpu_s
        self.peak_mb = max(self.peak_mb, result.peak_mb)
        facts = {"seconds": round(result.wall_s, 3), "cpu_s": round(result.cpu_s, 3), **result.counts}
        self._events.add("unit", phase=self._phase, unit=result.unit, **self._ended(result.unit), **facts)
        self._progress.advance(result)
        if self._metrics:
            self._metrics.done(self._phase, result.wall_s, result.cpu_s, result.counts)

    def retried(self, failure: Failure) -> None:
        self._told("retry", failure)
        self._progress.say(f"[yellow]{self._phase} unit {failure.unit} is tried again: {failure.reason}")

    def failed(self, failure: Failure) -> None:
        self._told("failed", failure)

    def _told(self, event: str, failure: Failure) -> None:
        facts = {"reason": failure.reason, "lost": failure.lost}
        self._events.add(event, phase=self._phase, unit=failure.unit, **self._ended(failure.unit), **facts)
        if self._metrics:
            self._metrics.failed(self._phase, "lost" if failure.lost else event)

    def _ended(self, unit: int) -> dict[str, object]:
        """Where the unit was being done, as facts."""
        where = self._at_work.pop(unit, None)
        self._count(where, -1)
        return dict(vars(where)) if where else {}

    def _count(self, where: Where | None, change: int) -> None:
        if self._metrics and where:
            self._metrics.at_work(self._phase, where.host, where.node, change)
