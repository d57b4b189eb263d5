"""Thousands of mutated media files through the jail: what comes of them, and whether anything escapes.

    python -m benchmarks.fuzz_media --count 3000 --seed 1 --keep /tmp/bad

Prints one JSON line. A file that hangs, kills the decoder or meets a bug of ours is kept in `--keep`;
the exit status is 1 if one hung or met a bug.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from curation.video.jail import Jail
from curation.video.probe import MediaError
from curation.video.settings import Settings
from tests import odd
from tests.mutate import mutated

TIMEOUT_S = 30.0


def fuzz(
    folder: Path,
    count: int,
    seed: int,
    *,
    media: Path | None = None,
    keep: Path | None = None,
    memory_mb: int = 2048,
    speed: str = "exact",
) -> dict[str, Any]:
    """Counts of what became of `count` files; an undamaged one is read after every hundred."""
    sources = []
    for film in odd.FILMS:
        film.make(folder / film.name)
        sources.append(folder / film.name)
    good = sources[0]
    if media:
        sources = sorted(path for path in media.iterdir() if path.is_file())
    jail = Jail(memory_mb)
    ends: collections.Counter[str] = collections.Counter()
    started, slowest = time.monotonic(), 0.0
    for number in range(count):
        if number % 100 == 0 and (end := _end(jail, good, folder, speed)) != "row":
            raise SystemExit(f"an undamaged file gave no row, but {end}")
        random = np.random.default_rng([seed, number])
        source = sources[random.integers(len(sources))]
        path = folder / f"mutated{source.suffix}"
        path.write_bytes(mutated(source.read_bytes(), random))
        before = time.monotonic()
        end = _end(jail, path, folder, speed)
        slowest = max(slowest, time.monotonic() - before)
        ends[end] += 1
        if keep and end.startswith(("hung", "bug", "died", "memory")):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{end.split(':')[0]}-{seed}-{number}-{source.name.replace('/', '_')}").write_bytes(
                path.read_bytes()
            )
    jail.close()
    return {
        "files": count,
        "seed": seed,
        "ends": dict(ends.most_common()),
        "slowest_s": round(slowest, 2),
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": round(jail.peak_mb),
    }


def _end(jail: Jail, path: Path, folder: Path, speed: str) -> str:
    settings = asdict(Settings(speed=speed))
    try:
        row = jail.call("scan", path, TIMEOUT_S, settings=settings, folder=str(folder), segment_s=None)
    except MediaError as error:
        said = str(error)
        for word, end in (("longer than", "hung"), ("died", "died"), ("needs more than", "memory")):
            if word in said:
                return f"{end}: {said}"
        return "refused"
    except RuntimeError as error:
        return f"bug: {str(error).partition(': ')[2][:100]}"
    return "marked row" if row["warning"] else "row"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--media", type=Path, help="folder of media to mutate, in place of those of the tests")
    parser.add_argument("--keep", type=Path, help="folder for files that hang, kill or find a bug")
    parser.add_argument("--memory-mb", type=int, default=2048, help="address space of the decoder")
    parser.add_argument("--speed", choices=("exact", "fast"), default="exact", help="the pass")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(
            Path(folder),
            given.count,
            given.seed,
            media=given.media,
            keep=given.keep,
            memory_mb=given.memory_mb,
            speed=given.speed,
        )
    print(json.dumps(found))
    sys.exit(any(end.startswith(("hung", "bug")) for end in found["ends"]))


if __name__ == "__main__":
    main()
