"""Bytes read from a server for each byte of media used, by how a dataset is read under a global shuffle.

    python -m benchmarks.bytes_read [--json docs/benchmarks/bytes_read.json]

Tars of others with 50 members of 200 kB each, random bytes in place of media, are read in a random order: by members,
whole through a cache of a quarter of them, and whole through a cache that holds them all. Half an epoch is read. A
count, not a time: it is the same on any machine, but for what the background has fetched by the end in the last case.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.servers import FileServer
from training.stream.opening import Read, open_dataset

TARS, MEMBERS, BYTES = 20, 50, 200_000
BATCH, BATCHES = 8, 60
ALL = TARS * MEMBERS * BYTES
CASES: dict[str, tuple[int, Read]] = {
    "members": (10 * ALL, "members"),
    "whole tars, a quarter fits": (ALL // 4 + 5_000_000, "shards"),
    "whole tars, all fit": (10 * ALL, "auto"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tars = Path(folder, "tars")
        _write(tars)
        with FileServer(folder=tars) as server:
            found = {name: _read(server.url, Path(folder, name), *case) for name, case in CASES.items()}
    for name, figures in found.items():
        print(f"{name:28} {figures}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def _write(folder: Path) -> None:
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for tar in range(TARS):
        with tarfile.open(folder / f"{tar:05d}.tar", "w") as file:
            for member in range(MEMBERS):
                info = tarfile.TarInfo(f"{tar:03d}{member:03d}.mp4")
                info.size = BYTES
                file.addfile(info, io.BytesIO(numbers.bytes(BYTES)))


def _read(url: str, cache: Path, cache_bytes: int, read: Read) -> dict[str, Any]:
    pattern = f"{url}/{{00000..{TARS - 1:05d}}}.tar"
    dataset = open_dataset(pattern, cache_dir=str(cache), cache_bytes=cache_bytes, read=read)
    opening = dataset.traffic.bytes_read
    order = np.random.default_rng(1).permutation(len(dataset)).reshape(-1, BATCH)[:BATCHES]
    for number, batch in enumerate(order):
        dataset.prefetch([dataset.entry(int(place)) for place in order[number + 1 : number + 3].ravel()])
        for place in batch:
            dataset.media(dataset.entry(int(place)))
    after = dataset.traffic.snapshot()
    dataset.close()
    return {
        "clips used": after["samples"],
        "read for each byte used": round((after["bytes_read"] - opening) / after["bytes_used"], 2),
        "read to index, of all bytes": round(opening / ALL, 3),
        "requests a clip": round(after["requests"] / after["samples"], 2),
        "cache hits": round(after["hits"] / after["samples"], 3),
    }


if __name__ == "__main__":
    main()
