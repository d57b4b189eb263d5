"""The manifest to inputs: a row for everything that it names, cut into work units once and for all."""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urljoin

import pyarrow as pa
import pyarrow.parquet as pq

from curation import parts, tables
from curation.addresses import scrubbed
from curation.errors import UserError
from curation.phases import ranges
from curation.phases.columns import Columned
from curation.recipe import Recipe, SourceList
from curation.store import SCHEMES, Place, filesystem, is_url, publishable, without_secrets
from curation.tables import Row
from curation.validate import fingerprint

MEDIA = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
    *(".ogv", ".ogg", ".wmv", ".asf", ".3gp", ".3g2", ".gif", ".mxf"),
)
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2")
_ENDINGS = {"video": MEDIA, "image": IMAGES}
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
# The units of a run, where the recipe does not say: enough of them to balance, few enough to keep as files.
_UNITS, _LARGEST_UNIT = 512, 256
UNITS = "inputs/units.json"
_LARGEST_CELL = 16 << 20


def listing(recipe: Recipe) -> tuple[list[Row], int]:
    """Every input that the manifest names, and how many files were passed over as no media by name.

    A row that cannot be used (no address, a repeated id) is kept with its `error`. Its `uri` is the whole address,
    which may hold credentials: see `withheld`. No other field of a row does.

    Raises:
        UserError: a folder or table is missing, a column is wrong, or nothing is named at all.
    """
    rows: list[Row] = []
    passed_over: Counter[str] = Counter()
    for number, sources in enumerate(recipe.sources):
        named: list[Row] = []
        for place in sources.files:
            found, other = _named(place, sources, number)
            named.extend(found)
            passed_over.update(other)
        by_clip = sources.columns is not None and sources.columns.start is not None
        rows.extend(ranges.joined(named) if by_clip else named)
    if not rows:
        raise UserError(_nothing(recipe, passed_over))
    return _unique([_open(_storable(row)) | {"version": _version(row["uri"])} for row in rows]), passed_over.total()


def withheld(rows: Sequence[Row]) -> tuple[list[Row], dict[str, str]]:
    """Listed rows as they are stored, and the whole addresses of those, by their ids, that need credentials.

    Nothing of these is ever written: a run lists its sources anew, so that it has the newest signatures, and hands the
    addresses to the units that read them.
    """
    stored, addresses = [], {}
    for row in rows:
        uri = publishable(row["uri"])
        if uri != row["uri"]:
            addresses[row["source_id"]] = row["uri"]
            row = row | {"uri": uri}
        stored.append(row)
    return stored, addresses


def _nothing(recipe: Recipe, passed_over: Counter[str]) -> str:
    """What to do where the manifest names no media."""
    kinds = {sources.kind for sources in recipe.sources}
    wanted = " ".join(ending for kind in sorted(kinds) for ending in _ENDINGS[kind][:6])
    places = ", ".join(publishable(place) for sources in recipe.sources for place in sources.files)
    told = f"the manifest {recipe.name!r} names no media: looked for {wanted} … in {places}"
    for kind in sorted(_ENDINGS.keys() - kinds):
        if count := sum(passed_over[ending] for ending in _ENDINGS[kind]):
            return f"{told}; {count} {kind}s are there: say `kind: {kind}` (or --set sources.0.kind={kind})"
    return told


def commit(out: Place, recipe: Recipe, rows: list[Row]) -> int:
    """Write the inputs in units; `units.json` comes last and marks them as complete. How many units.

    A source that is there already stays in its unit, so that growth leaves the parts of all tables as they are; new
    ones make units of their own after the last.
    """
    now = {row["source_id"]: row for row in rows}
    before = _by_unit(out)
    units = [[now.pop(name) for name in names if name in now] for names in before]
    size = unit_size(recipe, len(now))
    new = list(now.values())
    units += [new[start : start + size] for start in range(0, len(new), size)]
    there = parts.footers(out, "inputs")
    wanted = {number: fingerprint("ingest", unit) for number, unit in enumerate(units)}
    pending = [number for number in wanted if there.get(number, {}).get("fingerprint") != wanted[number]]
    if any(number < len(before) for number in pending):
        _mark(out, len(before), "")  # what is changed now is not the inputs of any listing
    for number in pending:
        footer = {"phase": "ingest", "fingerprint": wanted[number]}
        parts.commit(out, "inputs", number, units[number], tables.INPUTS, footer)
    _mark(out, len(units), fingerprint_of(rows))
    return len(units)


def unit_size(recipe: Recipe, sources: int) -> int:
    """Sources in a unit, where so many come in at once."""
    return recipe.ingest.unit or min(_LARGEST_UNIT, max(1, -(-sources // _UNITS)))


def fingerprint_of(rows: list[Row]) -> str:
    """Of a listing, in whatever order it came."""
    return fingerprint(sorted(rows, key=lambda row: row["source_id"]))


def changes(out: Place, rows: list[Row]) -> tuple[set[str], set[str], set[str]]:
    """The ids of the sources that are new in a listing, gone, and other than those of the output."""
    names = [name for unit in _by_unit(out) for name in unit]
    there = {row["source_id"]: row for row in parts.read(out, "inputs").to_pylist()}
    before, now = {name: there[name] for name in names}, {row["source_id"]: row for row in rows}
    other = {name for name in now.keys() & before.keys() if now[name] != _as_listed(before[name])}
    return now.keys() - before.keys(), before.keys() - now.keys(), other


def _as_listed(row: Row) -> Row:
    """A row as it was listed: without ranges where it has none."""
    return {name: value for name, value in row.items() if name != "ranges" or value is not None}


def _by_unit(out: Place) -> list[list[str]]:
    """The ids of the sources of every unit; none before the inputs were complete for the first time."""
    facts = committed(out)
    paths = [parts.path("inputs", number) for number in range(facts["units"] if facts else 0)]
    return [out.table(path, ["source_id"])["source_id"].to_pylist() for path in paths]


def _mark(out: Place, units: int, of: str) -> None:
    out.commit(UNITS, json.dumps({"units": units, "fingerprint": of}, indent=1, sort_keys=True).encode())


def committed(out: Place) -> dict[str, Any] | None:
    """What `units.json` says; None before the inputs are complete."""
    if not out.exists(UNITS):
        return None
    facts = json.loads(out.text(UNITS))
    return facts if isinstance(facts, dict) else None


def _named(place: str, sources: SourceList, number: int) -> tuple[list[Row], Counter[str]]:
    """Rows of one entry of `files`, and the endings of the files that were passed over."""
    suffix = posixpath.splitext(place.split("?")[0])[1].lower()
    if suffix in TABLES and not _has_magic(place):
        return list(_from_table(place, suffix, sources, f"sources.{number}")), Counter()
    if is_url(place) and place.lower().startswith(("http://", "https://")):
        return [_media_row(place, publishable(place), sources)], Counter()
    fs, path = filesystem(place)
    base, found = _files(fs, path, place)
    rows: list[Row] = []
    passed_over: Counter[str] = Counter()
    for file in sorted(found):
        suffix = posixpath.splitext(file)[1].lower()
        uri = file if not is_url(place) else fs.unstrip_protocol(file)
        name = posixpath.relpath(file, base)
        if suffix in TABLES and _has_magic(place):
            rows.extend(_from_table(uri, suffix, sources, f"sources.{number}"))
        elif suffix in _ENDINGS[sources.kind] or file == path:
            rows.append(_media_row(uri, name, sources))
        else:
            passed_over[suffix] += 1
    return rows, passed_over


def _files(fs: Any, path: str, place: str) -> tuple[str, list[str]]:
    """The folder that ids are relative to, and the files of a folder, glob or single file."""
    try:
        if _has_magic(place):
            base = path[: next(i for i, c in enumerate(path) if c in "*?[")].rpartition("/")[0] or "/"
            return base, [file for file in fs.glob(path) if fs.isfile(file)]
        if fs.isdir(path):
            return path, fs.find(path) if is_url(place) else _walked(path)
        if fs.exists(path):
            return posixpath.dirname(path), [path]
    except (OSError, ValueError) as error:
        raise UserError(f"{without_secrets(place)}: cannot be listed ({error})") from None
    shown = publishable(place) if is_url(place) or os.path.isabs(place) else f"{place} (looked in {os.getcwd()})"
    raise UserError(f"{shown}: no such file or folder")


def _has_magic(place: str) -> bool:
    """Whether it is a pattern; a file or folder of that very name comes first."""
    if place.lower().startswith(("http://", "https://")) or not any(mark in place for mark in "*?["):
        return False
    return is_url(place) or not os.path.exists(place)


def _walked(folder: str) -> list[str]:
    """All files below a local folder, also behind links; a folder that cannot be read is an error."""
    files: list[str] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found = os.stat(here)
        if (found.st_dev, found.st_ino) in seen:  # a link back up
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        files += [posixpath.join(here, name) for name in names]
    return files


def _media_row(uri: str, name: str, sources: SourceList) -> Row:
    return {
        "source_id": name,
        "uri": uri,
        "kind": sources.kind,
        "caption": None,
        "category": sources.category,
        "licence": sources.licence,
        "meta": None,
        "error": None,
    }


def _from_table(place: str, suffix: str, sources: SourceList, key: str) -> Iterator[Row]:
    with Place(posixpath.dirname(place) or ".").open(posixpath.basename(place)) as file:
        names, records = _records(file, suffix, place)
        columned = Columned(sources.columns, names, place, f"{key}.columns")
        media = _Media(sources.media) if sources.media is not None else None
        for number, record in enumerate(records, start=1):
            row = columned.row(record)
            named = row.pop("uri")
            if media is None:
                address, error = _address(named, place)
            else:
                address, error = media.address(named)
                row["source_id"] = row["source_id"] or named
            yield {
                **row,
                "source_id": row["source_id"]
                or publishable(address or "")
                or f"row {number} of {posixpath.basename(place)}",
                "uri": address or "",
                "kind": sources.kind,
                "category": row["category"] or sources.category,
                "licence": row["licence"] or sources.licence,
                "error": row["error"] or error,
            }


def _records(file: Any, suffix: str, place: str) -> tuple[list[str], Iterable[dict[str, Any]]]:
    """Column names and rows of a csv, tsv, jsonl or parquet table."""
    try:
        if suffix == ".parquet":
            table = pq.ParquetFile(file).read(use_threads=False)
            return table.column_names, table.to_pylist()
        # A byte that is no UTF-8 costs its own row, see `_storable`.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        csv.field_size_limit(_LARGEST_CELL)
        if suffix == ".jsonl":
            records = [json.loads(line) for line in text if line.strip()]
            if not all(isinstance(record, dict) for record in records):
                raise UserError(f"{without_secrets(place)}: every line must be a JSON object")
            return list(dict.fromkeys(name for record in records for name in record)), records
        reader = csv.DictReader(text, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        return list(reader.fieldnames or []), list(reader)
    except (csv.Error, json.JSONDecodeError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{without_secrets(place)}: not a readable {suffix[1:]} table ({reason})") from None


class _Media:
    """A folder of files that tables name by id."""

    def __init__(self, folder: str):
        fs, path = filesystem(folder)
        _, found = _files(fs, path, folder)
        self._folder = folder
        self._by_name: dict[str, str] = {}
        for file in sorted(found, reverse=True):  # of several the first one counts
            address = fs.unstrip_protocol(file) if is_url(folder) else file
            name = posixpath.basename(file)
            self._by_name[posixpath.splitext(name)[0]] = self._by_name[name] = address

    def address(self, name: str | None) -> tuple[str | None, str | None]:
        """The full address of a row's file, or why there is none."""
        if not name:
            return None, "no address in this row"
        if name in self._by_name:
            return self._by_name[name], None
        return None, f"no file of that name in {without_secrets(self._folder)}"


def _address(value: str | None, table: str) -> tuple[str | None, str | None]:
    """The full address of a row's media, or why there is none. Relative ones count from the table."""
    if not value:
        return None, "no address in this row"
    scheme = value.split("://")[0].lower() if is_url(value) else ""
    if scheme and scheme not in SCHEMES:
        return value, f"{scheme}:// is not read; use a path or {', '.join(SCHEMES)}"
    if scheme:
        return value, None
    if not is_url(table):
        return posixpath.join(posixpath.dirname(os.path.abspath(table)), value), None
    if table.lower().startswith(("http://", "https://")):
        try:
            return urljoin(table, value), None
        except ValueError:
            return value, "not a valid address"
    folder = posixpath.dirname(table)
    address = posixpath.normpath(posixpath.join(folder.split("://")[1], value.lstrip("/")))
    return f"{folder.split('://')[0]}://{address}", None


def _storable(row: Row) -> Row:
    """The row with every text as valid Unicode; one that was not, for instance a file's name, is its error."""
    bad = [name for name, value in row.items() if isinstance(value, str) and not _is_unicode(value)]
    for name in bad:
        row = row | {
            name: row[name].encode("utf-8", "backslashreplace").decode(),
            "error": f"{name} is not valid UTF-8",
        }
    return row


def _open(row: Row) -> Row:
    """The row with no credential in any text but its address."""
    return scrubbed(row) | {"uri": row["uri"]}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _version(uri: str) -> str | None:
    """Size and time of change of a local file, so that another file under its name is noticed."""
    if not uri or is_url(uri):
        return None
    try:
        found = os.stat(uri)
    except (OSError, ValueError):
        return None
    return f"{found.st_size} bytes, {found.st_mtime_ns}"


def _unique(rows: list[Row]) -> list[Row]:
    """Ids made unique where files of different folders share a name; true repeats become errors.

    An address that was signed twice is a repeat too.
    """
    seen: dict[str, Row] = {}
    unique = []
    for row in rows:
        first = seen.get(row["source_id"])
        if first is not None:
            uri, owner = publishable(row["uri"]), publishable(first["uri"])
            other_file = row["meta"] is None and first["meta"] is None and uri != owner
            again = f"{row['source_id']} ({fingerprint(uri)[:8]})"
            if other_file and again not in seen:
                row = row | {"source_id": again}
            else:
                same = f"its id belongs to {owner}"
                if row["uri"] == first["uri"]:
                    same = "listed before"
                elif uri == owner:
                    same = "listed before, but for what looks like a credential; if it is another file, give them ids"
                count = sum(1 for key in seen if key.startswith(f"{row['source_id']} #"))
                row = row | {
                    "source_id": f"{row['source_id']} #{count + 2}",
                    "error": row["error"] or f"repeated: {same}",
                }
        seen[row["source_id"]] = row
        unique.append(row)
    return unique
