"""python -m benchmarks.joined OUT [--footage DIR --truth DIR] [--set tune|check|all] [--seed N]

Makes footage with known transitions and traps from the shots of the films given, or of the demo's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.joined import SETS, make
from benchmarks.joined.truth import Truth
from demo.footage import build


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joined", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--truth", type=Path, help="a folder of what is known of them, a JSON file for each")
    parser.add_argument("--set", choices=[*SETS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if bool(chosen.footage) != bool(chosen.truth):
        parser.error("--footage and --truth belong together")
    if not chosen.footage:
        chosen.footage = chosen.truth = chosen.out / "painted"
        build(chosen.footage, workers=1)
    started = time.process_time()

    def tell(path: Path, known: Truth) -> None:
        print(
            f"{path.parent.name}/{path.name}: {known.frames / known.fps:.0f} s, {len(known.hard_cuts)} hard cuts, "
            f"{len(known.gradual)} gradual, {len(known.traps)} traps, "
            f"after {time.process_time() - started:.0f} CPU s",
            flush=True,
        )

    sets = SETS if chosen.set == "all" else (chosen.set,)
    make(chosen.out, chosen.footage, chosen.truth, sets, chosen.seed, tell=tell)


if __name__ == "__main__":
    main()
