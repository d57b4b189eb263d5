"""What the driver needs for a million clips: seconds and memory of the ledger and of the plan of shards.

    python -m benchmarks.driver_scale [--clips 1000000] [--json FILE]

The output is made up: tables of the real schemas in 512 parts, with ids, texts and numbers of the usual lengths and
without pictures, which no plan reads. Three of five clips are kept. Each figure comes from a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import cost
from curation import generations, ledger, parts, tables
from curation.phases.score import measures
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe
from curation.store import Place
from curation.validate import parse
from curation.video.jail import peak_mb

_PARTS = 512
_CLIPS_A_SOURCE = 40
_RECIPE = {"name": "scale", "sources": [{"files": ["a"]}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--clips", type=int, default=1_000_000, help="clips of the output")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-scale-") as folder:
        figures = scale(Path(folder), chosen.clips)
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def scale(folder: Path, clips: int) -> dict[str, Any]:
    out, recipe = Place(folder), parse(_RECIPE, Recipe)
    _made_up(out, recipe, clips)
    figures: dict[str, Any] = {"machine": cost.machine(), "clips": clips, "parts": _PARTS}
    figures["nothing"] = _alone(_nothing, folder)
    figures["plan_shards"] = _alone(_plan_shards, folder)
    figures["plan_cuts"] = _alone(_plan_cuts, folder)
    _alone(_publish, folder)
    figures["plan_shards_again"] = _alone(_plan_shards, folder)
    figures["discrepancies"] = _alone(_discrepancies, folder)
    figures["balance"] = _alone(_balance, folder)
    return figures


def _alone(work: Callable[[Path], Any], folder: Path) -> dict[str, float]:
    """What a process that does this alone takes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measured, (work, folder))


def _measured(work: Callable[[Path], Any], folder: Path) -> dict[str, float]:
    started, cpu = time.monotonic(), time.process_time()
    held = work(folder)
    seconds, cpu_s = time.monotonic() - started, time.process_time() - cpu
    del held
    return {"seconds": round(seconds, 1), "cpu_s": round(cpu_s, 1), "peak_mb": round(peak_mb())}


def _nothing(folder: Path) -> None:
    """What Python and the libraries take by themselves."""


def _plan_shards(folder: Path) -> Any:
    return Plan(parse(_RECIPE, Recipe), Place(folder)).shard_units()


def _plan_cuts(folder: Path) -> Any:
    plan = Plan(parse(_RECIPE, Recipe), Place(folder))
    units = plan.shard_units()
    return units, plan.cut_units(units, units)


def _discrepancies(folder: Path) -> None:
    assert ledger.discrepancies(Place(folder)) == []


def _balance(folder: Path) -> None:
    ledger.balance(Place(folder))


def _publish(folder: Path) -> None:
    """A generation with the planned shards, of whose indexes there is what a ledger reads."""
    out = Place(folder)
    shards = []
    for unit in Plan(parse(_RECIPE, Recipe), out).shard_units():
        given = unit.given
        assert given is not None
        index = pa.table({"clip_id": given["clip_id"], "duration_s": given["clip_duration_s"]})
        said = json.dumps({"fingerprint": unit.fingerprint, "failed": []})
        out.commit_table(parts.path("shards", unit.number), index.replace_schema_metadata({"reelmill": said}))
        name = parts.path("shards", unit.number, ".tar")
        shards.append({"tar": name, "index": parts.path("shards", unit.number), "samples": index.num_rows})
        shards[-1] |= {"made_of": unit.fingerprint, "sha256": unit.fingerprint, "bytes": 0}
    samples = sum(shard["samples"] for shard in shards)
    content = {"format": tables.MANIFEST_FORMAT, "samples": samples, "bytes": 0, "next_shard": len(shards)}
    generations.publish(out, content | {"shards": shards})


def _made_up(out: Place, recipe: Recipe, clips: int) -> None:
    drawn = np.random.default_rng(0)
    each = -(-clips // _PARTS // _CLIPS_A_SOURCE) * _CLIPS_A_SOURCE
    kept = []
    count = -(-clips // each)
    for part in range(count):
        numbers = np.arange(part * each, min((part + 1) * each, clips))
        ids = [hashlib.sha256(f"clip {number}".encode()).hexdigest()[:16] for number in numbers]
        sources = [f"https://host/collection/film-{number // _CLIPS_A_SOURCE:08d}.mp4" for number in numbers]
        of_source = dict.fromkeys(sources)
        counts = [sources.count(name) for name in of_source] if len(of_source) else []
        given = {"source_id": list(of_source), "uri": list(of_source)}
        meta = json.dumps({"channel": "a channel of films", "tags": ["one", "two", "three"], "views": 12345})
        told = {"kind": "video", "status": "ok", "meta": meta, "licence": "CC-BY 4.0", "time_base": "1/12800"}
        _commit(out, "inputs", part, tables.INPUTS, len(of_source), given | {"kind": "video", "meta": meta}, drawn)
        _commit(out, "sources", part, tables.SOURCES, len(of_source), given | told | {"clips": counts}, drawn)
        own = {"clip_id": ids, "source_id": sources, "kind": "scene", "time_base": "1/12800", "frames": 100}
        own |= {"width": 1920, "height": 1080, "phash": [[number, number, number] for number in numbers.tolist()]}
        _commit(out, "clips", part, tables.CLIPS, len(ids), own, drawn)
        _commit(out, "scores", part, tables.scores_schema(measures(recipe)), len(ids), {"clip_id": ids}, drawn)
        keep = numbers % 5 < 3
        chosen = [clip_id for clip_id, wanted in zip(ids, keep) if wanted]
        text = "A person in a red coat walks along the shore at dusk while the camera follows from behind. " * 2
        caption = {"clip_id": chosen, "caption": [f"{text}{clip_id}" for clip_id in chosen], "caption_words": 40}
        caption |= {"captions": [_styles(text) for _ in chosen], "captioner": "describe"}
        _commit(out, "captions", part, tables.CAPTIONS, len(chosen), caption, drawn)
        why = [[] if wanted else ["signal < 2.5"] for wanted in keep]
        kept.append(_columns(tables.SELECTION, len(ids), {"clip_id": ids, "kept": keep, "drop_reasons": why}, drawn))
    out.commit("inputs/units.json", json.dumps({"units": count, "fingerprint": ""}).encode())
    out.commit_table(SELECTION, pa.concat_tables(kept))


def _styles(text: str) -> list[dict[str, Any]]:
    plain = {"model": None, "prompt": None, "flags": [], "raw": None}
    return [{"style": "caption", "text": text, "words": 40, "captioner": "describe", **plain}]


def _commit(
    out: Place, table: str, part: int, schema: pa.Schema, rows: int, given: dict[str, Any], drawn: np.random.Generator
) -> None:
    content = _columns(schema, rows, given, drawn)
    said = json.dumps({"content": hashlib.sha256(f"{table} {part}".encode()).hexdigest()})
    out.commit_table(parts.path(table, part), content.replace_schema_metadata({"reelmill": said}))


def _columns(schema: pa.Schema, rows: int, given: dict[str, Any], drawn: np.random.Generator) -> pa.Table:
    """Columns of a schema: those given, as lists or one value for all; numbers at random; nothing where that may be."""
    columns = []
    for field in schema:
        value = given.get(field.name)
        if isinstance(value, (list, np.ndarray)):
            column = pa.array(value, field.type)
        elif value is not None:
            column = pa.array([value] * rows, field.type)
        elif pa.types.is_floating(field.type):
            column = pa.array(drawn.random(rows), field.type)
        elif pa.types.is_integer(field.type):
            column = pa.array(drawn.integers(0, 1000, rows), field.type)
        elif pa.types.is_list(field.type):
            column = pa.array([[]] * rows, field.type)
        else:
            column = pa.nulls(rows, field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


if __name__ == "__main__":
    main()
