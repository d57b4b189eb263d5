"""The rows of all samples of a dataset as files on the local disk that are mapped, not read.

A dataset of millions of samples opens in the time of one of a hundred, and costs no memory that another process of the
node does not share: rows are in an Arrow file, and the columns that plans are made of stand in a second one, each
in one piece.
"""

from __future__ import annotations

import bisect
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from training.stream.cache import Cache, Part
from training.stream.dataset import KINDS, Column, Entry, FrameIndex

ROWS = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("shard", pa.int32()),
        pa.field("kind", pa.uint8()),
        pa.field("suffix", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.binary(32)),
        pa.field("caption", pa.string()),
        pa.field("frames", pa.int32()),
        pa.field("duration_s", pa.float32()),
        pa.field("fps", pa.float32()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        # Most videos have frames at even distances: first and step stand for the list then.
        pa.field("pts_first", pa.int64()),
        pa.field("pts_step", pa.int64()),
        pa.field("pts", pa.list_(pa.int64())),
        pa.field("time_base", pa.string()),
        pa.field("keyframes", pa.list_(pa.int32())),
    ]
)
_SHARD = ROWS.get_field_index("shard")
COLUMNS: tuple[Column, ...] = ("shard", "kind", "frames", "width", "height", "duration_s", "fps")
# Rows in one batch of the file. A row is found by its batch, so these should be few; they are in memory while written.
_BATCH = 16_384


class Index:
    """Rows by number, mapped from two files of the cache, which stay there for as long as this is open."""

    def __init__(self, cache: Cache, name: str, rows: IO[bytes], columns: IO[bytes]):
        self.name = name
        self._files = [rows, columns]
        file = pa.ipc.open_file(pa.memory_map(rows.name))
        self.facts: dict[str, Any] = json.loads(file.schema.metadata[b"facts"])
        self._batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        self._ends = list(itertools.accumulate(map(len, self._batches)))
        self._columns = pa.ipc.open_file(pa.memory_map(columns.name)).read_all().combine_chunks()

    @classmethod
    def open(cls, cache: Cache, name: str) -> Index | None:
        """An index that was built before; `name` ends in `.arrow`."""
        rows = cache.open(name)
        if rows is None:
            return None
        try:
            return cls(cache, name, rows, _columns_of(cache, name, rows))
        except (pa.ArrowInvalid, OSError, ValueError, KeyError):  # damaged on the disk: it is made again
            rows.close()
            cache.drop(name)
            cache.drop(_beside(name))
            return None

    @classmethod
    def get(cls, cache: Cache, name: str, rows: Callable[[], Iterable[pa.Table]], facts: dict[str, Any]) -> Index:
        """An index that was built before, or of these rows in this order.

        Args:
            rows: called where it has to be built; tables of the schema `ROWS`.
            facts: JSON-ready, kept beside the rows.
        """
        while (index := cls.open(cache, name)) is None:
            with cache.making(name, 0) as part:
                if part is not None:
                    _write(part, rows(), facts)
        return index

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def column(self, name: Column) -> NDArray:
        """One value for every row, mapped from the file."""
        chunked = self._columns[name]
        if chunked.num_chunks == 0:
            return np.empty(0, chunked.type.to_pandas_dtype())
        values: NDArray = chunked.chunk(0).to_numpy()
        return values

    def all_keys(self) -> Iterator[str]:
        """The keys of all rows."""
        for batch in self._batches:
            yield from batch.column("key").to_pylist()

    def entry(self, number: int, shards: list[str]) -> Entry:
        """A row; `shards` are the addresses that its shard's number counts."""
        batch, place = self._find(number)
        row = {name: column[place].as_py() for name, column in zip(ROWS.names, batch.columns)}
        kind = KINDS[row["kind"]]
        index = None
        if kind == "video" and row["time_base"] is not None:
            first, step, count = row["pts_first"], row["pts_step"], row["frames"]
            pts = row["pts"] if row["pts"] is not None else [first + step * place for place in range(count)]
            index = FrameIndex(pts, Fraction(row["time_base"]), row["keyframes"])
        return Entry(
            number=number,
            shard=shards[row["shard"]],
            kind=kind,
            sha256=row["sha256"].hex() if row["sha256"] is not None else None,
            index=index,
            **{name: row[name] for name in _AS_THEY_ARE},
        )

    def shard_of(self, number: int) -> int:
        """The position of a row's shard in the dataset."""
        batch, place = self._find(number)
        return int(batch.column(_SHARD)[place].as_py())

    def _find(self, number: int) -> tuple[pa.RecordBatch, int]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        found = bisect.bisect_right(self._ends, number)
        return self._batches[found], number - (self._ends[found] - len(self._batches[found]))

    def rows(self, start: int, count: int) -> pa.Table:
        """Some of the rows."""
        return pa.Table.from_batches(self._batches, ROWS).slice(start, count)

    def close(self) -> None:
        """Let the cache drop the files when it needs room. What was mapped stays readable."""
        for file in self._files:
            file.close()


_AS_THEY_ARE = ("key", "suffix", "offset", "bytes", "caption", "frames", "duration_s", "fps", "width", "height")


def rows(
    cache: Cache, name: str, make: Callable[[], tuple[pa.Table, dict[str, Any]]]
) -> tuple[pa.Table, dict[str, Any]]:
    """The rows of one tar in memory and facts about them, as they are in the cache or as they were made now."""
    while True:
        with cache.making(name, 0) as part:
            if part is not None:
                table, facts = make()
                _write(part, [table], facts)
        if (file := cache.open(name)) is None:
            continue
        try:
            with file, pa.ipc.open_file(pa.PythonFile(file)) as reader:
                return reader.read_all(), json.loads(reader.schema.metadata[b"facts"])
        except (pa.ArrowInvalid, OSError, ValueError):  # damaged on the disk: it is made again
            cache.drop(name)


def _write(part: Part, tables: Iterable[pa.Table], facts: dict[str, Any]) -> None:
    schema = ROWS.with_metadata({"facts": json.dumps(facts)})
    waiting: list[pa.Table] = []
    with pa.PythonFile(_Sink(part), mode="w") as sink, pa.ipc.new_file(sink, schema) as writer:

        def flush() -> None:
            writer.write_batch(pa.concat_tables(waiting).combine_chunks().to_batches()[0])
            waiting.clear()

        for table in tables:
            if len(table):
                waiting.append(table)
            if sum(map(len, waiting)) >= _BATCH:
                flush()
        if waiting:
            flush()


def _beside(name: str) -> str:
    return name.rpartition(".")[0] + ".columns"


def _columns_of(cache: Cache, name: str, rows: IO[bytes]) -> IO[bytes]:
    """The columns of plans, taken out of the rows where they are not there."""
    beside = _beside(name)
    while (found := cache.open(beside)) is None:
        with cache.making(beside, 0) as part:
            if part is not None:
                table = pa.ipc.open_file(pa.memory_map(rows.name)).read_all().select(list(COLUMNS))
                table = table.combine_chunks()
                columns = [pc.fill_null(table[column], 0).combine_chunks() for column in COLUMNS]
                batch = pa.record_batch(columns, names=list(COLUMNS))
                with pa.PythonFile(_Sink(part), mode="w") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                    writer.write_batch(batch)
    return found


class _Sink(io.RawIOBase):
    """Where Arrow writes."""

    def __init__(self, part: Part):
        super().__init__()
        self._part = part

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._part.write(data)
        return len(data)


def regular(pts: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.ListArray]:
    """Lists of rising timestamps as first, step, and the list itself only where its steps differ (else null)."""
    counts = pc.list_value_length(pts).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pts.flatten().to_numpy()
    ends = np.cumsum(counts)
    starts = ends - counts
    first, step = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    first[counts > 0] = flat[starts[counts > 0]]
    several = counts > 1
    step[several] = flat[starts[several] + 1] - flat[starts[several]]
    expected = np.repeat(first, counts) + np.repeat(step, counts) * (np.arange(len(flat)) - np.repeat(starts, counts))
    differs = np.zeros(len(counts), bool)
    differs[np.repeat(np.arange(len(counts)), counts)[flat != expected]] = True
    return first, step, pc.if_else(pa.array(differs), pts, pa.scalar(None, pts.type))
