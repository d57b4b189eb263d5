"""The clips of an output from the first to the last, a part at a time, with all that is said of each beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import parts
from curation.errors import UserError
from curation.store import Place

Bools = npt.NDArray[np.bool_]
SELECTION = "selection.parquet"
_AHEAD = 4  # parts that are read while another is looked at
_BATCH = 1 << 16


@dataclass(frozen=True)
class Wanted:
    """Which columns of which table."""

    clips: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """All clips of one part, in the order of the tables."""

    part: int
    clips: pa.Table
    """`clip_id` and the wanted columns of clips, scores and captions; null where a clip has none."""
    captioned: Bools
    """Whether a clip passed the rules that need no caption, and so is a row of captions/."""
    kept: Bools
    reasons: pa.ListArray
    duplicate_of: pa.Array
    sources: pa.Table
    """`source_id` and the wanted columns of the part's sources."""


def scan(out: Place, wanted: Wanted) -> Iterator[Rows]:
    """Every clip once. No more than a few parts are in memory, however many clips there are.

    Raises:
        UserError: a table is missing, or the selection is not of these clips.
    """
    units = parts.units(out, "clips")
    if not units:
        raise UserError(f"{out.url('clips')}/ is not there yet; run `reelmill curate`")
    with out.open(SELECTION) as file, ThreadPoolExecutor(_AHEAD) as pool:
        selection = _Stream(pq.ParquetFile(file))
        waiting: deque[Future[tuple[pa.Table, Bools, pa.Table]]] = deque()
        coming = iter(units)
        for unit in units:
            while len(waiting) < _AHEAD and (next_unit := next(coming, None)) is not None:
                waiting.append(pool.submit(_read, out, next_unit, wanted))
            clips, captioned, sources = waiting.popleft().result()
            chosen = selection.take(clips.num_rows)
            if not chosen["clip_id"].equals(clips["clip_id"]):
                raise UserError(f"{out.url(SELECTION)} is not of the clips beside it; run `reelmill select` again")
            kept = chosen["kept"].to_numpy().astype(np.bool_)
            reasons, duplicate_of = (_one(chosen[name]) for name in ("drop_reasons", "duplicate_of"))
            yield Rows(unit, clips, captioned, kept, reasons, duplicate_of, sources)


def _read(out: Place, unit: int, wanted: Wanted) -> tuple[pa.Table, Bools, pa.Table]:
    clips = out.table(parts.path("clips", unit), ["clip_id", *wanted.clips])
    if wanted.scores:
        clips = _beside(clips, out.table(parts.path("scores", unit), ["clip_id", *wanted.scores]))
    captions = out.table(parts.path("captions", unit), ["clip_id", *wanted.captions])
    captioned = pc.is_in(clips["clip_id"], value_set=captions["clip_id"].combine_chunks()).to_numpy()
    clips = _beside(clips, captions)
    sources = pa.table({"source_id": pa.array([], pa.string())})
    if wanted.sources:
        sources = out.table(parts.path("sources", unit), ["source_id", *wanted.sources])
    return clips.replace_schema_metadata(None), captioned.astype(np.bool_), sources


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    if not left["clip_id"].equals(right["clip_id"]):
        return parts.joined(left, right)
    for name in right.column_names[1:]:
        left = left.append_column(name, right[name])
    return left


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


class _Stream:
    """The rows of a Parquet file, as many at a time as are asked for."""

    def __init__(self, file: pq.ParquetFile):
        names: Sequence[str] = ["clip_id", "kept", "drop_reasons", "duplicate_of"]
        self._schema = pa.schema([file.schema_arrow.field(name) for name in names]).remove_metadata()
        self._batches = file.iter_batches(_BATCH, columns=names, use_threads=False)
        self._left = self._schema.empty_table()

    def take(self, count: int) -> pa.Table:
        found = [self._left]
        there = self._left.num_rows
        while there < count and (batch := next(self._batches, None)) is not None:
            found.append(pa.Table.from_batches([batch]).replace_schema_metadata(None))
            there += batch.num_rows
        rows = pa.concat_tables(found)
        self._left = rows.slice(count)
        return rows.slice(0, count)
