"""The log of a run: one JSON line for everything that happened, with the time and the process that did it."""

from __future__ import annotations

import json
import time
from typing import Any

from curation.store import Place

LOG = "events.jsonl"
# On object stores: what a run that is killed may lose of its log, against the number of files.
_PART_S, _PART_LINES = 60.0, 5000


class Events:
    """Appends to `events.jsonl` of a local output as things happen.

    Object stores cannot append: there a run writes `events-TIME-00000.jsonl` and so on, a part a minute.
    """

    def __init__(self, out: Place):
        self._out = out
        self._started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._lines: list[str] = []
        self._parts = 0
        self._flushed = time.monotonic()

    def add(self, event: str, **facts: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False) + "\n"
        if self._out.local:
            self._out.append(LOG, line)
            return
        self._lines.append(line)
        if len(self._lines) >= _PART_LINES or time.monotonic() - self._flushed > _PART_S:
            self.flush()

    def flush(self) -> None:
        self._flushed = time.monotonic()
        if self._lines:
            self._out.commit(f"events-{self._started}-{self._parts:05d}.jsonl", "".join(self._lines).encode())
            self._lines.clear()
            self._parts += 1
