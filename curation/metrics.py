"""What Prometheus can ask a run for: units, rows, failures and seconds of every phase, and who is at work."""

from __future__ import annotations

from collections.abc import Mapping

from curation.errors import UserError

_LOOPBACK = "127.0.0.1"
# Seconds of a unit: from a few pictures to a long film.
_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)


class Metrics:
    """Serves `http://HOST:PORT/metrics` from the driver while a run lasts.

    Args:
        address: `PORT`, for this machine alone, or `HOST:PORT`; port 0 takes a free one.

    Raises:
        UserError: the address is none, or is taken.
    """

    def __init__(self, address: str):
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

        host, _, port = address.rpartition(":")
        if not port.isdigit() or int(port) > 65535:
            raise UserError(f"--metrics {address}: expected PORT or HOST:PORT, for instance 9100")
        registry = CollectorRegistry()
        self._waiting = Gauge("reelmill_units_waiting", "Units not done yet.", ["phase"], registry=registry)
        self._working = Gauge(
            "reelmill_units_working", "Units that a process works on.", ["phase", "host", "node"], registry=registry
        )
        self._units = Counter("reelmill_units", "Units by how they ended.", ["phase", "outcome"], registry=registry)
        self._rows = Counter("reelmill_rows", "What the units were made of.", ["phase", "kind"], registry=registry)
        self._cpu = Counter("reelmill_cpu_seconds", "CPU seconds of workers.", ["phase"], registry=registry)
        self._seconds = Histogram(
            "reelmill_unit_seconds", "How long a unit took.", ["phase"], buckets=_BUCKETS, registry=registry
        )
        try:
            self._server, self._thread = start_http_server(int(port), addr=host or _LOOPBACK, registry=registry)
        except OSError as error:
            raise UserError(f"--metrics {address}: cannot listen there ({error.strerror or error})") from None
        self.url = f"http://{host or _LOOPBACK}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start(self, phase: str, pending: int) -> None:
        self._waiting.labels(phase).set(pending)

    def at_work(self, phase: str, host: str, node: str, change: int) -> None:
        self._working.labels(phase, host, node).inc(change)

    def done(self, phase: str, wall_s: float, cpu_s: float, counts: Mapping[str, int]) -> None:
        self._waiting.labels(phase).dec()
        self._units.labels(phase, "done").inc()
        self._seconds.labels(phase).observe(wall_s)
        self._cpu.labels(phase).inc(max(0.0, cpu_s))
        for kind, count in counts.items():
            self._rows.labels(phase, kind).inc(count)

    def failed(self, phase: str, outcome: str) -> None:
        """A unit that was lost or is tried again still waits; one that failed every time does not."""
        self._units.labels(phase, outcome).inc()
        if outcome == "failed":
            self._waiting.labels(phase).dec()
