"""The sums that must hold: everything that went in is somewhere, and nothing is there twice.

inputs   = sources ok + sources failed (each with a reason)
clips    = the clips that the sources say they gave = kept + dropped (each with a reason)
kept     = samples in shards + clips that could not be cut (each with a reason)
samples  = what manifest.json says
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from curation import generations, parts
from curation.generations import MANIFEST, Manifest
from curation.store import Place

_THREADS = 8


def balance(out: Place) -> dict[str, Any]:
    """Every sum of an output, from its tables alone; JSON-ready and the same for the same tables."""
    inputs = parts.read(out, "inputs", ["source_id"])
    sources = parts.read(out, "sources", ["source_id", "status", "error", "warning", "clips", "duration_s", "bytes"])
    clips = parts.read(out, "clips", ["clip_id", "source_id", "duration_s"])
    selection = out.table("selection.parquet")
    manifest = generations.read(out)
    failed_cuts: list[dict[str, str]] = []
    samples = 0
    seconds = 0.0
    for _, table, failed in _indexes(out, manifest, ["duration_s"]):
        failed_cuts.extend(failed)
        samples += table.num_rows
        seconds += sum(table["duration_s"].to_pylist())
    reasons = selection["drop_reasons"].to_pylist()
    kept = selection["kept"].to_pylist()
    durations = clips["duration_s"].to_pylist()
    status = sources["status"].to_pylist()
    return {
        "inputs": inputs.num_rows,
        "sources": {
            "ok": status.count("ok"),
            "in part": sum(1 for ok, w in zip(status, sources["warning"].to_pylist()) if ok == "ok" and w),
            "failed": status.count("failed"),
            "failed_by_reason": _counted(first_clause(error) for error in sources["error"].to_pylist() if error),
            "hours": _hours(sources["duration_s"].to_pylist()),
            "bytes": sum(size or 0 for size in sources["bytes"].to_pylist()),
        },
        "clips": {
            "all": clips.num_rows,
            "hours": _hours(durations),
            "kept": kept.count(True),
            "kept_hours": _hours([d for d, keep in zip(durations, kept) if keep]),
            "dropped": kept.count(False),
            "dropped_by_first_reason": _counted(why[0] for why in reasons if why),
            "dropped_by_any_reason": _counted(reason for why in reasons for reason in why),
        },
        "samples": {
            "in shards": samples,
            "hours": _hours([seconds]),
            "failed": len(failed_cuts),
            "failed_by_reason": _counted(first_clause(row["reason"]) for row in failed_cuts),
            "shards": len(manifest["shards"]),
            "bytes": manifest["bytes"],
        },
    }


def discrepancies(out: Place) -> list[str]:
    """Every sum that does not hold, in a sentence; empty when nothing was lost and nothing is twice."""
    wrong = []
    inputs = parts.read(out, "inputs", ["source_id"])["source_id"].to_pylist()
    sources = parts.read(out, "sources", ["source_id", "status", "error", "clips"]).to_pylist()
    clips = parts.read(out, "clips", ["clip_id", "source_id"]).to_pylist()
    scored = parts.read(out, "scores", ["clip_id"])["clip_id"].to_pylist()
    selection = out.table("selection.parquet").to_pylist()
    manifest = generations.read(out)

    if (there := generations.numbers(out)) and out.read(MANIFEST) != out.read(generations.path(there[-1])):
        wrong.append(f"{MANIFEST} is not the newest generation, {generations.path(there[-1])}")
    wrong += _same("inputs", inputs, "sources", [row["source_id"] for row in sources])
    for row in sources:
        if (row["status"] == "failed") != bool(row["error"]):
            wrong.append(f"source {row['source_id']} is {row['status']} with the error {row['error']!r}")
    found = Counter(row["source_id"] for row in clips)
    for row in sources:
        if row["clips"] != found[row["source_id"]]:
            wrong.append(f"source {row['source_id']} says {row['clips']} clips and has {found[row['source_id']]}")
    clip_ids = [row["clip_id"] for row in clips]
    wrong += _same("clips", clip_ids, "scores", scored)
    wrong += _same("clips", clip_ids, "selection", [row["clip_id"] for row in selection])
    for row in selection:
        if row["kept"] == bool(row["drop_reasons"]):
            state = "kept" if row["kept"] else "dropped"
            wrong.append(f"clip {row['clip_id']} is {state} with the reasons {row['drop_reasons']}")
    ended: list[str] = []
    for shard, table, failed in _indexes(out, manifest, ["clip_id"]):
        if table.num_rows != shard["samples"]:
            wrong.append(f"{shard['tar']}: the manifest says {shard['samples']} samples, the index {table.num_rows}")
        ended += table["clip_id"].to_pylist() + [row["clip_id"] for row in failed]
    if strange := generations.unnamed(out):
        wrong.append(f"{len(strange)} files of shards/ are in no generation, first {strange[0]}")
    wrong += _same("kept clips", [row["clip_id"] for row in selection if row["kept"]], "samples and failed cuts", ended)
    if sum(shard["samples"] for shard in manifest["shards"]) != manifest["samples"]:
        wrong.append("the manifest's samples are not the sum of its shards'")
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


def _same(left_name: str, left: list[str], right_name: str, right: list[str]) -> list[str]:
    """Differences between two lists of ids that must hold the same ones, each once."""
    wrong = []
    for name, ids in ((left_name, left), (right_name, right)):
        twice = [key for key, count in Counter(ids).items() if count > 1]
        if twice:
            wrong.append(f"{name}: {len(twice)} ids stand twice, first {twice[0]}")
    for one, these, other, those in ((left_name, left, right_name, right), (right_name, right, left_name, left)):
        known = set(those)
        lost = [key for key in these if key not in known]
        if lost:
            wrong.append(f"{len(lost)} of {one} are not in {other}, first {lost[0]}")
    return wrong


def _counted(reasons: Any) -> dict[str, int]:
    return dict(sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0])))


def first_clause(reason: str) -> str:
    """A reason without what is special to one file, so that like reasons add up."""
    if reason.startswith("cannot read "):
        return f"cannot be read: {reason.rpartition(': ')[2]}"
    if reason.startswith("repeated: "):
        return "repeated"
    return reason


def _hours(seconds: list[float | None]) -> float:
    return round(sum(value or 0.0 for value in seconds) / 3600, 6)
