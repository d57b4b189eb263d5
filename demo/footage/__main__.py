"""python -m demo.footage OUT [--seconds N] [--again]: make the raw footage of the demo."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.footage import FULL_SECONDS, build, finished
from demo.footage.edit import Film
from demo.footage.films import FILMS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.footage", description="Make the raw footage of the demo.")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument(
        "--seconds",
        type=float,
        default=FULL_SECONDS,
        help=f"about how much footage, in all (default and most: {FULL_SECONDS:.0f})",
    )
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="files made at a time")
    parser.add_argument("--again", action="store_true", help="make it anew even if the folder is finished")
    chosen = parser.parse_args()
    if chosen.seconds <= 0:
        parser.error("--seconds must be more than 0")
    scale = min(1.0, round(chosen.seconds / FULL_SECONDS, 4))
    console = Console(highlight=False)
    if finished(chosen.out, scale) and not chosen.again:
        console.print(f"Footage is already in {chosen.out} (use --again to make it anew).")
        return 0
    started = time.monotonic()
    done = 0

    def tell(film: Film, facts: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        width, height = film.size
        console.print(
            f"[{done:2d}/{len(FILMS)}] [bold]{film.path:27}[/bold] "
            f"{facts['frames'] / film.fps:5.1f} s  {width}x{height} at {film.fps}/s  "
            f"{len(facts['scenes'])} scenes  {facts['bytes'] / 1e6:.1f} MB"
        )

    try:
        build(chosen.out, scale, chosen.workers, chosen.again, tell)
    except FileExistsError as problem:
        Console(stderr=True, highlight=False).print(str(problem))
        return 2
    except KeyboardInterrupt:
        Console(stderr=True, highlight=False).print("Interrupted; nothing was kept.")
        return 130
    took = time.monotonic() - started
    console.print(f"Made {len(FILMS)} films and one broken file in {chosen.out}, in {took:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
