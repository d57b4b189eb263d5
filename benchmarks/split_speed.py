"""What the split pass costs over a bare decode of the same films, next to stock PySceneDetect, in one run.

    python -m benchmarks.split_speed [--footage DIR] [--runs 3] [--long HOURS] [--json FILE]

Each side is one process that takes all films one after the other, start and imports included, as a
worker's decoder does. What a process costs before its first film is measured too, since a worker pays it
once and not for every film: `steady` ratios are without it. The limit is FFmpeg's own decode to nothing on
one thread. Sides take turns, and ratios are taken turn by turn. Without `--footage` the demo's films are made.

`--long` also makes a film of so many hours from the smallest one, and tells the largest memory of a decoder
and the time in segments on one core and on two; `--workers` is the time of two workers over that of one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import cost
from curation.phases.ingest import MEDIA

_OURS = """
import sys
from pathlib import Path
from curation.video.scan import scan
from curation.video.settings import Settings
for film in sys.argv[2:]:
    scan(Path(film), Settings(speed=sys.argv[1]))
"""
_STOCK = """
import sys
import scenedetect
for film in sys.argv[2:]:
    detector = getattr(scenedetect, sys.argv[1])()
    manager = scenedetect.SceneManager()
    manager.add_detector(detector)
    manager.detect_scenes(scenedetect.open_video(film, backend="opencv"))
"""
SIDES = {
    "exact": (_OURS, "exact"),
    "fast": (_OURS, "fast"),
    "PySceneDetect content": (_STOCK, "ContentDetector"),
    "PySceneDetect adaptive": (_STOCK, "AdaptiveDetector"),
}
_LONG = """
import json, os, sys, tempfile, time
from contextlib import nullcontext
from pathlib import Path
from curation.video.scanner import Scanner
from curation.video.settings import Settings
cores = int(sys.argv[2])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
scanner, began = Scanner(4096), time.monotonic()
with tempfile.TemporaryDirectory() as folder:
    found = scanner.scan(
        lambda: nullcontext(Path(sys.argv[1])), Settings(speed=sys.argv[3]), Path(folder),
        timeout_s=1e5, segment_s=float(sys.argv[4]) or None,
    )
print(json.dumps({"wall_s": time.monotonic() - began, "peak_mb": scanner.peak_mb, "clips": len(found["clips"])}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--runs", type=int, default=3, help="turns of each side")
    parser.add_argument("--long", type=float, default=0.0, help="also a film of so many hours")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        footage = chosen.footage or _demo_footage(Path(folder))
        films = sorted(path for path in footage.rglob("*") if path.suffix.lower() in MEDIA)
        figures = _turns(films, chosen.runs)
        figures["two_workers_over_one"] = _two_workers(films)
        if chosen.long:
            figures["long"] = _long(min(films, key=lambda film: film.stat().st_size), chosen.long, Path(folder))
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _turns(films: list[Path], runs: int) -> dict[str, Any]:
    start = {name: cost.run(_command(name, [])).cpu_s for name in SIDES}
    turns = []
    for _ in range(runs):
        bare = cost.bare_decode(films).cpu_s
        turns.append({"bare": bare} | {name: cost.run(_command(name, films)).cpu_s for name in SIDES})
        print(json.dumps({name: round(value, 2) for name, value in turns[-1].items()}), flush=True)
    sides = {}
    for name in SIDES:
        whole = [turn[name] / turn["bare"] for turn in turns]
        steady = [(turn[name] - start[name]) / turn["bare"] for turn in turns]
        sides[name] = {
            "cpu_s": round(statistics.median(turn[name] for turn in turns), 2),
            "start_cpu_s": round(start[name], 2),
            "over_bare_decode": _spread(whole),
            "over_bare_decode_steady": _spread(steady),
        }
    return {
        "machine": cost.machine(),
        "films": [film.name for film in films],
        "turns": runs,
        "bare_decode_cpu_s": round(statistics.median(turn["bare"] for turn in turns), 2),
        "sides": sides,
    }


def _spread(values: list[float]) -> dict[str, float]:
    figures = {"least": min(values), "median": statistics.median(values), "most": max(values)}
    return {name: round(value, 2) for name, value in figures.items()}


def _command(side: str, films: list[Path]) -> list[str]:
    code, argument = SIDES[side]
    return [sys.executable, "-c", code, argument, *map(str, films)]


def _two_workers(films: list[Path]) -> float:
    """How many times the films that one worker does in a time two workers do."""
    began = time.monotonic()
    subprocess.run(_command("exact", films), check=True)
    one = time.monotonic() - began
    began = time.monotonic()
    workers = [subprocess.Popen(_command("exact", films)) for _ in range(2)]
    for worker in workers:
        if worker.wait() != 0:
            raise SystemExit("a worker failed")
    return round(2 * one / (time.monotonic() - began), 2)


def _long(film: Path, hours: float, folder: Path) -> dict[str, Any]:
    long = folder / f"long{film.suffix}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", f"file:{film}", "-an"]
    subprocess.run([*command, "-t", str(hours * 3600), "-c", "copy", f"file:{long}"], check=True)
    figures: dict[str, Any] = {"film": film.name, "hours": hours, "bytes": long.stat().st_size}
    cores = len(os.sched_getaffinity(0))
    for name, used, speed, segment_s in (
        ("one piece, one core", 1, "exact", 0),
        ("segments, one core", 1, "exact", 600),
        ("segments, all cores", cores, "exact", 600),
    ):
        done = subprocess.run(
            [sys.executable, "-c", _LONG, str(long), str(used), speed, str(segment_s)],
            check=True,
            capture_output=True,
            text=True,
        )
        figures[name] = {key: round(value, 1) for key, value in json.loads(done.stdout).items()}
        print(name, figures[name], flush=True)
    return figures


def _demo_footage(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "demo.footage", str(folder / "footage")], check=True)
    return folder / "footage"


if __name__ == "__main__":
    main()
