"""Cuts to shards: a global shuffle fixed by the seed, packed into WebDataset tars with their index."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import parts, recipe, tables
from curation.generations import Manifest, next_shard
from curation.phases import Needs, Output, Phase, Unit, sidecars
from curation.phases.buckets import bucketed
from curation.phases.cut import OF_PACKING, Cut, encoding_settings
from curation.phases.score import travelling
from curation.store import Place, sha256_of
from curation.tables import Row
from curation.validate import fingerprint
from curation.versions import tools

# Long lists, which readers of the tar alone can find in the media; and 64 bits without a sign, which few can read.
_IN_INDEX_ALONE = ("frame_pts", "keyframes", "keyframe_bytes", "phash")


def given(measures: Sequence[pa.Field]) -> dict[str, str]:
    """The columns that the plan hands to a unit, by their names in the samples.

    `part` is the part of the clips, and so of the cuts, that a clip is in.
    """
    own = ("part", *tables.OF_SOURCE, *tables.OF_CAPTION, *(field.name for field in measures))
    return tables.OF_CLIP | {name: name for name in own}


def shuffled(clips: pa.Table, seed: int) -> pa.Table:
    """One order of all clips, a function of ids and seed alone.

    Sorting by a keyed hash of the clip's id spreads the clips of a film over the dataset, whatever order they come in.
    """
    keys = bytearray()
    for chunk in clips["clip_id"].chunks:
        for clip_id in chunk.to_pylist():
            keys += hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:16]
    high, low = np.frombuffer(keys, ">u8").reshape(-1, 2).T
    return clips.take(pa.array(np.lexsort((low, high))))


def dealt(clips: pa.Table, recipe: recipe.Shard) -> list[pa.Table]:
    """Shuffled clips as the shards that they make: bucket by bucket, each clip in exactly one."""
    shards = []
    for _, rows in bucketed(clips, recipe.buckets):
        alike = clips.take(pa.array(rows))
        shards += [alike.slice(start, recipe.samples) for start in range(0, len(rows), recipe.samples)]
    return shards


def holding(out: Place, number: int) -> tuple[pa.Array, bool]:
    """The clips that a finished shard was made for: its samples, and those that could not be cut; whether one of these
    failed in passing."""
    index = out.table(parts.path("shards", number), ["clip_id"])
    failed = parts.said(index.schema)["failed"]
    clips = [*index["clip_id"].chunks, pa.array([row["clip_id"] for row in failed], pa.string())]
    return pa.concat_arrays(clips), any(row.get("passing") for row in failed)


class Shard(Phase):
    name = "shard"
    reads = "cuts"
    version = 4
    writes = ("shards",)
    needs = Needs(cpus=1, memory_mb=512)

    def setup(self) -> None:
        made = {"recipe_hash": recipe.hash_of(self.recipe), "tools": json.dumps(tools(), sort_keys=True)}
        self._made = made

    def schema(self, table: str) -> pa.Schema:
        return tables.samples_schema(travelling(self.recipe))

    def settings(self) -> Any:
        packing = self.recipe.shard.model_dump(mode="json", include=OF_PACKING)
        return [packing, encoding_settings(self), Cut.version]

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The planned clips in their order, each with its cut and the bytes of its media in `media`.

        A clip that could not be cut has what the cut phase says of it in `failed` instead.
        """
        assert unit.given is not None
        rows: list[Row] = unit.given.to_pylist()
        for part in sorted({row["part"] for row in rows}):
            here = {row["clip_id"]: row for row in rows if row["part"] == part}
            _add_cuts(out, part, here)
        return rows

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        assert unit.given is not None
        failed = [row["failed"] for row in rows if "failed" in row]
        tar_path = scratch / f"{unit.number:05d}.tar"
        samples = [self._sample(row, tar_path.name) for row in rows if "failed" not in row]
        media = {row["clip_id"]: row["media"] for row in rows if "media" in row}
        _write_tar(tar_path, samples, media)
        _locate(tar_path, samples)
        (bucket, _), *_ = bucketed(pa.Table.from_pylist(list(rows[:1]), unit.given.schema), self.recipe.shard.buckets)
        notes = {
            "bucket": bucket,
            "failed": failed,
            "frames": sum(row["frames"] for row in samples),
            "duration_s": round(sum(row["duration_s"] for row in samples), 6),
            "tar_bytes": tar_path.stat().st_size,
            "tar_sha256": sha256_of(tar_path),
        }
        counts = {"samples": len(samples), "failed": len(failed)}
        files = {tar_path.name: tar_path, **sidecars.written(tar_path, samples)}
        return Output({"shards": samples}, {f"shards/{name}": path for name, path in files.items()}, notes, counts)

    def _sample(self, row: Row, shard: str) -> Row:
        names = set(self.schema("shards").names) - {"offset"}
        ours = {"shard": shard, "key": row["clip_id"]}
        return {name: row[name] for name in row if name in names} | ours | self._made


def manifest(out: Place, name: str, recipe_hash: str, units: Sequence[Unit], before: Manifest | None) -> Manifest:
    """What trainers read: every shard with its size and hashes, and the dataset's totals.

    Args:
        before: the newest generation. What it says of shards that are in this one too is taken from it.
    """
    known = {shard["tar"]: shard for shard in before["shards"]} if before else {}
    shards = []
    for unit in units:
        shard = known.get(parts.path("shards", unit.number, ".tar"))
        shards.append(shard if shard and shard.get("made_of") == unit.fingerprint else _entry(out, unit))
    totals = {key: sum(shard[key] for shard in shards) for key in ("samples", "frames", "bytes")}
    return {
        "format": tables.MANIFEST_FORMAT,
        "name": name,
        "dataset_hash": fingerprint([shard["sha256"] for shard in shards]),
        "recipe_hash": recipe_hash,
        **totals,
        "duration_s": round(sum(shard["duration_s"] for shard in shards), 6),
        "next_shard": max([next_shard(before), *(unit.number + 1 for unit in units)]),
        "shards": shards,
    }


def _entry(out: Place, unit: Unit) -> dict[str, Any]:
    index = out.read(parts.path("shards", unit.number))
    file = pq.ParquetFile(io.BytesIO(index))
    notes = parts.said(file.schema_arrow)
    return {
        "tar": parts.path("shards", unit.number, ".tar"),
        "index": parts.path("shards", unit.number),
        "kind": notes["bucket"]["kind"],
        "bucket": {key: value for key, value in notes["bucket"].items() if key != "kind"},
        "samples": file.metadata.num_rows,
        "frames": notes["frames"],
        "duration_s": notes["duration_s"],
        "bytes": notes["tar_bytes"],
        "sha256": notes["tar_sha256"],
        "index_sha256": hashlib.sha256(index).hexdigest(),
        "made_of": unit.fingerprint,
    }


def _add_cuts(out: Place, part: int, rows: dict[str, Row]) -> None:
    """Put the cuts of one part beside the rows that they belong to."""
    failed = {row["clip_id"]: row for row in parts.footer(out, "cuts", part)["failed"]}
    table = out.table(parts.path("cuts", part))
    table = table.filter(pc.is_in(table["clip_id"], value_set=pa.array(list(rows))))
    cuts = {cut["clip_id"]: cut for cut in table.to_pylist()}
    with out.open(parts.path("cuts", part, ".tar")) as tar:
        for clip_id, row in rows.items():
            if clip_id in failed:
                row["failed"] = failed[clip_id]
                continue
            cut = cuts[clip_id]
            tar.seek(cut["offset"])
            media = tar.read(cut["bytes"])
            if hashlib.sha256(media).hexdigest() != cut["sha256"]:
                raise OSError(f"{out.url(parts.path('cuts', part, '.tar'))} does not hold what its index says")
            row.update(cut, media=media)


def _write_tar(path: Path, samples: list[Row], media: dict[str, bytes]) -> None:
    """Members key.json, key.mp4 or key.jpg, key.txt.

    Times, owners and order are fixed, so bytes are a function of content.

    These are the tars of webdataset's `TarWriter`, which is not used because importing it imports torch.
    """
    with tarfile.open(path, "w") as tar:
        for sample in samples:
            about = {name: value for name, value in sample.items() if name not in _IN_INDEX_ALONE}
            members = {
                "json": json.dumps(about, ensure_ascii=False, sort_keys=True).encode(),
                tables.extension(sample["kind"]): media[sample["clip_id"]],
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
        sample["offset"] = offsets[f"{sample['key']}.{tables.extension(sample['kind'])}"]
