"""Raw films to shards: CPU seconds, wall time and memory of each way of cutting, over a bare decode in the same turn.

    python -m benchmarks.raw_to_shards [--footage DIR] [--runs 3] [--ways copy smart encode] [--json FILE]

The limit is FFmpeg's own decode to nothing on one thread (the wheel's binary). CPU seconds are user and system
of the process and its children; they are steadier than wall time on a shared machine. The peer is PySceneDetect's
command, which finds cuts and splits with FFmpeg, encoding with the same settings or copying; it writes files and no
shards. Without `--footage` the demo's films are made first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import cost
from curation.phases.ingest import MEDIA

PHASES = ("split", "score", "caption", "cut", "shard")
# All scenes are kept, so that the peer's work is ours. Where copy and smart cannot be taken, clips fail in the variants
# `… alone`, so that the figure is that of the way itself; the others encode those clips at full size.
_KEEP_ALL = ["--set", "select={rules: [], max_black: null, max_frozen: null}"]
_ENCODING = ["--set", "shard.short_side=null", "--set", "shard.crf=22", "--set", "shard.gop=250"]
WAYS = {
    "copy alone": ["--set", "shard.cut=copy", "--set", "shard.otherwise=fail", "--set", "shard.crf=22"],
    "copy": ["--set", "shard.cut=copy", "--set", "shard.crf=22"],
    "smart alone": ["--set", "shard.cut=smart", "--set", "shard.otherwise=fail", "--set", "shard.crf=22"],
    "smart": ["--set", "shard.cut=smart", "--set", "shard.crf=22"],
    "encode": _ENCODING,
    "encode 320": [],
}
PEERS = {
    "PySceneDetect, encoding": ["--rate-factor", "22", "--preset", "veryfast"],
    "PySceneDetect, copying": ["--copy"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, taken in turn")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        footage = chosen.footage or _demo_footage(Path(folder))
        films = sorted(path for path in footage.rglob("*") if path.suffix.lower() in MEDIA)
        runs = []
        for number in range(chosen.runs):
            decode = cost.bare_decode(films)
            bare = {"cpu_s": round(decode.cpu_s, 2), "wall_s": round(decode.wall_s, 2)}
            run: dict[str, Any] = {"bare_decode": bare}
            for way in chosen.ways:
                run[way] = _curate(footage, Path(folder) / f"out-{number}-{way}", way)
            for peer, options in PEERS.items():
                run[peer] = _pyscenedetect(films, Path(folder) / f"peer-{number}", options)
            runs.append(run)
            print(json.dumps(run), flush=True)
    figures = _summary(runs, films)
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _demo_footage(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "demo.footage", str(folder / "footage")], check=True)
    return folder / "footage"


def _curate(footage: Path, out: Path, way: str) -> dict[str, Any]:
    """A whole run in a process of its own; figures per phase from its log of events."""
    command = [sys.executable, "-m", "curation.cli", "curate", str(footage), "--out", str(out), *_KEEP_ALL, *WAYS[way]]
    # Ray's own processes are children of the command; workers' decoders report through the events.
    whole = cost.run(command)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    phases = {event["phase"]: event["cpu_s"] for event in events if event["event"] == "done"}
    ledger = json.loads((out / "ledger.json").read_text())
    return {
        "cpu_s": round(sum(phases.get(name, 0.0) for name in PHASES), 2),
        "phases_cpu_s": {name: phases.get(name, 0.0) for name in PHASES},
        "wall_s": round(whole.wall_s, 2),
        "peak_mb": max(event.get("peak_mb", 0.0) for event in events),
        "clips": ledger["clips"]["all"],
        "samples": ledger["samples"]["in shards"],
    }


def _pyscenedetect(films: list[Path], folder: Path, options: list[str]) -> dict[str, Any]:
    """PySceneDetect's command on every film, with the wheel's FFmpeg on one thread a film as ours."""
    tools = folder / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    if not (tools / "ffmpeg").exists():
        (tools / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    with cost.of_children() as spent:
        for film in films:
            command = [sys.executable, "-m", "scenedetect", "-q", "-i", str(film), "-o", str(folder), "detect-content"]
            command += ["split-video", *options]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
    clips = len([path for path in folder.iterdir() if path.is_file()])
    return {"cpu_s": round(spent.cpu_s, 2), "wall_s": round(spent.wall_s, 2), "clips": clips}


def _summary(runs: list[dict[str, Any]], films: list[Path]) -> dict[str, Any]:
    """Medians, and ratios run by run, so that a drift of the machine's speed cancels out."""
    figures: dict[str, Any] = {
        "machine": cost.machine(),
        "films": len(films),
        "bytes": sum(film.stat().st_size for film in films),
        "runs": len(runs),
        "bare_decode_cpu_s": statistics.median(run["bare_decode"]["cpu_s"] for run in runs),
    }
    for name in [name for name in runs[0] if name != "bare_decode"]:
        figures[name] = {
            "over_bare_decode": _median(run[name]["cpu_s"] / run["bare_decode"]["cpu_s"] for run in runs),
            "cpu_s": _median(run[name]["cpu_s"] for run in runs),
            "wall_s": _median(run[name]["wall_s"] for run in runs),
            "clips": runs[0][name].get("samples", runs[0][name]["clips"]),
        }
        if name in WAYS:
            figures[name]["phases_over_bare_decode"] = {
                phase: _median(run[name]["phases_cpu_s"][phase] / run["bare_decode"]["cpu_s"] for run in runs)
                for phase in PHASES
            }
            figures[name]["peak_mb"] = max(run[name]["peak_mb"] for run in runs)
    return figures


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


if __name__ == "__main__":
    main()
