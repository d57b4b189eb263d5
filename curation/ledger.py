"""The sums that must hold: everything that went in is somewhere, and nothing is there twice.

inputs   = sources ok + sources failed (each with a reason)
clips    = the clips that the sources say they gave = kept + dropped (each with a reason)
kept     = samples in shards + clips that could not be cut (each with a reason)
samples  = what manifest.json says
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import generations, parts
from curation.generations import MANIFEST, Manifest
from curation.store import Place

_THREADS = 8


def balance(out: Place) -> dict[str, Any]:
    """Every sum of an output, from its tables alone; JSON-ready and the same for the same tables."""
    inputs = parts.read(out, "inputs", ["source_id"])
    sources = parts.read(out, "sources", ["status", "error", "warning", "duration_s", "bytes"])
    durations = parts.read(out, "clips", ["duration_s"])["duration_s"]
    selection = out.table("selection.parquet", ["kept", "drop_reasons"])
    manifest = generations.read(out)
    failed_cuts: list[dict[str, str]] = []
    samples = 0
    seconds = 0.0
    for _, table, failed in _indexes(out, manifest, ["duration_s"]):
        failed_cuts.extend(failed)
        samples += table.num_rows
        seconds += _sum(table["duration_s"])
    kept = selection["kept"]
    reasons = selection["drop_reasons"]
    some = reasons.filter(pc.greater(pc.list_value_length(reasons), 0))
    ok = pc.equal(sources["status"], "ok")
    return {
        "inputs": inputs.num_rows,
        "sources": {
            "ok": _sum(ok),
            "in part": _sum(pc.and_(ok, _said(sources["warning"]))),
            "failed": _sum(pc.equal(sources["status"], "failed")),
            "failed_by_reason": _by_reason(sources["error"].filter(_said(sources["error"])), first_clause),
            "hours": _hours(_sum(sources["duration_s"])),
            "bytes": _sum(sources["bytes"]),
        },
        "clips": {
            "all": len(durations),
            "hours": _hours(_sum(durations)),
            "kept": _sum(kept),
            "kept_hours": _hours(_sum(durations.filter(kept))),
            "dropped": _sum(pc.invert(kept)),
            "dropped_by_first_reason": _by_reason(pc.list_element(some, 0)),
            "dropped_by_any_reason": _by_reason(pc.list_flatten(some)),
        },
        "samples": {
            "in shards": samples,
            "hours": _hours(seconds),
            "failed": len(failed_cuts),
            "failed_by_reason": _by_reason(pa.array([row["reason"] for row in failed_cuts], pa.string()), first_clause),
            "shards": len(manifest["shards"]),
            "bytes": manifest["bytes"],
        },
    }


def discrepancies(out: Place) -> list[str]:
    """Every sum that does not hold, in a sentence; empty when nothing was lost and nothing is twice.

    Ids stay in Arrow's columns: what stands in memory for each clip is a few times the length of its id.
    """
    wrong = []
    inputs = parts.read(out, "inputs", ["source_id"])["source_id"]
    sources = parts.read(out, "sources", ["source_id", "status", "error", "clips"])
    clips = parts.read(out, "clips", ["clip_id", "source_id"])
    manifest = generations.read(out)

    if (there := generations.numbers(out)) and out.read(MANIFEST) != out.read(generations.path(there[-1])):
        wrong.append(f"{MANIFEST} is not the newest generation, {generations.path(there[-1])}")
    wrong += _same("inputs", inputs, "sources", sources["source_id"])
    wrong += _strange_sources(sources, clips["source_id"])
    clip_ids = clips["clip_id"]
    del clips
    wrong += _same("clips", clip_ids, "scores", parts.read(out, "scores", ["clip_id"])["clip_id"])
    selection = out.table("selection.parquet", ["clip_id", "kept", "drop_reasons"])
    wrong += _same("clips", clip_ids, "selection", selection["clip_id"])
    del clip_ids
    kept = pc.fill_null(selection["kept"], False)
    has_reasons = pc.greater(pc.fill_null(pc.list_value_length(selection["drop_reasons"]), 0), 0)
    for row in selection.filter(pc.equal(kept, has_reasons)).to_pylist():
        state = "kept" if row["kept"] else "dropped"
        wrong.append(f"clip {row['clip_id']} is {state} with the reasons {row['drop_reasons']}")
    ended: list[pa.Array] = []
    for shard, table, failed in _indexes(out, manifest, ["clip_id"]):
        if table.num_rows != shard["samples"]:
            wrong.append(f"{shard['tar']}: the manifest says {shard['samples']} samples, the index {table.num_rows}")
        ended += [*table["clip_id"].chunks, pa.array([row["clip_id"] for row in failed], pa.string())]
    if strange := generations.unnamed(out):
        wrong.append(f"{len(strange)} files of shards/ are in no generation, first {strange[0]}")
    going = selection["clip_id"].filter(kept)
    del selection
    wrong += _same("kept clips", going, "samples and failed cuts", pa.chunked_array(ended, pa.string()))
    if sum(shard["samples"] for shard in manifest["shards"]) != manifest["samples"]:
        wrong.append("the manifest's samples are not the sum of its shards'")
    return wrong


def _strange_sources(sources: pa.Table, of_clips: pa.ChunkedArray) -> list[str]:
    """Sources whose outcome and error, or whose number of clips, do not fit together."""
    wrong = []
    failed = pc.equal(sources["status"], "failed")
    for row in sources.filter(pc.xor(failed, _said(sources["error"]))).to_pylist():
        wrong.append(f"source {row['source_id']} is {row['status']} with the error {row['error']!r}")
    counted = of_clips.value_counts()
    at = pc.index_in(sources["source_id"], value_set=counted.field("values"))
    there = pc.fill_null(counted.field("counts").take(at), 0)
    strange = pc.not_equal(sources["clips"], there)
    for row, found in zip(sources.filter(strange).to_pylist(), there.filter(strange).to_pylist()):
        wrong.append(f"source {row['source_id']} says {row['clips']} clips and has {found}")
    return wrong


def as_text(lines: list[tuple[str, int, str]]) -> str:
    """A funnel as aligned lines."""
    width = max(len(name) for name, _, _ in lines)
    return "\n".join(f"{name:<{width}}  {count:>9,}  {more}".rstrip() for name, count, more in lines)


def funnel(sums: dict[str, Any]) -> list[tuple[str, int, str]]:
    """The way from inputs to samples as lines: what, how many, why the rest went."""
    sources, clips, samples = sums["sources"], sums["clips"], sums["samples"]
    lines = [
        ("sources", sums["inputs"], f"{sources['bytes'] / 1e6:.1f} MB"),
        ("  ok", sources["ok"], f"{sources['hours'] * 60:.1f} min, {sources['in part']} of them only in part"),
        ("  failed", sources["failed"], ""),
        *((f"    {reason}", count, "") for reason, count in sources["failed_by_reason"].items()),
        ("clips", clips["all"], f"{clips['hours'] * 60:.1f} min"),
        ("  kept", clips["kept"], f"{clips['kept_hours'] * 60:.1f} min"),
        ("  dropped", clips["dropped"], "each by the first rule that it failed:"),
        *((f"    {reason}", count, "") for reason, count in clips["dropped_by_first_reason"].items()),
        (
            "samples",
            samples["in shards"],
            f"{samples['hours'] * 60:.1f} min, {samples['bytes'] / 1e6:.1f} MB in {samples['shards']} shards",
        ),
    ]
    if samples["failed"]:
        lines.append(("  not cut", samples["failed"], ""))
        lines.extend((f"    {reason}", count, "") for reason, count in samples["failed_by_reason"].items())
    return lines


def failed_cuts(out: Place, manifest: Manifest) -> list[dict[str, str]]:
    """The kept clips of a generation that could not be cut: `clip_id` and `reason`."""
    return [row for _, _, failed in _indexes(out, manifest, ["clip_id"]) for row in failed]


def _indexes(out: Place, manifest: Manifest, columns: list[str]) -> Iterator[tuple[Manifest, pa.Table, list[Any]]]:
    """What the manifest says of each shard, these columns of its index, and its clips that could not be cut."""

    def read(shard: Manifest) -> tuple[Manifest, pa.Table, list[Any]]:
        table = out.table(parts.path("shards", generations.shard_number(shard)), columns)
        return shard, table, parts.said(table.schema).get("failed", [])

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(read, manifest["shards"])


def _same(left_name: str, left: pa.ChunkedArray, right_name: str, right: pa.ChunkedArray) -> list[str]:
    """Differences between two columns of ids that must hold the same ones, each once."""
    wrong = []
    equal = left.equals(right)
    for name, ids in ((left_name, left), (right_name, right)):
        if pc.count_distinct(ids, mode="all").as_py() != len(ids):
            counted = ids.value_counts()
            twice = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
            wrong.append(f"{name}: {len(twice)} ids stand twice, first {twice[0]}")
        if equal:
            return wrong
    for one, these, other, those in ((left_name, left, right_name, right), (right_name, right, left_name, left)):
        lost = these.filter(pc.invert(pc.is_in(these, value_set=those)))
        if len(lost):
            wrong.append(f"{len(lost)} of {one} are not in {other}, first {lost[0]}")
    return wrong


def _said(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which texts are there and not empty."""
    return pc.greater(pc.fill_null(pc.binary_length(texts), 0), 0)


def _sum(values: pa.ChunkedArray) -> Any:
    return pc.sum(values).as_py() or 0


def _by_reason(reasons: pa.Array, told: Callable[[str], str] = str) -> dict[str, int]:
    """How often each reason stands there, the most frequent first."""
    counted: Counter[str] = Counter()
    for row in reasons.value_counts().to_pylist():
        counted[told(row["values"])] += row["counts"]
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def first_clause(reason: str) -> str:
    """A reason without what is special to one file, so that like reasons add up."""
    if reason.startswith("cannot read "):
        return f"cannot be read: {reason.rpartition(': ')[2]}"
    if reason.startswith("repeated: "):
        return "repeated"
    return reason


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 6)
