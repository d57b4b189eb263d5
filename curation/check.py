"""Is one shard what its manifest and its index say? All of its bytes and clips, or a sample. Runs on any worker."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation import generations, tables
from curation.errors import StoreError, UserError
from curation.intact import GARBAGE, told, without
from curation.phases import Unit, sidecars
from curation.store import Place
from curation.tables import Row
from curation.video.jail import Jail
from curation.video.probe import MediaError

_CLIP_TIMEOUT_S = 120.0
_JAIL_MB = 4096
_BLOCK = tarfile.BLOCKSIZE
# The columns of an index that are compared with what is found.
_LOOKED_AT = (
    *("key", "clip_id", "kind", "caption", "offset", "bytes", "sha256"),
    *("frames", "frame_pts", "keyframes", "width", "height"),
)
# A caption or a sample's JSON that is longer is not read.
_LARGEST_TEXT = 16 << 20


@dataclass(frozen=True)
class Quick:
    """Look at a few clips of each shard instead of at all."""

    clips: int = 4
    seed: int = 0
    """Another one chooses other clips."""


@dataclass
class Checked:
    """What is wrong with a shard, a sentence each."""

    unit: int
    wrong: list[str]


def check(root: str, quick: Quick | None, unit: Unit, again: bool = False) -> Checked:
    """Check the shard of this number; `unit.given` is its row in the manifest."""
    assert unit.given is not None
    return Checked(unit.number, _shard(Place(root), unit.given.to_pylist()[0], quick))


def _shard(out: Place, shard: Row, quick: Quick | None) -> list[str]:
    name = shard["tar"]
    try:
        generations.shard_number(shard)
    except UserError as error:
        return [str(error)]
    try:
        index_bytes = out.read(shard["index"])
        if hashlib.sha256(index_bytes).hexdigest() != shard["index_sha256"]:
            return [f"{shard['index']}: its checksum is not the manifest's"]
        index = pq.ParquetFile(io.BytesIO(index_bytes)).read(use_threads=False)
        if lacking := without(index, [tables.SAMPLES.field(field) for field in _LOOKED_AT]):
            return [f"{shard['index']}: {lacking}"]
        rows = {row["key"]: row for row in index.to_pylist()}
    except GARBAGE as error:
        return [f"{shard['index']}: {told(error)}"]
    jail = Jail(_JAIL_MB)
    try:
        with tempfile.TemporaryDirectory(prefix="reelmill-") as folder:
            clip = Path(folder) / "clip"
            members: list[tarfile.TarInfo] = []
            look = _sampled(out, shard, rows, jail, clip, quick) if quick else None
            found = list(look or _whole(out, shard, rows, jail, clip, members))
            found = [f"{name}: {fault}" for fault in found]
            return found or list(_beside(out, shard, rows, members, quick))
    finally:
        jail.close()


def _sampled(out: Place, shard: Row, rows: dict[str, Row], jail: Jail, clip: Path, quick: Quick) -> Iterator[str]:
    """The tar's size, and a few of its clips, read from where the index says that they are."""
    try:
        size = out.size(shard["tar"])
        if size != shard["bytes"]:
            yield f"it has {size} bytes and not the manifest's {shard['bytes']}"
            return
        if len(rows) != shard["samples"]:
            yield f"the manifest says {shard['samples']} samples, the index {len(rows)}"
        drawn = sorted(rows, key=lambda key: hashlib.sha256(f"{quick.seed}\0{key}".encode()).digest())
        with out.open(shard["tar"]) as file:
            for key in drawn[: quick.clips]:
                yield from _drawn(file, size, rows[key], jail, clip)
    except (StoreError, OSError) as error:
        yield f"cannot be read: {' '.join(str(error).split())}"


def _drawn(file: Any, size: int, row: Row, jail: Jail, clip: Path) -> Iterator[str]:
    """One clip with the header before it."""
    if not _BLOCK <= row["offset"] <= row["offset"] + row["bytes"] <= size:
        yield f"{row['key']} is outside of the tar"
        return
    file.seek(row["offset"] - _BLOCK)
    try:
        member = tarfile.TarInfo.frombuf(file.read(_BLOCK), tarfile.ENCODING, "strict")
    except tarfile.HeaderError:
        yield f"{row['key']} is not where the index says"
        return
    if member.name.partition(".")[0] != row["key"] or member.size != row["bytes"]:
        yield f"{row['key']} is not where the index says"
        return
    yield from _media(member.name, file.read(row["bytes"]), row, jail, clip)


def _beside(
    out: Place, shard: Row, rows: dict[str, Row], members: list[tarfile.TarInfo], quick: Quick | None
) -> Iterator[str]:
    """The side-cars of a tar that is right: what would be made of its members. Quickly, whether they are there."""
    name = posixpath.basename(shard["tar"])
    wanted = sidecars.texts(name, shard["bytes"], members, list(rows.values()))
    for suffix, text in wanted.items():
        path = shard["tar"].removesuffix(".tar") + suffix
        try:
            if (out.exists(path) if quick else out.read(path) == text.encode()) is False:
                yield f"{path}: " + ("it does not exist" if quick else "it does not say what is in the tar")
        except StoreError as error:
            yield f"{path}: {told(error)}"


def _whole(
    out: Place, shard: Row, rows: dict[str, Row], jail: Jail, clip: Path, members: list[tarfile.TarInfo]
) -> list[str]:
    """Every byte of the tar, every member, every clip decoded. What the members are is added to `members`."""
    wrong: list[str] = []
    seen: dict[str, set[str]] = {key: set() for key in rows}
    try:
        with out.open(shard["tar"]) as file:
            hashing: Any = _Hashing(file)
            with tarfile.open(fileobj=hashing, mode="r|") as tar:
                for member in tar:
                    members.append(member)
                    key, _, extension = member.name.partition(".")
                    if key not in rows or not member.isfile():
                        wrong.append(f"{member.name} is not in the index")
                        continue
                    seen[key].add(extension)
                    wrong += _member(tar, member, extension, rows[key], jail, clip)
            hashing.drain()
    except (StoreError, tarfile.TarError, OSError, EOFError) as error:
        return [*wrong, f"cannot be read to its end: {' '.join(str(error).split())}"]
    for key, extensions in seen.items():
        media = tables.extension(rows[key]["kind"])
        if extensions != {media, "txt", "json"}:
            wrong.append(f"{key} has {sorted(extensions) or 'nothing'}, not {media}, txt and json")
    if (hashing.hexdigest(), hashing.size) != (shard["sha256"], shard["bytes"]):
        wrong.append("its checksum or size is not the manifest's")
    return wrong


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, extension: str, row: Row, jail: Jail, clip: Path
) -> list[str]:
    """What is wrong with one member of a sample. What is too large for it is not read."""
    is_text = extension in ("txt", "json")
    if not is_text and (member.offset_data, member.size) != (row["offset"], row["bytes"]):
        return [f"{member.name} is not where the index says"]
    if is_text and member.size > _LARGEST_TEXT:
        return [f"{member.name} is too long"]
    content = (tar.extractfile(member) or io.BytesIO()).read()
    if extension == "txt":
        return [] if content == (row["caption"] or "").encode() else [f"{member.name} is not the caption"]
    if extension == "json":
        try:
            about = json.loads(content)
        except ValueError:
            return [f"{member.name} is not JSON"]
        known = isinstance(about, dict) and about.get("clip_id") == row["clip_id"]
        return [] if known else [f"{member.name} belongs to another clip"]
    return _media(member.name, content, row, jail, clip)


def _media(name: str, content: bytes, row: Row, jail: Jail, clip: Path) -> list[str]:
    """Checksum, and what decoding finds against the index."""
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        return [f"{name}: its checksum is not the index's"]
    path = clip.with_suffix(f".{name.rpartition('.')[2]}")
    path.write_bytes(content)
    try:
        found = jail.call("index_image" if row["kind"] == "image" else "index", path, _CLIP_TIMEOUT_S)
    except MediaError as error:
        return [f"{name} does not decode: {error}"]
    fields = ["frames", "frame_pts", "keyframes", "width", "height"]
    fields += ["keyframe_bytes"] if row.get("keyframe_bytes") is not None else []
    differs = [field for field in fields if found[field] != row[field]]
    return [f"{name}: {field} is not what the index says" for field in differs]


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: Any):
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def read(self, count: int = -1) -> bytes:
        data: bytes = self._file.read(count)
        self._hash.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        while self.read(1 << 20):
            pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
