"""Raw films to shards: CPU seconds of each phase over a bare decode of the same films in the same run.

    python -m benchmarks.raw_to_shards [--footage DIR] [--runs 3] [--json FILE]

The limit is FFmpeg's own decode to nothing on one thread (the wheel's binary). CPU seconds are user and system
of the process and its children; they are steadier than wall time on a shared machine. Without
`--footage` the demo's films are made first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import cost
from curation.phases.ingest import MEDIA

PHASES = ("split", "score", "caption", "cut", "shard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, taken in turn")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        footage = chosen.footage or _demo_footage(Path(folder))
        films = sorted(path for path in footage.rglob("*") if path.suffix.lower() in MEDIA)
        runs = []
        for number in range(chosen.runs):
            decode = cost.bare_decode(films)
            bare = {"cpu_s": round(decode.cpu_s, 2), "wall_s": round(decode.wall_s, 2)}
            runs.append({"bare_decode": bare, **_curate(footage, Path(folder) / f"out{number}")})
            print(json.dumps(runs[-1]), flush=True)
    figures = _summary(runs, films)
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _demo_footage(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "demo.footage", str(folder / "footage")], check=True)
    return folder / "footage"


def _curate(footage: Path, out: Path) -> dict[str, Any]:
    """A whole run in a process of its own; figures per phase from its log of events."""
    command = [sys.executable, "-m", "curation.cli", "curate", str(footage), "--out", str(out)]
    # Ray's own processes are children of the command; workers' decoders report through the events.
    whole = cost.run(command)
    driver = {"cpu_s": round(whole.cpu_s, 2), "wall_s": round(whole.wall_s, 2)}
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    phases = {event["phase"]: event["cpu_s"] for event in events if event["event"] == "done"}
    ledger = json.loads((out / "ledger.json").read_text())
    return {
        "phases_cpu_s": {name: phases.get(name, 0.0) for name in PHASES},
        "driver": driver,
        "peak_mb": events[-1]["peak_mb"],
        "clips": ledger["clips"]["all"],
        "samples": ledger["samples"]["in shards"],
    }


def _summary(runs: list[dict[str, Any]], films: list[Path]) -> dict[str, Any]:
    """Medians, and ratios run by run, so that a drift of the machine's speed cancels out."""
    ratios = {
        name: [run["phases_cpu_s"][name] / run["bare_decode"]["cpu_s"] for run in runs] for name in ("split", "cut")
    }
    ratios["workers"] = [sum(run["phases_cpu_s"].values()) / run["bare_decode"]["cpu_s"] for run in runs]
    return {
        "machine": cost.machine(),
        "films": len(films),
        "bytes": sum(film.stat().st_size for film in films),
        "runs": len(runs),
        "clips": runs[0]["clips"],
        "samples": runs[0]["samples"],
        "bare_decode_cpu_s": statistics.median(run["bare_decode"]["cpu_s"] for run in runs),
        "phases_cpu_s": {
            name: round(statistics.median(run["phases_cpu_s"][name] for run in runs), 2) for name in PHASES
        },
        "wall_s": statistics.median(run["driver"]["wall_s"] for run in runs),
        "peak_mb": max(run["peak_mb"] for run in runs),
        "over_bare_decode": {name: round(statistics.median(values), 2) for name, values in ratios.items()},
    }


if __name__ == "__main__":
    main()
