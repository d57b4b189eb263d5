"""The log of a run: one JSON line for everything that happened, with the time."""

from __future__ import annotations

import json
import time
from typing import Any

from curation.store import Place

LOG = "events.jsonl"


class Events:
    """Appends to `events.jsonl` of a local output as things happen.

    Object stores cannot append: there each run writes `events-TIME.jsonl`, published as a whole at
    every `flush`.
    """

    def __init__(self, out: Place):
        self._out = out
        self._started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._lines: list[str] = []

    def add(self, event: str, **facts: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False) + "\n"
        if self._out.local:
            self._out.append(LOG, line)
        else:
            self._lines.append(line)

    def flush(self) -> None:
        if self._lines:
            self._out.commit(f"events-{self._started}.jsonl", "".join(self._lines).encode())
