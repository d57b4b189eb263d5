"""What loading costs, counted as it goes: the figures that the training log shows."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from training.stream.dataset import Dataset


@dataclass(frozen=True)
class Report:
    """What happened since the report before."""

    decode_fps: float
    """Frames handed out for a second of one decoding thread."""
    bytes_per_clip: float
    """Bytes read from networks and disks for each clip or image that was used."""
    cache_hits: float
    """Share of the media that were in the cache when they were asked for."""
    retries: int
    """Requests that were made again."""


class Meter:
    """Counts what the threads of one process do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames = 0
        self._seconds = 0.0
        self._before: dict[str, int] = {}

    def decoded(self, frames: int, seconds: float) -> None:
        """Count frames that were handed out, and the time that one thread took for them."""
        with self._lock:
            self._frames += frames
            self._seconds += seconds

    def report(self, datasets: Iterable[Dataset]) -> Report:
        """What happened since the last call."""
        total: dict[str, int] = {}
        for dataset in datasets:
            for name, number in dataset.traffic.snapshot().items():
                total[name] = total.get(name, 0) + number
        new = {name: number - self._before.get(name, 0) for name, number in total.items()}
        self._before = total
        with self._lock:
            frames, seconds, self._frames, self._seconds = self._frames, self._seconds, 0, 0.0
        samples = max(1, new.get("samples", 0))
        return Report(
            decode_fps=frames / seconds if seconds else 0.0,
            bytes_per_clip=new.get("bytes_read", 0) / samples,
            cache_hits=new.get("hits", 0) / samples,
            retries=new.get("retries", 0),
        )
