"""Cuts to shards: a global shuffle fixed by the seed, packed into WebDataset tars with their index."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import parts, tables
from curation.phases import Needs, Output, Phase, Unit
from curation.phases.cut import Cut, encoding_settings
from curation.phases.score import travelling
from curation.store import Place, publishable, sha256_of
from curation.tables import Row
from curation.validate import fingerprint

MANIFEST = "manifest.json"
# What the plan must give of every clip, beside the measures that travel with the sample. `part` is
# the part of the clips, and so of the cuts, that the clip is in.
_GIVEN = (
    *("part", "clip_id", "source_id", "uri", "licence", "category", "start_pts", "end_pts", "time_base"),
    *tables.OF_CAPTION,
)


def given(score_names: Sequence[str]) -> list[str]:
    """The columns that the plan hands to a unit."""
    return [*_GIVEN, *tables.CARRIED, *score_names]


def planned(kept: pa.Table, samples: int, seed: int) -> list[pa.Table]:
    """The kept clips of each shard: one permutation of all of them, a function of ids and seed alone.

    Sorting by a keyed hash of the clip's id spreads the clips of a film over the dataset, whatever
    order they come in.
    """
    keys = [hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest() for clip_id in kept["clip_id"].to_pylist()]
    order = sorted(range(kept.num_rows), key=keys.__getitem__)
    shuffled = kept.take(pa.array(order, pa.int64()))
    return [shuffled.slice(start, samples).combine_chunks() for start in range(0, len(order), samples)]


class Shard(Phase):
    name = "shard"
    reads = "cuts"
    writes = ("shards",)
    needs = Needs(cpus=1, memory_mb=512)

    def schema(self, table: str) -> pa.Schema:
        return tables.samples_schema(travelling(self.recipe))

    def settings(self) -> Any:
        return [encoding_settings(self), Cut.version]

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The planned clips in their order, each with its cut and the bytes of its media in `media`.

        A clip that could not be cut has the reason in `failed` instead.
        """
        assert unit.given is not None
        rows: list[Row] = unit.given.to_pylist()
        for part in sorted({row["part"] for row in rows}):
            here = {row["clip_id"]: row for row in rows if row["part"] == part}
            _add_cuts(out, part, here)
        return rows

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        failed = [{"clip_id": row["clip_id"], "reason": row["failed"]} for row in rows if "failed" in row]
        tar_path = scratch / f"{unit.number:05d}.tar"
        samples = [self._sample(row, tar_path.name) for row in rows if "failed" not in row]
        media = {row["clip_id"]: row["media"] for row in rows if "media" in row}
        _write_tar(tar_path, samples, media)
        _locate(tar_path, samples)
        notes = {"failed": failed, "tar_bytes": tar_path.stat().st_size, "tar_sha256": sha256_of(tar_path)}
        counts = {"samples": len(samples), "failed": len(failed)}
        return Output({"shards": samples}, {f"shards/{tar_path.name}": tar_path}, notes, counts)

    def _sample(self, row: Row, shard: str) -> Row:
        names = set(self.schema("shards").names) - {"offset"}
        ours = {"shard": shard, "key": row["clip_id"], "uri": publishable(row["uri"])}
        return {name: row[name] for name in row if name in names} | ours


def manifest(out: Place, name: str, recipe_hash: str, units: int) -> dict[str, Any]:
    """What trainers read: every shard with its size and hashes, and the dataset's totals."""
    shards = []
    totals = {"samples": 0, "frames": 0, "bytes": 0}
    seconds = 0.0
    for unit in range(units):
        index = parts.path("shards", unit)
        notes = parts.footer(out, "shards", unit)
        table = out.table(index, ["frames", "duration_s"])
        shards.append(
            {
                "tar": parts.path("shards", unit, ".tar"),
                "index": index,
                "samples": table.num_rows,
                "bytes": notes["tar_bytes"],
                "sha256": notes["tar_sha256"],
                "index_sha256": hashlib.sha256(out.read(index)).hexdigest(),
            }
        )
        totals["samples"] += table.num_rows
        totals["frames"] += sum(table["frames"].to_pylist())
        totals["bytes"] += notes["tar_bytes"]
        seconds += sum(table["duration_s"].to_pylist())
    return {
        "format": tables.MANIFEST_FORMAT,
        "name": name,
        "dataset_hash": fingerprint([shard["sha256"] for shard in shards]),
        "recipe_hash": recipe_hash,
        **totals,
        "duration_s": round(seconds, 6),
        "shards": shards,
    }


def _add_cuts(out: Place, part: int, rows: dict[str, Row]) -> None:
    """Put the cuts of one part beside the rows that they belong to."""
    reasons = {row["clip_id"]: row["reason"] for row in parts.footer(out, "cuts", part)["failed"]}
    cuts = {cut["clip_id"]: cut for cut in out.table(parts.path("cuts", part)).to_pylist()}
    with out.open(parts.path("cuts", part, ".tar")) as tar:
        for clip_id, row in rows.items():
            if clip_id in reasons:
                row["failed"] = reasons[clip_id]
                continue
            cut = cuts[clip_id]
            tar.seek(cut["offset"])
            media = tar.read(cut["bytes"])
            if hashlib.sha256(media).hexdigest() != cut["sha256"]:
                raise OSError(f"{out.url(parts.path('cuts', part, '.tar'))} does not hold what its index says")
            ranges = {"clip_start_pts": row["start_pts"], "clip_end_pts": row["end_pts"]}
            row.update(ranges | cut, media=media)


def _write_tar(path: Path, samples: list[Row], media: dict[str, bytes]) -> None:
    """Members key.json, key.mp4, key.txt; times, owners and order fixed, so bytes are a function of content.

    These are the tars of webdataset's `TarWriter`, which is not used because importing it imports torch.
    """
    with tarfile.open(path, "w") as tar:
        for sample in samples:
            about = {name: value for name, value in sample.items() if name not in ("frame_pts", "keyframes")}
            members = {
                "json": json.dumps(about, ensure_ascii=False, sort_keys=True).encode(),
                "mp4": media[sample["clip_id"]],
                "txt": (sample["caption"] or "").encode(),
            }
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{sample['key']}.{extension}")
                member.size, member.mode = len(content), 0o444
                member.uname = member.gname = "bigdata"  # as webdataset does
                tar.addfile(member, io.BytesIO(content))


def _locate(path: Path, samples: list[Row]) -> None:
    """Note where each sample's media begins in the tar."""
    with tarfile.open(path) as tar:
        offsets = {member.name: member.offset_data for member in tar}
    for sample in samples:
        sample["offset"] = offsets[f"{sample['key']}.mp4"]
