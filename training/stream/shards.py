"""A dataset by the address of its manifest: every sample's bytes and row, in any order.

Manifest and indexes are read once; tars are fetched whole when a sample of theirs is first wanted,
checked against the manifest, and kept in a bounded cache. Both are untrusted: paths, offsets and
frame numbers are checked before they are used.
"""

from __future__ import annotations

import hashlib
import itertools
import posixpath
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, ValidationError

from curation.errors import UserError
from curation.store import Place, is_url, without_secrets
from curation.tables import MANIFEST_FORMAT, SAMPLES
from training.stream.cache import Cache, patiently
from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError

COLUMNS = ["key", "offset", "bytes", "sha256", "frames", "frame_pts", "frame_time_base", "keyframes", "caption"]


class Shard(BaseModel):
    """A tar and its index, by paths relative to the manifest."""

    tar: str
    index: str
    kind: str = "video"
    """What its samples hold; only videos are read."""
    samples: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str
    index_sha256: str


class Manifest(BaseModel):
    """What a trainer needs of manifest.json; other keys are for other readers."""

    format: str
    name: str = ""
    dataset_hash: str
    samples: int = Field(ge=0)
    shards: list[Shard]


@dataclass(frozen=True)
class Entry:
    """One sample: where its media is, and what its index says about it."""

    key: str
    shard: Shard
    offset: int
    bytes: int
    sha256: str
    caption: str
    """Empty where the sample has none."""
    frames: FrameIndex


# Bounded, since the index may come from a stranger and Python's fractions take any exponent.
_FRACTION = re.compile(r"[1-9]\d{0,9}/[1-9]\d{0,9}")


class Dataset:
    """The samples of a manifest that have at least `span` frames, by number.

    Raises:
        UserError: the manifest cannot be read or is none, an index does not fit it, or no sample
            is long enough.
    """

    def __init__(self, url: str, *, span: int, cache_dir: str | None, cache_bytes: int):
        if "?" in url and is_url(url):
            raise UserError(f"data.url: {without_secrets(url)} has a query, which its shards could not be read with")
        if not url.endswith(".json"):
            url = posixpath.join(url, "manifest.json")
        folder, name = posixpath.split(url)
        self.url = without_secrets(url)
        self.place = Place(folder or ".")
        self.manifest = self._read_manifest(name)
        self._cache = Cache(self.place, cache_dir, cache_bytes)
        self.shards = [shard for shard in self.manifest.shards if shard.kind == "video"]
        self.images = sum(shard.samples for shard in self.manifest.shards if shard.kind == "image")
        """Samples that are left out because they are images."""
        with ThreadPoolExecutor(8) as pool:
            tables = list(pool.map(self._read_index, self.shards))
        self._table = pa.concat_tables(tables) if tables else SAMPLES.empty_table().select(COLUMNS)
        self._shard_of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        frames = self._table["frames"].to_numpy()
        self._rows = np.flatnonzero(frames >= span)
        self.short = len(frames) - len(self._rows)
        """Samples that are left out because they have too few frames."""
        if not len(self._rows):
            longest = f"; the longest has {frames.max()}" if len(frames) else ""
            longest += f"; {self.images} images are left out" if self.images else ""
            raise UserError(
                f"{self.url}: none of its {len(frames)} samples has the {span} frames that "
                f"data.frames and data.stride need{longest}"
            )

    def __len__(self) -> int:
        return len(self._rows)

    def entry(self, number: int) -> Entry:
        """The sample with this number, from 0."""
        row = int(self._rows[number])
        values = self._table.slice(row, 1).to_pylist()[0]
        return Entry(
            key=values["key"],
            shard=self.shards[int(self._shard_of[row])],
            offset=values["offset"],
            bytes=values["bytes"],
            sha256=values["sha256"],
            caption=values["caption"] or "",
            frames=FrameIndex(values["frame_pts"], Fraction(values["frame_time_base"]), values["keyframes"]),
        )

    def media(self, entry: Entry) -> bytes:
        """The bytes of a sample's media.

        Raises:
            UserError: the shard cannot be read or is not the one that the manifest names.
            DecodeError: the bytes are not the ones that the index names.
        """
        with self._cache.open(entry.shard.tar, sha256=entry.shard.sha256, size=entry.shard.bytes) as file:
            file.seek(entry.offset)
            media = file.read(entry.bytes)
        if hashlib.sha256(media).hexdigest() != entry.sha256:
            raise DecodeError("its bytes do not have the sha256 of the index")
        return media

    def hopeless(self, key: str, reason: str) -> UserError:
        """The error for a dataset of which nothing can be decoded."""
        return UserError(f"{self.url}: none of its samples can be decoded, the last was {key}: {reason}")

    def _read_manifest(self, name: str) -> Manifest:
        content = patiently(lambda: self.place.read(name))
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{self.url}: not a Reelmill manifest: {f'{at}: ' if at else ''}{first['msg'].lower()}"
            ) from None
        if manifest.format != MANIFEST_FORMAT:
            raise UserError(f"{self.url}: its format is {manifest.format!r}, this version reads {MANIFEST_FORMAT!r}")
        for shard in manifest.shards:
            for path in (shard.tar, shard.index):
                if posixpath.isabs(path) or ".." in path.split("/") or ":" in path or not path:
                    raise UserError(f"{self.url}: {path!r} is not a path below the manifest")
        return manifest

    def _read_index(self, shard: Shard) -> pa.Table:
        where = f"{self.url}: {shard.index}"
        content = patiently(lambda: self.place.read(shard.index))
        if hashlib.sha256(content).hexdigest() != shard.index_sha256:
            raise UserError(f"{where} does not have the sha256 of the manifest; has the dataset changed?")
        try:
            table = pq.read_table(pa.BufferReader(content), columns=COLUMNS)
            table = table.cast(pa.schema([SAMPLES.field(name).remove_metadata() for name in COLUMNS]))
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise UserError(f"{where} is not an index of samples: {' '.join(str(error).split())[:200]}") from None
        if len(table) != shard.samples:
            raise UserError(f"{where} has {len(table)} samples, the manifest says {shard.samples}")
        for row in table.to_pylist():
            if wrong := _wrong(row, shard.bytes):
                raise UserError(f"{where}: sample {row['key']!r}: {wrong}")
        return table


def _wrong(row: dict[str, object], tar_bytes: int) -> str | None:
    """What does not fit in a row of an index."""
    offset, size, frames = row["offset"], row["bytes"], row["frames"]
    pts, keyframes, unit = row["frame_pts"], row["keyframes"], row["frame_time_base"]
    assert isinstance(offset, int) and isinstance(size, int) and isinstance(frames, int)
    assert isinstance(pts, list) and isinstance(keyframes, list) and isinstance(unit, str)
    if offset < 0 or size <= 0 or offset + size > tar_bytes:
        return f"bytes {offset} to {offset + size} are outside of its tar of {tar_bytes} bytes"
    if None in pts or None in keyframes:
        return "frame_pts or keyframes hold nothing in places"
    if len(pts) != frames or any(a >= b for a, b in itertools.pairwise(pts)):
        return "frame_pts are not its frames in rising order"
    if not keyframes or keyframes[0] != 0 or keyframes[-1] >= frames or keyframes != sorted(keyframes):
        return "keyframes are not frames of it in rising order"
    return None if _FRACTION.fullmatch(unit) else f"frame_time_base {unit[:40]!r} is not a fraction of a second"
