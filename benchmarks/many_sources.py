"""Ten thousand small sources in one run: what a source costs beside its decoding, the driver's memory, the files.

    python -m benchmarks.many_sources [--sources 10000] [--json FILE]

The films are copies of two tiny ones, 8 and 24 frames of 96 x 64, each made a file of its own by a box at its end that
players skip. One in ten is the longer one, and is kept and cut; the rest are split, scored and dropped for their
length. The bare split is the same decoder without Ray, tables or commits, over a part of the films.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from benchmarks import cost
from curation.recipe import Split
from curation.video.scanner import Scanner
from curation.video.settings import Settings
from tests import films
from tests.films import BLUE, RED, Scene

_BARE = 500
_EVERY = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--sources", type=int, default=10_000, help="films that go in")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-many-") as folder:
        figures = many(Path(folder), chosen.sources)
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def many(folder: Path, count: int) -> dict[str, Any]:
    manifest, out = _manifest(folder, count), folder / "out"
    bare_ms = 1000 * _bare_split(sorted((folder / "films").iterdir())[:_BARE]) / min(count, _BARE)
    command = [sys.executable, "-m", "curation.cli", "curate", str(manifest), "--out", str(out)]
    first, driver_mb = _watched(command)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    phases = {event["phase"]: event for event in events if event["event"] == "done"}
    files, size = _files(out)
    again, again_mb = _watched(command)
    split_ms = 1000 * phases["split"]["cpu_s"] / count
    workers_s = events[-1]["cpu_s"]
    return {
        "machine": cost.machine(),
        "sources": count,
        "units": len(list((out / "sources").iterdir())),
        "kept": json.loads((out / "ledger.json").read_text())["clips"]["kept"],
        "cpu_ms_a_source": {
            "bare_split": round(bare_ms, 2),
            "split": round(split_ms, 2),
            "split_over_bare": round(split_ms / bare_ms, 2),
            "driver_and_ray": round(1000 * first.cpu_s / count, 2),
            **{name: round(1000 * phase["cpu_s"] / count, 2) for name, phase in phases.items() if name != "split"},
        },
        "wall_s": round(first.wall_s, 1),
        "wall_s_by_phase": {name: phase["seconds"] for name, phase in phases.items()},
        "workers_cpu_s": round(workers_s, 1),
        "driver_peak_mb": driver_mb,
        "files": files,
        "output_mb": round(size / 1e6, 1),
        "second_run": {"wall_s": round(again.wall_s, 2), "cpu_s": round(again.cpu_s, 2), "driver_peak_mb": again_mb},
    }


def _manifest(folder: Path, count: int) -> Path:
    (folder / "films").mkdir()
    short = films.write(folder / "short.mp4", [Scene(8, RED)], size=(96, 64)).read_bytes()
    long = films.write(folder / "long.mp4", [Scene(24, BLUE, step=1)], size=(96, 64)).read_bytes()
    for number in range(count):
        box = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / "films" / f"{number:06d}.mp4").write_bytes((short if number % _EVERY else long) + box)
    recipe = {
        "name": "many",
        "sources": [{"files": str(folder / "films")}],
        "select": {"rules": [{"field": "frames", "min": 16}]},
    }
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def _bare_split(paths: list[Path]) -> float:
    """CPU seconds of the decoder alone, started before."""
    split = Split()
    settings = Settings(**{field.name: getattr(split, field.name) for field in fields(Settings)})
    scanner = Scanner(split.memory_mb)

    def scan(path: Path) -> None:
        @contextmanager
        def opening() -> Iterator[Path]:
            yield path

        with tempfile.TemporaryDirectory() as scratch:
            scanner.scan(opening, settings, Path(scratch), timeout_s=60, segment_s=None)

    scan(paths[0])
    before = scanner.cpu_s + time.process_time()
    for path in paths:
        scan(path)
    return scanner.cpu_s + time.process_time() - before


def _watched(command: list[str]) -> tuple[cost.Cost, float]:
    """The cost of a run, without its workers' decoders, and the largest memory of its driver in MiB."""
    largest = 0
    with cost.of_children() as spent:
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while run.poll() is None:
            largest = max(largest, *(_peak_kb(pid) for pid in [run.pid, *_children(run.pid)]))
            time.sleep(0.2)
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, command)
    return spent, round(largest / 1024, 1)


def _children(pid: int) -> list[int]:
    """The driver is the forked child of the command."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _files(out: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


if __name__ == "__main__":
    main()
