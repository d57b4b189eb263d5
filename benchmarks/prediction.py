"""`reelmill plan` against the run that follows it: what was predicted over what came.

    python -m benchmarks.prediction [--footage DIR] [--samples 24 3] [--json FILE]

For each size of the sample: a plan, then a run of all sources, side by side. Small samples take pieces of a few
seconds, as a plan of a large dataset does. Without `--footage` the demo's films and manifest are taken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import cost
from curation.prediction import compared
from curation.store import Place

_REELMILL = [sys.executable, "-m", "curation.cli"]
# The piece of a film that a sample of so many takes. Seconds.
_PIECE_S = 15
_ALL = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's, by its manifest")
    parser.add_argument("--samples", type=int, nargs="+", default=[_ALL, 3], help="sizes of the sample")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        manifest = [str(chosen.footage)] if chosen.footage else _demo(Path(folder))
        runs = [_run(manifest, Path(folder, f"out{size}"), size) for size in chosen.samples]
    footage = chosen.footage.name if chosen.footage else "demo"
    figures = {"machine": cost.machine(), "footage": footage, "runs": runs}
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _run(manifest: list[str], out: Path, size: int) -> dict[str, Any]:
    piece = 60 if size >= _ALL else _PIECE_S
    options = ["--sample", str(size), "--excerpt", str(piece), "--out", str(out)]
    planned = cost.run([*_REELMILL, "plan", *manifest, *options])
    ran = cost.run([*_REELMILL, "curate", *manifest, "--out", str(out)])
    told = json.loads((out / "prediction.json").read_text())
    lines = [vars(line) | {"ratio": line.ratio} for line in compared(Place(out))]
    return {
        "sample": size,
        "piece_s": piece,
        "sources": told["population"]["sources"],
        "measured": told["sample"]["measured"],
        "plan_cpu_s": round(planned.cpu_s, 1),
        "plan_wall_s": round(planned.wall_s, 1),
        "run_cpu_s": round(ran.cpu_s, 1),
        "run_wall_s": round(ran.wall_s, 1),
        "lines": lines,
    }


def _demo(folder: Path) -> list[str]:
    footage = folder / "footage"
    subprocess.run([sys.executable, "-m", "demo.footage", footage], check=True, capture_output=True)
    places = (footage / "catalogue" / "captions.csv", footage / "camera")
    sets = [f"sources.{number}.files={place}" for number, place in enumerate(places)]
    return ["manifests/demo.yaml", *(word for one in sets for word in ("--set", one))]


if __name__ == "__main__":
    main()
