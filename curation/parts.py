"""Tables in parts: one Parquet file a work unit, each with a footer that says what made it.

The footer's fingerprint is a hash of everything that decided the part's content (phase, version,
settings, inputs). A part whose fingerprint is the wanted one is done; that is all of resuming.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from curation import tables
from curation.errors import UserError
from curation.store import Place, parquet
from curation.tables import Row

_FOOTER = b"reelmill"
_THREADS = 8

# Footers that were read, with the version of their files: a run asks for them again and again.
_read: dict[str, tuple[tuple[int, ...] | None, dict[str, Any]]] = {}

Item = TypeVar("Item")
Found = TypeVar("Found")


def path(table: str, unit: int, suffix: str = ".parquet") -> str:
    return f"{table}/{unit:05d}{suffix}"


def units(out: Place, table: str) -> list[int]:
    """The units of a table that are finished."""
    names = (name.removesuffix(".parquet") for name in out.names(table, ".parquet"))
    return sorted(int(name) for name in names if name.isdigit())


def commit(out: Place, table: str, unit: int, rows: Iterable[Row], schema: pa.Schema, footer: dict[str, Any]) -> None:
    """Publish one part, with a hash of its rows as `content` in the footer."""
    content = tables.table(rows, schema)
    said = footer | {"content": hashlib.sha256(parquet(content.replace_schema_metadata(None))).hexdigest()}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    out.commit_table(path(table, unit), content.replace_schema_metadata({_FOOTER: text}))


def footer(out: Place, table: str, unit: int) -> dict[str, Any]:
    """What made a part; empty if something else wrote the file."""
    return said(out.schema(path(table, unit)))


def said(schema: pa.Schema) -> dict[str, Any]:
    """The footer of a part, from the schema that it was read with."""
    value = json.loads((schema.metadata or {}).get(_FOOTER, b"{}"))
    return value if isinstance(value, dict) else {}


def revoke(out: Place, table: str, unit: int, fingerprint: str) -> None:
    """Remove a part that something else made, before the files that it vouches for are changed.

    Otherwise a run that is killed in between would leave a part that vouches for another one's files.
    """
    if out.exists(path(table, unit)) and footer(out, table, unit).get("fingerprint") != fingerprint:
        out.remove(path(table, unit))


def footers(out: Place, table: str) -> dict[int, dict[str, Any]]:
    """The footers of all finished parts."""
    numbers = units(out, table)

    def read(unit: int) -> dict[str, Any]:
        file = path(table, unit)
        version = out.version(file)
        known, said = _read.get(out.url(file), (None, {}))
        if version is None or known != version:
            said = footer(out, table, unit)
            _read[out.url(file)] = version, said
        return said

    return dict(zip(numbers, ahead(read, numbers)))


def ahead(read: Callable[[Item], Found], items: Iterable[Item]) -> Iterator[Found]:
    """What is read of each, in order; a few are read at once, and no more than that are held."""
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for item in items:
            if len(waiting) == 2 * _THREADS:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read, item))
        while waiting:
            yield waiting.popleft().result()


def read(out: Place, table: str, columns: Sequence[str] | None = None, *, numbered: bool = False) -> pa.Table:
    """All parts of a table in the order of their units; only the columns that are asked for.

    Args:
        numbered: add a column `part`, the number of the part that a row is in.

    Raises:
        UserError: there is no part yet.
    """
    numbers = units(out, table)
    if not numbers:
        raise UserError(f"{out.url(table)}/ is not there yet; run the phases before this one, or `reelmill curate`")
    wanted = list(columns) if columns is not None else None
    parts = list(ahead(lambda unit: out.table(path(table, unit), wanted), numbers))
    if numbered:
        parts = [
            part.append_column("part", pa.array([unit] * part.num_rows, pa.int32()))
            for unit, part in zip(numbers, parts)
        ]
    # Parts of an earlier version may lack a column that came later.
    return pa.concat_tables((part.replace_schema_metadata(None) for part in parts), promote_options="default")


def digests(table: pa.Table) -> pa.Array:
    """A hash of 16 bytes for every row. Unlike that of a file it is the same whatever library wrote the rows."""
    texts = [_texts(_one(table[name])) for name in table.column_names]
    rows = pc.binary_join_element_wise(*texts, b"").to_pylist()
    return pa.array([hashlib.blake2b(row, digest_size=16).digest() for row in rows], pa.binary(16))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _texts(values: pa.Array) -> pa.Array:
    """Every value as bytes that begin with their length, so that what is joined of them tells all of them apart."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _texts(values.dictionary).take(values.indices)
    if pa.types.is_list(kind):
        ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(values), 0))
        offsets = pa.concat_arrays([pa.array([0], ends.type), ends])
        plain = pc.binary_join(pa.ListArray.from_arrays(offsets, _texts(values.flatten())), b"")
    elif pa.types.is_struct(kind):
        plain = pc.binary_join_element_wise(*map(_texts, values.flatten()), b"")
    else:
        plain = values.cast(pa.string()).cast(pa.binary()) if not pa.types.is_binary(kind) else values
    length = pc.binary_length(plain).cast(pa.string()).cast(pa.binary())
    framed = pc.binary_join_element_wise(length, plain, b":")
    return pc.if_else(values.is_valid(), framed, pa.scalar(b"-"))


def joined(left: pa.Table, right: pa.Table, key: str = "clip_id") -> pa.Table:
    """`left` with the columns of `right` beside it, matched by `key`, null where there is no match.

    Rows keep the order of `left`, so that equal inputs give equal bytes.
    """
    index = pc.index_in(left[key], value_set=right[key].combine_chunks())
    for name in right.column_names:
        if name not in left.column_names:
            left = left.append_column(right.schema.field(name).with_nullable(True), right[name].take(index))
    return left
