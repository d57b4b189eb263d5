"""Time and memory of the report's numbers and page on synthetic tables.

    python -m benchmarks.report_scale [--clips 1000000 10000000] [--json FILE]

The tables are those of a finished output: parts of 8192 clips with three thumbnails each in row groups of 64, scores,
captions of ten words, a selection and shards. Writing them is not measured. The report runs in a process of its own;
`peak_mb` is that process's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.select_scale import CATEGORIES
from curation import tables
from curation.phases.report.numbers import facts
from curation.phases.report.numbers.journal import journal
from curation.phases.report.page import page, sheets
from curation.phases.score import measures
from curation.recipe import Recipe
from curation.store import Place
from curation.validate import as_yaml, parse

_PART = 8192
_SOURCES = 16  # of a part
_WORDS = np.array([f"word{number}" for number in range(5000)])
_SHARD = 4096
_RULES = [
    {"field": "frames", "min": 16},
    {"field": "height", "min": 360},
    {"field": "signal", "min": "p25"},
    {"field": "motion", "between": ["p5", "p95"]},
    {"field": "caption_words", "min": 3},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help="the report of this output, in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_measured(Place(given.one))))
        return
    found = {}
    for clips in given.clips:
        with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
            _write(Place(folder), clips)
            command = [sys.executable, "-m", "benchmarks.report_scale", "--one", folder]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[str(clips)] = json.loads(told) | {"tables_mb": _megabytes(Path(folder))}
            print(f"{clips:,}: {found[str(clips)]}", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"cpus": os.cpu_count(), "measured": found}, indent=1) + "\n")


def _measured(out: Place) -> dict[str, Any]:
    recipe = _recipe()
    begun, cpu = time.monotonic(), time.process_time()
    told = {}

    def lap(name: str) -> None:
        nonlocal begun, cpu
        now, used = time.monotonic(), time.process_time()
        told[name] = {"wall_s": round(now - begun, 2), "cpu_s": round(used - cpu, 2), "peak_mb": _peak_mb()}
        begun, cpu = now, used

    at_first = _peak_mb()
    with facts.gather(out, recipe) as found:
        lap("one pass over the tables")
        charts = found.distributions
        _ = found.comparisons
        lap("distributions")
        shown = sheets.shown(out, found)
        lap("clips to look at")
        html = page.render(found, charts, shown, journal(out), [], "0" * 64, recipe.report.max_mb * 1e6)
        lap("page")
    return told | {"page_mb": round(len(html) / 1e6, 2), "at_first_mb": at_first}


def _peak_mb() -> int:
    """Of this process alone; getrusage would count what its parent held when it was started."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024)


def _recipe() -> Recipe:
    given = {"name": "bench", "sources": [{"files": ["a"]}], "select": {"rules": _RULES}}
    return parse(given | {"report": {"playing": 0}}, Recipe)


def _write(out: Place, clips: int) -> None:
    recipe = _recipe()
    out.commit("recipe.yaml", as_yaml(recipe).encode())
    chance = np.random.default_rng(0)
    jpegs = [
        cv2.imencode(".jpg", cv2.resize(chance.integers(0, 255, (9, 16, 3), np.uint8), (48, 27)))[1].tobytes()
        for _ in range(64)
    ]
    scored = tables.scores_schema(measures(recipe))
    selections = []
    for unit, begin in enumerate(range(0, clips, _PART)):
        count = min(_PART, clips - begin)
        ids = pa.array([f"{number:016x}" for number in chance.permutation(count) * clips + begin])
        source = [f"film {unit}-{n}" for n in range(_SOURCES)]
        at = np.sort(chance.integers(0, _SOURCES, count))
        frames = chance.integers(4, 500, count)
        values = {
            "clip_id": ids,
            "source_id": pa.array(source).take(pa.array(at)),
            "kind": pa.array(["scene"] * count),
            "duration_s": frames / 25,
            "frames": frames,
            "height": chance.choice([144, 360, 720, 1080], count),
            "width": chance.choice([256, 640, 1280, 1920], count),
            "category": pa.array(CATEGORIES.tolist()).take(pa.array(chance.integers(0, 10, count))),
            "thumbnails": pa.array([[jpegs[(n + k) % 64] for k in range(3)] for n in range(count)]),
            **{name: chance.exponential(0.1, count) for name in ("motion", "brightness", "sharpness")},
            **{name: np.zeros(count) for name in ("black", "frozen", "start_s", "end_s", "fps")},
        }
        signal = chance.random(count) * 10
        words = chance.integers(0, len(_WORDS), (count, 10))
        said = [" ".join(row) for row in _WORDS[words]]
        clip_table = _table(values, tables.CLIPS)
        out.commit_table(f"clips/{unit:05d}.parquet", clip_table)
        scores = {"clip_id": ids, **{name: signal for name in scored.names if name != "clip_id"}}
        out.commit_table(f"scores/{unit:05d}.parquet", _table(scores, scored))
        given = {"clip_id": ids, "caption": said, "caption_words": np.full(count, 10), "captioner": ["model"] * count}
        out.commit_table(f"captions/{unit:05d}.parquet", _table(given, tables.CAPTIONS))
        sources = {
            "source_id": source,
            "uri": [f"/films/{name}.mp4" for name in source],
            **{name: [told] * _SOURCES for name, told in (("kind", "video"), ("status", "ok"), ("codec", "h264"))},
            **{name: np.full(_SOURCES, 10**9) for name in ("bytes", "duration_s", "width", "height")},
        }
        out.commit_table(f"sources/{unit:05d}.parquet", _table(sources, tables.SOURCES))
        short, dull = frames < 16, signal < 2.5
        reasons = [[*(["frames < 16"] if a else []), *(["signal < p25"] if b else [])] for a, b in zip(short, dull)]
        kept = ~(short | dull)
        selections.append(
            pa.table(
                [ids, pa.array(kept), pa.array(reasons, pa.list_(pa.string())), pa.nulls(count, pa.string())],
                schema=tables.SELECTION,
            )
        )
    selection = pa.concat_tables(selections)
    out.commit_table("selection.parquet", selection)
    _publish(out, selection)


def _publish(out: Place, selection: pa.Table) -> None:
    kept = selection.filter(selection["kept"])["clip_id"]
    schema = pa.schema([tables.SAMPLES.field(name) for name in ("clip_id", "duration_s", "offset", "bytes")])
    shards = []
    for number, begin in enumerate(range(0, len(kept), _SHARD)):
        ids = kept.slice(begin, _SHARD).combine_chunks()
        told = {"clip_id": ids, **{name: np.zeros(len(ids)) for name in ("duration_s", "offset", "bytes")}}
        out.commit_table(f"shards/{number:05d}.parquet", _table(told, schema))
        name = f"shards/{number:05d}"
        shards.append({"tar": f"{name}.tar", "index": f"{name}.parquet", "samples": len(ids)})
    manifest = {"format": tables.MANIFEST_FORMAT, "dataset_hash": "0" * 64, "bytes": 10**9, "samples": len(kept)}
    out.commit("manifest.json", json.dumps(manifest | {"shards": shards}).encode())
    every = selection.num_rows
    sources = {"ok": 1, "in part": 0, "failed": 0, "failed_by_reason": {}, "hours": 1.0, "bytes": 10**9}
    of_clips = {"all": every, "hours": 1.0, "kept": len(kept), "kept_hours": 1.0, "dropped": every - len(kept)}
    samples = {"in shards": len(kept), "hours": 1.0, "failed": 0, "failed_by_reason": {}, "shards": 1, "bytes": 10**9}
    sums = {"inputs": 1, "sources": sources, "clips": of_clips, "samples": samples}
    out.commit("ledger.json", json.dumps(sums).encode())


def _table(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """With every column of the schema; those that are not given are empty."""
    count = len(values["clip_id" if "clip_id" in values else "source_id"])
    loose = pa.schema([field.with_nullable(True) for field in schema])
    columns = [
        pa.array(values[field.name]).cast(field.type, safe=False)
        if field.name in values
        else pa.nulls(count, field.type)
        for field in loose
    ]
    return pa.table(columns, schema=loose)


def _megabytes(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6)


if __name__ == "__main__":
    main()
