"""Can every file of an output but its shards still be read, and is it what the others say of it?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import yaml

from curation import generations, ledger, parts, recipe, tables
from curation.errors import UserError
from curation.phases import card
from curation.phases.score import measures
from curation.store import Place
from curation.validate import fingerprint

# What libraries throw at garbage.
GARBAGE = (
    *(UserError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError),
    *(NotImplementedError, pa.ArrowException, yaml.YAMLError),
)
_TABLES = {
    "inputs": tables.INPUTS,
    "sources": tables.SOURCES,
    "clips": tables.CLIPS,
    "scores": tables.scores_schema([]),
    "captions": tables.CAPTIONS,
    "answers": tables.ANSWERS,
}
# Most of what the tables weigh.
_PICTURES = ("thumbnails", "looks")
_SELECTION = "selection.parquet"


def told(error: BaseException) -> str:
    """One line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def faults(out: Place, *, pictures: bool) -> list[str]:
    """A sentence for every file that is not what it should be, and for every sum that does not hold.

    Args:
        pictures: read the tables' pictures too.
    """
    wrong = [*_in_tables(out, pictures), *_in_generations(out)]
    wrong += _of(out, "inputs/units.json", _units)
    wrong += _of(out, "recipe.yaml", _recipe)
    if wrong:
        return wrong  # sums over what cannot be trusted would only hide where it lies
    try:
        wrong = ledger.discrepancies(out)
        sums = ledger.balance(out)
    except GARBAGE as error:
        return [f"the tables cannot be summed up: {told(error)}"]
    wrong += _of(out, "ledger.json", lambda text: json.loads(text) == sums or "it does not say what the tables say")
    licences = parts.read(out, "sources", ["licence"])["licence"].to_pylist()
    wanted = card.card(recipe.of_output(out), generations.read(out), sums, licences)
    return wrong + _of(out, card.CARD, lambda text: text == wanted or "it is not the card of this output")


def _in_tables(out: Place, pictures: bool) -> Iterator[str]:
    for table, schema in (_TABLES | {"scores": _scores(out)}).items():
        there = [(parts.path(table, number), schema) for number in parts.units(out, table)]
        yield from filter(None, parts.ahead(lambda file: _in_table(out, *file, pictures), there))
    if fault := _in_table(out, _SELECTION, tables.SELECTION, pictures):
        yield fault


def _scores(out: Place) -> pa.Schema:
    """Of embeddings the recipe alone does not tell the length."""
    try:
        measured = measures(recipe.of_output(out))
    except GARBAGE:  # the recipe itself is looked at too
        measured = []
    return tables.scores_schema([field for field in measured if not pa.types.is_list(field.type)])


def _in_table(out: Place, path: str, schema: pa.Schema, pictures: bool) -> str | None:
    """Why a table is none, if so. Every page has a checksum."""
    try:
        known = out.schema(path)
        if missing := [name for name in schema.names if name not in known.names]:
            return f"{path}: it lacks the column {missing[0]!r}"
        parts.said(known)
        table = out.table(path, [name for name in known.names if pictures or name not in _PICTURES])
        return without(table, [field for field in schema if field.name in table.column_names])
    except GARBAGE as error:
        return f"{path}: {told(error)}"


def without(table: pa.Table, fields: list[pa.Field]) -> str | None:
    """Which of these fields a table has not as it should, if any: of another type, or null where none may be."""
    for field in fields:
        if field.name not in table.column_names:
            return f"it lacks the column {field.name!r}"
        column = table[field.name]
        if column.type != field.type:
            return f"its column {field.name!r} holds {column.type} and not {field.type}"
        if not field.nullable and column.null_count:
            return f"its column {field.name!r} has gaps"
        table[field.name].validate(full=True)
    return None


def _in_generations(out: Place) -> Iterator[str]:
    for number in generations.numbers(out):
        try:
            manifest = generations.read(out, number)
            for shard in manifest["shards"]:
                generations.shard_number(shard)
        except GARBAGE as error:
            yield f"{generations.path(number)}: {told(error)}"


def _of(out: Place, path: str, right: Callable[[str], Any]) -> list[str]:
    """What is wrong with a file of text; `right` says True, or what is wrong."""
    try:
        said = right(out.text(path))
    except GARBAGE as error:
        said = told(error)
    return [] if said is True else [f"{path}: {said}"]


def _units(text: str) -> bool | str:
    facts = json.loads(text)
    return (isinstance(facts.get("units"), int) and isinstance(facts.get("fingerprint"), str)) or "it says no units"


def _recipe(text: str) -> bool | str:
    first, _, rest = text.partition("\n")
    stated = first.removeprefix(recipe.NOTE)
    found = fingerprint(recipe.deciding(yaml.safe_load(rest)))
    return found == stated or "its hash is not that of its keys"
