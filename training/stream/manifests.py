"""Our own datasets: manifest.json, and the rows of the Parquet index beside each tar.

Both are untrusted: paths, offsets and frame numbers are checked before they are used.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, ValidationError

from curation.errors import UserError
from curation.store import without_secrets
from curation.tables import MANIFEST_FORMAT, SAMPLES
from training.stream.dataset import KINDS
from training.stream.index import ROWS, Index, regular

_READ = [
    "key", "offset", "bytes", "sha256", "frames", "duration_s", "fps", "width", "height",
    "frame_pts", "frame_time_base", "keyframes", "caption",
]  # fmt: skip
# Bounded, since the index may come from a stranger and Python's fractions take any exponent.
_FRACTION = r"^[1-9][0-9]{0,9}/[1-9][0-9]{0,9}$"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Shard(BaseModel):
    """A tar and its index, by paths relative to the manifest."""

    tar: str
    index: str
    kind: str = "video"
    """What its samples hold."""
    samples: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str
    index_sha256: str


class Manifest(BaseModel):
    """What a trainer needs of manifest.json; other keys are for other readers."""

    format: str
    name: str = ""
    dataset_hash: str
    generation: int = 0
    samples: int = Field(ge=0)
    shards: list[Shard]


def parsed(content: bytes, url: str) -> Manifest:
    """The manifest in these bytes.

    Args:
        url: where they are from, fit for messages.

    Raises:
        UserError: they are none, or of a format that is not read, or it names paths outside of its folder.
    """
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise UserError(f"{url}: not a Reelmill manifest: {f'{at}: ' if at else ''}{first['msg'].lower()}") from None
    if manifest.format != MANIFEST_FORMAT:
        raise UserError(f"{url}: its format is {manifest.format!r}, this version reads {MANIFEST_FORMAT!r}")
    for shard in manifest.shards:
        for path in (shard.tar, shard.index):
            if posixpath.isabs(path) or ".." in path.split("/") or ":" in path or "?" in path or not path:
                raise UserError(f"{url}: {path!r} is not a path below the manifest")
        if shard.kind not in KINDS:
            raise UserError(
                f"{url}: {shard.tar} holds samples of the kind {shard.kind!r}, which this version does not read"
            )
    return manifest


def rows(shard: Shard, number: int, read: Callable[[], bytes], url: str) -> pa.Table:
    """The rows of a shard's index, as `index.ROWS`.

    Args:
        number: of the shard in its dataset.
        read: gives the bytes of its index.
        url: of the index, for messages.

    Raises:
        UserError: it cannot be read, is not the manifest's, or holds what cannot be.
    """
    where = without_secrets(url)
    content = read()
    if hashlib.sha256(content).hexdigest() != shard.index_sha256:
        content = read()  # a transfer may have been cut short
    if hashlib.sha256(content).hexdigest() != shard.index_sha256:
        raise UserError(f"{where} does not have the sha256 of the manifest; has the dataset changed?")
    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read(columns=_READ, use_threads=False)
        table = table.select(_READ).cast(pa.schema([SAMPLES.field(name).remove_metadata() for name in _READ]))
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise UserError(f"{where} is not an index of samples: {' '.join(str(error).split())[:200]}") from None
    if len(table) != shard.samples:
        raise UserError(f"{where} has {len(table)} samples, the manifest says {shard.samples}")
    table = table.combine_chunks()
    if not len(table):
        return ROWS.empty_table()
    for wrong, words in _impossible(table, shard):
        if wrong.any():
            row = table.slice(int(np.flatnonzero(wrong)[0]), 1).to_pylist()[0]
            raise UserError(f"{where}: sample {row['key']!r}: {words(row)}")
    first, step, pts = regular(_chunk(table, "frame_pts"))
    image = shard.kind == "image"
    count = len(table)
    return pa.table(
        {
            "key": table["key"],
            "shard": pa.array(np.full(count, number, np.int32)),
            "kind": pa.array(np.full(count, KINDS.index("image" if image else "video"), np.uint8)),
            "suffix": pa.array(["jpg" if image else "mp4"] * count),
            "offset": table["offset"],
            "bytes": table["bytes"],
            "sha256": pa.array([bytes.fromhex(text) for text in table["sha256"].to_pylist()], pa.binary(32)),
            "caption": pc.fill_null(table["caption"], ""),
            "frames": table["frames"],
            "duration_s": table["duration_s"].cast(pa.float32()),
            "fps": table["fps"].cast(pa.float32()),
            "width": table["width"],
            "height": table["height"],
            "pts_first": pa.array(first),
            "pts_step": pa.array(step),
            "pts": pts,
            "time_base": table["frame_time_base"],
            "keyframes": table["keyframes"],
        },
        schema=ROWS,
    )


class Earlier:
    """The rows of an earlier generation of a dataset, as far as its shards are also in this one."""

    def __init__(self, index: Index):
        self._index = index
        self._start: dict[tuple[str, str], tuple[int, int]] = {}
        start = 0
        for sha256, kind, count in index.facts["shards"]:
            self._start[sha256, kind] = start, count
            start += count

    def rows(self, shard: Shard, number: int) -> pa.Table | None:
        """As `rows`; None where the shard is a new one."""
        start, count = self._start.get((shard.index_sha256, shard.kind), (0, -1))
        if count != shard.samples:
            return None
        found = self._index.rows(start, count)
        if count and pc.max(pc.add(found["offset"], found["bytes"])).as_py() > shard.bytes:
            return None  # it is to be told as a fault of this manifest
        numbers = pa.array(np.full(count, number, np.int32))
        return found.set_column(ROWS.get_field_index("shard"), ROWS.field("shard"), numbers)


def facts(manifest: Manifest) -> dict[str, Any]:
    """What is kept beside the rows, for the next generation."""
    return {"shards": [[shard.index_sha256, shard.kind, shard.samples] for shard in manifest.shards]}


_Words = Callable[[dict[str, object]], str]


def _impossible(table: pa.Table, shard: Shard) -> list[tuple[np.ndarray, _Words]]:
    """What cannot be in an index: for each fault the rows that have it, and how it is told."""

    def numbers(name: str) -> np.ndarray:
        return np.asarray(table[name].to_numpy())

    pts, keyframes = _chunk(table, "frame_pts"), _chunk(table, "keyframes")
    if pts.flatten().null_count or keyframes.flatten().null_count:
        return [(_has_null(pts) | _has_null(keyframes), lambda row: "frame_pts or keyframes hold nothing in places")]
    offset, size, frames = numbers("offset"), numbers("bytes"), numbers("frames")
    counts = pc.list_value_length(pts).to_numpy()
    marks, most = pc.list_value_length(keyframes).to_numpy(), keyframes.flatten().to_numpy()
    starts = np.cumsum(marks) - marks
    some = marks > 0
    bad_marks = ~some | _falling(keyframes)
    bad_marks[some] |= (most[starts[some]] != 0) | (most[starts[some] + marks[some] - 1] >= frames[some])
    # Sums of untrusted 64-bit numbers could wrap around.
    outside = (offset < 0) | (size <= 0) | (size > shard.bytes) | (offset > shard.bytes - np.minimum(size, shard.bytes))
    return [
        (
            outside,
            lambda row: (
                f"bytes {row['offset']} and the next {row['bytes']} are outside of its tar of {shard.bytes} bytes"
            ),
        ),
        ((counts != frames) | _falling(pts), lambda row: "frame_pts are not its frames in rising order"),
        (bad_marks, lambda row: "keyframes are not frames of it in rising order"),
        (
            ~pc.match_substring_regex(table["frame_time_base"], _FRACTION).to_numpy().astype(bool),
            lambda row: f"frame_time_base {str(row['frame_time_base'])[:40]!r} is not a fraction of a second",
        ),
        (
            ~np.array([bool(_SHA256.fullmatch(text)) for text in table["sha256"].to_pylist()], bool),
            lambda row: "sha256 is none",
        ),
        (
            np.array([not printable(text) for text in table["key"].to_pylist()], bool),
            lambda row: "its key is empty, longer than 1024 characters or cannot be printed",
        ),
    ]


def printable(key: str) -> bool:
    """Whether a key is one that may stand in a line of a log."""
    return 0 < len(key) <= 1024 and key.isprintable()


def _chunk(table: pa.Table, name: str) -> pa.ListArray:
    return table[name].combine_chunks() if table[name].num_chunks != 1 else table[name].chunk(0)


def _rows_of_values(lists: pa.ListArray) -> np.ndarray:
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), counts)


def _has_null(lists: pa.ListArray) -> np.ndarray:
    found = np.zeros(len(lists), bool)
    found[_rows_of_values(lists)[lists.flatten().is_null().to_numpy(zero_copy_only=False)]] = True
    return found


def _falling(lists: pa.ListArray) -> np.ndarray:
    """Which lists do not rise from each value to the next."""
    owner, values = _rows_of_values(lists), lists.flatten().to_numpy()
    found = np.zeros(len(lists), bool)
    found[owner[1:][(values[1:] <= values[:-1]) & (owner[1:] == owner[:-1])]] = True
    return found
