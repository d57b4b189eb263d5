"""A few rows of large tables: of each part the key column, then only those groups of rows that hold what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import parts
from curation.faults import telling
from curation.store import Place
from curation.tables import Row

_THREADS = 16


@dataclass(frozen=True)
class Wanted:
    """The rows whose key is this text, or begins with it."""

    key: str
    text: str
    prefix: bool = False

    def among(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        found = pc.starts_with(column, self.text) if self.prefix else pc.equal(column, self.text)
        return pc.fill_null(found, False)

    def may_lie_between(self, low: str, high: str) -> bool:
        """Whether it can be in a group of rows whose least and greatest keys are these."""
        return low[: len(self.text)] <= self.text <= high if self.prefix else low <= self.text <= high


def matching(out: Place, path: str, wanted: Wanted, columns: Sequence[str] | None = None) -> list[Row]:
    """The wanted rows of one Parquet file, with their number as `row`; by default with all columns but pictures."""
    with out.open(path) as file, telling("read", out.url(path)):
        table = pq.ParquetFile(file)
        metadata, first, found = table.metadata, 0, []
        at = next(at for at in range(metadata.num_columns) if metadata.schema.column(at).path == wanted.key)
        chosen = list(columns) if columns is not None else light(table.schema_arrow)
        for group in range(metadata.num_row_groups):
            if _may_hold(metadata.row_group(group), at, wanted):
                keys = table.read_row_group(group, columns=[wanted.key], use_threads=False)[wanted.key]
                places = pc.indices_nonzero(wanted.among(keys))
                if len(places):
                    rows = table.read_row_group(group, columns=chosen, use_threads=False).take(places).to_pylist()
                    found += [row | {"row": first + place.as_py()} for row, place in zip(rows, places)]
            first += metadata.row_group(group).num_rows
        return found


def at(out: Place, path: str, number: int) -> Row | None:
    """The row of this number of one Parquet file, without its pictures; None where there is none."""
    if not out.exists(path):
        return None
    with out.open(path) as file, telling("read", out.url(path)):
        table = pq.ParquetFile(file)
        for group in range(table.metadata.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            if number < count:
                rows = table.read_row_group(group, columns=light(table.schema_arrow), use_threads=False)
                row: Row = rows.slice(number, 1).to_pylist()[0]
                return row
            number -= count
    return None


def everywhere(out: Place, table: str, wanted: Wanted, columns: Sequence[str]) -> list[tuple[int, Row]]:
    """The wanted rows of all parts of a table, each with the number of its part."""
    numbers = parts.units(out, table)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda number: matching(out, parts.path(table, number), wanted, columns), numbers)
        return [(number, row) for number, rows in zip(numbers, found) for row in rows]


def light(schema: pa.Schema) -> list[str]:
    """All columns but pictures, embeddings and other long lists."""
    return [field.name for field in schema if not _is_long(field.type)]


def _is_long(type_: pa.DataType) -> bool:
    if pa.types.is_binary(type_):
        return True
    of = getattr(type_, "value_type", None)
    return of is not None and not (pa.types.is_string(of) or pa.types.is_struct(of))


def _may_hold(group: Any, column: int, wanted: Wanted) -> bool:
    said = group.column(column).statistics
    return said is None or not said.has_min_max or wanted.may_lie_between(said.min, said.max)
