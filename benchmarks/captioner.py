"""How well the endpoint's limit of requests in flight is used, and what a second run costs.

    python -m benchmarks.captioner [--out docs/benchmarks/captioner.json]

A server on loopback answers every request after a fixed time. The units of a run share one process, as the engine
does it. The limit divided by that time is the most that any client could get; the figure is the part of it that is
reached. Then the same clips are captioned once more, in other units.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation import validate
from curation.phases import Unit
from curation.phases.caption import Caption
from curation.recipe import Recipe
from curation.store import Place
from tests.chat import ChatServer

DELAY_S = 0.5
CLIPS = 3000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("docs/benchmarks/captioner.json"))
    out = arguments.parse_args().out
    figures = [measured(limit, size) for limit in (16, 64) for size in (10, 100)]
    out.write_text(json.dumps({"delay_s": DELAY_S, "runs": figures}, indent=1) + "\n")
    for figure in figures:
        print(figure)


def measured(limit: int, size: int) -> dict[str, Any]:
    """One run over units of `size` clips, and a second one over units of another size."""
    clips = min(CLIPS, limit * 40)
    pictures = [_picture(number) for number in range(16)]
    rows = [
        {"clip_id": f"{number:016x}", "thumbnails": [pictures[number % 16]] * 3, "source_caption": None}
        | dict.fromkeys(("brightness", "motion", "motion_x", "motion_y"), 0.1)
        for number in range(clips)
    ]
    with tempfile.TemporaryDirectory() as folder, ChatServer(delay_s=DELAY_S) as server:
        first = _run(folder, server, limit, [rows[at : at + size] for at in range(0, clips, size)])
        requests, most = server.requests, server.most_in_flight
        second = _run(folder, server, limit, [rows[at : at + 37] for at in range(0, clips, 37)])
        return {
            "limit": limit,
            "clips_a_unit": size,
            "clips": clips,
            "requests": requests,
            "most_in_flight": most,
            "of_the_limit": round(clips * DELAY_S / first / limit, 3),
            "second_run_requests": server.requests - requests,
            "second_run_over_first": round(second / first, 4),
        }


def _run(folder: str, server: ChatServer, limit: int, units: list[list[dict[str, Any]]]) -> float:
    """Wall seconds for all units, as many at a time as fill the limit twice."""
    endpoint = {"url": server.url, "model": server.model, "concurrency": limit}
    caption = {"from": ["endpoint"], "endpoint": endpoint, "language": None}
    phase = Caption(validate.parse({"name": "b", "sources": [{"files": "x"}], "caption": caption}, Recipe))
    phase.setup()
    phase.remember(Place(folder))
    together = max(2, min(64, -(-2 * limit // len(units[0]))))
    started = time.monotonic()
    with ThreadPoolExecutor(together) as pool:
        for _ in pool.map(lambda unit: phase.process(Unit(unit[0], ""), unit[1], Path()), enumerate(units)):
            pass
    seconds = time.monotonic() - started
    phase.captioners["endpoint"].close()  # type: ignore[attr-defined]
    return seconds


def _picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    smooth = cv2.resize(rng.integers(0, 255, (12, 20, 3), np.uint8), (455, 256), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", smooth)[1])


if __name__ == "__main__":
    main()
