"""A dataset of millions of samples out of a small one, to measure what size costs.

    python benchmarks/multiplied.py OUT/manifest.json BIG --samples 5000000

The first shard is named again and again: its tar by links, its index with its rows over and over under new keys. So
every sample can be decoded, while the index is as large as that of a real dataset.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def multiply(manifest: Path, folder: Path, samples: int, *, per_shard: int = 10_000) -> Path:
    """Write a dataset of `samples` samples, `per_shard` in each tar but the last; returns the path of its manifest."""
    told: dict[str, Any] = json.loads(manifest.read_text())
    first = told["shards"][0]
    source = pq.read_table(manifest.parent / first["index"]).replace_schema_metadata(None)
    (folder / "shards").mkdir(parents=True)
    tar = folder / "shards" / "00000.tar"
    tar.write_bytes((manifest.parent / first["tar"]).read_bytes())
    shards = []
    for number, start in enumerate(range(0, samples, per_shard)):
        count = min(per_shard, samples - start)
        keys = pa.array([f"{number:06d}{sample:06d}" for sample in range(count)])
        table = source.take(pa.array(np.arange(count) % len(source)))
        table = table.set_column(table.schema.get_field_index("key"), "key", keys)
        index = folder / "shards" / f"{number:05d}.parquet"
        pq.write_table(table, index, compression="zstd")
        if number:
            os.link(tar, folder / "shards" / f"{number:05d}.tar")
        shards.append(
            {
                **{key: value for key, value in first.items() if key in ("kind", "bytes", "sha256")},
                "tar": f"shards/{number:05d}.tar",
                "index": f"shards/{number:05d}.parquet",
                "samples": count,
                "index_sha256": hashlib.sha256(index.read_bytes()).hexdigest(),
            }
        )
    told |= {"samples": samples, "shards": shards, "dataset_hash": f"{told['dataset_hash']} times {samples}"}
    path = folder / "manifest.json"
    path.write_text(json.dumps(told))
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=5_000_000)
    parser.add_argument("--per-shard", type=int, default=10_000)
    given = parser.parse_args()
    print(multiply(given.manifest, given.folder, given.samples, per_shard=given.per_shard))
