"""Time and memory of select on synthetic clips: rules, the whole command over a tree of Parquet parts, near-duplicates.

    python -m benchmarks.select_scale [--rows 1000000 10000000] [--tree 1000000] [--pictures 1000000]
                                      [--embeddings 200000] [--json FILE]

Each measurement runs in a process of its own; `peak_mb` is that process's, with the table that it was given
(`table_mb`). One clip in ten is a copy of another: every bit of its hashes turned with a chance of 0.03, or noise
added to its embedding that leaves a cosine of about 0.99.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import parts, recipe, tables
from curation.phases import ingest, select
from curation.phases.score import measures
from curation.phases.select.duplicates import repeated
from curation.phases.select.embeddings_alike import EmbeddingsAlike
from curation.phases.select.pictures_alike import PicturesAlike
from curation.plan import Plan
from curation.recipe import Recipe
from curation.recipe_select import Balance, Rule, Select
from curation.store import Place
from curation.validate import as_yaml, parse

_SOURCES = 4096
_WIDTH = 512
_TURNED = 0.03
RULES = [
    {"field": "frames", "min": 16, "kind": "video"},
    {"field": "height", "min": 360},
    {"field": "signal", "min": "p25", "by": "category"},
    {"field": "motion", "between": ["p5", "p95"]},
    {"field": "brightness", "between": [0.05, 0.95]},
    {"field": "sharpness", "min": "p2", "by": "source_id"},
    {"field": "category", "none_of": ["adverts"]},
]
CATEGORIES = np.array(["animals", "city", "sea", "sport", "people", "food", "adverts", "space", "cars", "art"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--tree", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--embeddings", type=int, default=200_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "CLIPS"), help="one measurement in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_MEASUREMENTS[given.one[0]](int(given.one[1]))))
        return
    wanted = [*(("rules", rows) for rows in given.rows), ("tree", given.tree)]
    wanted += [("pictures", given.pictures), ("embeddings", given.embeddings)]
    found = {}
    for what, clips in wanted:
        if clips:
            command = [sys.executable, "-m", "benchmarks.select_scale", "--one", what, str(clips)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[f"{what} {clips}"] = json.loads(told)
            print(f"{what} {clips:,}: {told.strip()}", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"cpus": os.cpu_count(), "measured": found}, indent=1) + "\n")


def a_table(clips: int, seed: int = 0) -> pa.Table:
    """The columns that the rules look at, and ids."""
    chance = np.random.default_rng(seed)
    ids = np.char.mod("%016x", chance.permutation(clips).astype(np.uint64)) if clips <= 1 << 20 else None
    signal = (chance.random(clips, np.float32) * 10).astype(np.float32)
    motion = chance.exponential(0.1, clips).astype(np.float32)
    return pa.table(
        {
            "clip_id": pa.array(ids if ids is not None else [f"{number:016x}" for number in range(clips)]),
            "source_id": _picked(chance, np.array([f"film {number}" for number in range(_SOURCES)]), clips),
            "kind": _picked(chance, np.array(["scene"] * 9 + ["dissolve"]), clips),
            "category": _picked(chance, CATEGORIES, clips),
            "frames": chance.integers(4, 500, clips).astype(np.int32),
            "height": chance.choice(np.array([240, 360, 480, 720, 1080], np.int32), clips),
            "duration_s": chance.random(clips) * 20,
            "motion": pa.array(motion, mask=chance.random(clips) < 0.01),
            "brightness": chance.random(clips, np.float32),
            "sharpness": chance.random(clips, np.float32),
            "black": chance.random(clips, np.float32) ** 8,
            "frozen": chance.random(clips, np.float32) ** 8,
            "signal": signal,
        }
    )


def _picked(chance: np.random.Generator, names: np.ndarray, clips: int) -> pa.Array:
    return pa.array(names).take(pa.array(chance.integers(0, len(names), clips)))


def _rules(clips: int) -> dict[str, Any]:
    table = a_table(clips)
    chosen = parse({"rules": RULES}, Select)
    told: dict[str, Any] = {"table_mb": round(table.nbytes / 2**20)}

    def decided(**given: Any) -> pa.Table:
        return select.decide(table, chosen.every_rule, captioned=False, **given)[0]

    told["decide"] = _timed(decided)
    told["kept"] = decided()["kept"].to_pylist().count(True)
    balance = Balance(most=clips // 100)
    told["balance"] = _timed(lambda: select.balanced(table, balance, ["signal"], np.ones(clips, np.bool_)))
    plain = [Rule(field="signal", min="p25")]
    told["one percentile"] = _timed(lambda: select.decide(table, plain, captioned=False))
    return told | {"peak_mb": _peak_mb()}


def _tree(clips: int) -> dict[str, Any]:
    """An output up to its scores, in parts, and the command on it: first, again, with a rule moved, what-if."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "films.csv"
        rows = "".join(f"https://example.org/{number}.mp4,film {number}\n" for number in range(_SOURCES))
        listed.write_text("uri,id\n" + rows)
        manifest = Path(folder) / "films.yaml"
        given = {
            "name": "films",
            "sources": [{"files": str(listed), "columns": {"id": "id"}}],
            "select": {"rules": RULES},
        }
        manifest.write_text(json.dumps(given))
        made = recipe.load(str(manifest))
        out = Place(f"{folder}/out")
        out.commit("recipe.yaml", as_yaml(made).encode())
        units = _fill(out, made, clips)
        command = [sys.executable, "-m", "curation.cli", "select", str(manifest), "--out", f"{folder}/out"]
        moved = ["--set", "select.rules.2.min=p30"]
        told: dict[str, Any] = {"parts": units}
        told["select"] = _timed(lambda: _ran([*command, "--update"]))
        told["again"] = _timed(lambda: _ran(command))
        told["a rule moved"] = _timed(lambda: _ran([*command, *moved, "--update"]))
        told["what-if, 14 values"] = _timed(lambda: _ran([*command, *moved, "--what-if", "brightness.min"]))
        return told | {"peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)}


def _fill(out: Place, made: Recipe, clips: int) -> int:
    listing, _ = ingest.listing(made)
    units = ingest.commit(out, made, listing)
    table = a_table(clips)
    share = -(-clips // units)
    plan = Plan(made, out)
    slices = [table.slice(min(number * share, clips), share) for number in range(units)]
    for unit, part in zip(plan.split_units(), slices):
        _put(out, "clips", unit, _padded(part, tables.CLIPS))
        _put(out, "sources", unit, tables.SOURCES.empty_table())
    scored = tables.scores_schema(measures(made))
    for unit, part in zip(plan.score_units(), slices):
        _put(out, "scores", unit, _padded(part, scored))
    return units


def _put(out: Place, table: str, unit: Any, content: pa.Table) -> None:
    footer = json.dumps({"fingerprint": unit.fingerprint, "content": unit.fingerprint})
    out.commit_table(parts.path(table, unit.number), content.replace_schema_metadata({b"reelmill": footer}))


def _padded(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """With every column of the schema; those that nobody looks at are empty."""
    columns = [
        part[field.name] if field.name in part.column_names else pa.nulls(part.num_rows, field.type) for field in schema
    ]
    loose = pa.schema([field.with_nullable(True) for field in schema])
    return pa.table([column.cast(field.type) for column, field in zip(columns, loose)], schema=loose)


def _pictures(clips: int) -> dict[str, Any]:
    chance = np.random.default_rng(1)
    hashes = np.concatenate([_balanced(chance, min(200_000, 3 * clips - at)) for at in range(0, 3 * clips, 200_000)])
    hashes = hashes.reshape(clips, 3)
    copy = chance.random(clips) < 0.1
    copy[0] = False
    hashes[copy] = hashes[_originals(chance, copy)]
    for column in range(3):
        turned = np.packbits(chance.random((int(copy.sum()), 64)) < _TURNED, axis=1).view(np.uint64).ravel()
        hashes[copy, column] ^= turned
    ends = np.arange(0, 3 * clips + 1, 3, dtype=np.int32)
    lists = pa.chunked_array([pa.ListArray.from_arrays(pa.array(ends), pa.array(hashes.ravel()))])
    told: dict[str, Any] = {"copies made": int(copy.sum())}
    for distance in (3, 5):
        found: list[np.ndarray] = []

        def search(distance: int = distance, found: list[np.ndarray] = found) -> None:
            way = PicturesAlike(lists, np.zeros(clips, np.bool_), distance)
            found.append(repeated(np.arange(clips), [way]))

        told[f"distance {distance}"] = _timed(search) | {"found": int((found[0] >= 0).sum())}
    return told | {"peak_mb": _peak_mb()}


def _originals(chance: np.random.Generator, copy: np.ndarray) -> np.ndarray:
    """For every copy a row that is none."""
    return chance.choice(np.flatnonzero(~copy), int(copy.sum()))


def _balanced(chance: np.random.Generator, count: int) -> np.ndarray:
    return np.packbits(np.argsort(chance.random((count, 64)), axis=1) < 32, axis=1).view(np.uint64).ravel()


def _embeddings(clips: int) -> dict[str, Any]:
    """Unit vectors in a narrow cone around many subjects, as CLIP's are."""
    chance = np.random.default_rng(2)
    middle, subjects = _unit(chance.normal(size=(1, _WIDTH))), _unit(chance.normal(size=(2000, _WIDTH)))
    vectors = np.empty((clips, _WIDTH), np.float16)
    for at in range(0, clips, 50_000):
        count = min(50_000, clips - at)
        own = _unit(chance.normal(size=(count, _WIDTH)))
        vectors[at : at + count] = _unit(0.7 * middle + 0.5 * subjects[chance.integers(0, 2000, count)] + 0.45 * own)
    copy = chance.random(clips) < 0.1
    copy[0] = False
    noise = _unit(chance.normal(size=(int(copy.sum()), _WIDTH)))
    vectors[copy] = _unit(vectors[_originals(chance, copy)].astype(np.float64) + 0.15 * noise)
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), _WIDTH)
    found: list[np.ndarray] = []

    def search() -> None:
        way = EmbeddingsAlike(pa.chunked_array([values]), np.zeros(clips, np.bool_), 0.95)
        found.append(repeated(np.arange(clips), [way]))

    told = {"copies made": int(copy.sum()), "similarity 0.95": _timed(search)}
    return told | {"found": int((found[0] >= 0).sum()), "peak_mb": _peak_mb()}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _ran(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _timed(work: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.monotonic(), _cpu_s()
    work()
    return {"wall_s": round(time.monotonic() - wall, 2), "cpu_s": round(_cpu_s() - cpu, 2)}


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


_MEASUREMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "rules": _rules,
    "tree": _tree,
    "pictures": _pictures,
    "embeddings": _embeddings,
}

if __name__ == "__main__":
    main()
