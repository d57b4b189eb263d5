"""Is an output what it says it is? Sums, checksums, every tar, and every clip decoded."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from curation import ledger, parts, tables
from curation.errors import StoreError, UserError
from curation.store import Place
from curation.video.jail import Jail
from curation.video.probe import MediaError

_CLIP_TIMEOUT_S = 120.0
_JAIL_MB = 4096
_WORKERS = 2


def verify(root: str, console: Console) -> tuple[list[str], str]:
    """Everything that is wrong with an output, a sentence each, and what was looked at.

    Raises:
        UserError: there is no finished output at this place.
    """
    out = Place(root)
    if not out.exists("manifest.json"):
        raise UserError(f"{root}: no manifest.json here; `reelmill curate` has not finished with this output")
    try:
        manifest = json.loads(out.text("manifest.json"))
        shards = list(enumerate(manifest["shards"]))
        if manifest["format"] != tables.MANIFEST_FORMAT:
            raise UserError(
                f"{root}: manifest.json has the format {manifest['format']!r}, not {tables.MANIFEST_FORMAT!r}"
            )
    except (json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{root}: manifest.json is not a Reelmill manifest") from None
    wrong = _sums(out)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verify", total=len(shards))

        def check(numbered: tuple[int, dict[str, Any]]) -> list[str]:
            found = _shard(out, *numbered)
            progress.advance(task)
            return found

        with ThreadPoolExecutor(_WORKERS) as pool:
            for found in pool.map(check, shards):
                wrong.extend(found)
    megabytes = sum(shard["bytes"] for _, shard in shards) / 1e6
    return wrong, f"{len(shards)} shards, {manifest['samples']} clips, {megabytes:.1f} MB checked"


def _sums(out: Place) -> list[str]:
    try:
        wrong = ledger.discrepancies(out)
        if json.loads(out.text("ledger.json")) != ledger.balance(out):
            wrong.append("ledger.json does not say what the tables say")
        return wrong
    except (UserError, OSError, ValueError, KeyError) as error:
        return [f"the tables cannot be summed up: {' '.join(str(error).split())}"]


def _shard(out: Place, number: int, shard: dict[str, Any]) -> list[str]:
    """What is wrong with one tar and its index."""
    name = shard["tar"]
    if shard["tar"] != parts.path("shards", number, ".tar") or shard["index"] != parts.path("shards", number):
        return [f"{name}: the manifest names it in the wrong place"]
    try:
        index_bytes = out.read(shard["index"])
        if hashlib.sha256(index_bytes).hexdigest() != shard["index_sha256"]:
            return [f"{shard['index']}: its checksum is not the manifest's"]
        rows = {row["key"]: row for row in out.table(shard["index"]).to_pylist()}
    except (StoreError, ValueError) as error:
        return [f"{shard['index']}: {' '.join(str(error).split())}"]
    jail = Jail(_JAIL_MB)
    try:
        with tempfile.TemporaryDirectory(prefix="reelmill-") as folder:
            return [f"{name}: {fault}" for fault in _tar(out, shard, rows, jail, Path(folder))]
    finally:
        jail.close()


def _tar(out: Place, shard: dict[str, Any], rows: dict[str, dict[str, Any]], jail: Jail, folder: Path) -> list[str]:
    wrong: list[str] = []
    seen: dict[str, set[str]] = {key: set() for key in rows}
    try:
        with out.open(shard["tar"]) as file:
            hashing: Any = _Hashing(file)
            with tarfile.open(fileobj=hashing, mode="r|") as tar:
                for member in tar:
                    key, _, extension = member.name.partition(".")
                    if key not in rows or not member.isfile():
                        wrong.append(f"{member.name} is not in the index")
                        continue
                    seen[key].add(extension)
                    content = tar.extractfile(member)
                    assert content is not None
                    wrong += _member(member, extension, content.read(), rows[key], jail, folder)
            hashing.drain()
    except (StoreError, tarfile.TarError, OSError, EOFError) as error:
        return [*wrong, f"cannot be read to its end: {' '.join(str(error).split())}"]
    for key, extensions in seen.items():
        if extensions != {"mp4", "txt", "json"}:
            wrong.append(f"{key} has {sorted(extensions) or 'nothing'}, not mp4, txt and json")
    if (hashing.hexdigest(), hashing.size) != (shard["sha256"], shard["bytes"]):
        wrong.append("its checksum or size is not the manifest's")
    return wrong


def _member(
    member: tarfile.TarInfo, extension: str, content: bytes, row: dict[str, Any], jail: Jail, folder: Path
) -> list[str]:
    """What is wrong with one member of a sample."""
    if extension == "txt":
        return [] if content == (row["caption"] or "").encode() else [f"{member.name} is not the caption"]
    if extension == "json":
        try:
            about = json.loads(content)
        except ValueError:
            return [f"{member.name} is not JSON"]
        return [] if about["clip_id"] == row["clip_id"] else [f"{member.name} belongs to another clip"]
    if (member.offset_data, member.size) != (row["offset"], row["bytes"]):
        return [f"{member.name} is not where the index says"]
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        return [f"{member.name}: its checksum is not the index's"]
    path = folder / "clip.mp4"
    path.write_bytes(content)
    try:
        found = jail.call("index", path, _CLIP_TIMEOUT_S)
    except MediaError as error:
        return [f"{member.name} does not decode: {error}"]
    differs = [name for name in ("frames", "frame_pts", "keyframes", "width", "height") if found[name] != row[name]]
    return [f"{member.name}: {name} is not what the index says" for name in differs]


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
