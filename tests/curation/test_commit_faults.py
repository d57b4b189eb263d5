"""The commit of a unit on a store that fails at every possible call: whole or not there, never vouched for wrongly."""

from __future__ import annotations

import errno
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation import parts, tables, work
from curation.errors import StoreError
from curation.phases import Output, Phase, Unit
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import Row
from tests.proxies import DROP, HALF, LOSE, PASS, Proxy

SCHEMA = pa.schema([tables.column("clip_id", pa.string(), "An id.")])
EVERYTHING = ["first/00000.parquet", "last/00000.idx", "last/00000.parquet", "last/00000.tar"]
RECIPE = Recipe.model_validate({"name": "letters", "sources": [{"files": "x"}]})


class Letters(Phase):
    """A unit gives two files and two tables, all made of its fingerprint; the second table is its marker."""

    name = "letters"
    reads = "inputs"
    writes = ("first", "last")

    def schema(self, table: str) -> pa.Schema:
        return SCHEMA

    def settings(self) -> Any:
        return None

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        return []

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        files = {}
        for name in ("last/00000.tar", "last/00000.idx"):
            files[name] = scratch / name.replace("/", "-")
            files[name].write_bytes(_content(unit.fingerprint, name))
        return Output({table: [{"clip_id": f"{table} {unit.fingerprint}"}] for table in self.writes}, files)


def _content(fingerprint: str, name: str) -> bytes:
    return f"{name} of {fingerprint}".encode() * 100


def _do(out: Place, fingerprint: str) -> None:
    work._ready.clear()
    work._ready["letters", ""] = Letters(RECIPE)
    try:
        work.perform("letters", "", out.root, Unit(0, fingerprint))
    finally:
        work._ready.clear()


def _state(out: Place) -> dict[str, bytes]:
    return {
        f"{folder}/{name}": out.read(f"{folder}/{name}") for folder in ("first", "last") for name in out.names(folder)
    }


def _assert_vouched(out: Place) -> None:
    """If there is a marker, all that it stands for is there."""
    if not out.exists(parts.path("last", 0)):
        return
    told = parts.footer(out, "last", 0)["fingerprint"]
    for name in ("last/00000.tar", "last/00000.idx"):
        assert out.read(name) == _content(told, name)
    for table in Letters.writes:
        assert out.table(parts.path(table, 0))["clip_id"].to_pylist() == [f"{table} {told}"]


def _prove(out: Place, failing: Callable[[int], Any], befores: Sequence[str]) -> int:
    """From each of these states, fail at each call in turn; how many there were.

    Args:
        befores: the unit whose output is there before; "" for none.
        failing: gives a context in which the call of this number fails; its value tells whether there was such a call.
    """
    calls = 0
    for before in befores:
        number, reached = 0, True
        while reached:
            number += 1
            for wanted in ("new", before):  # the run goes on as it was, or takes its change back
                if not wanted:
                    continue
                for name in _state(out):
                    out.remove(name)
                if before:
                    _do(out, before)
                with failing(number) as happened:
                    try:
                        _do(out, "new")
                    except (StoreError, OSError):
                        assert happened(), "nothing was made to fail"
                reached = happened()
                _assert_vouched(out)
                if parts.units(out, "last") != [0] or parts.footer(out, "last", 0)["fingerprint"] != wanted:
                    _do(out, wanted)
                out.sweep("first")
                out.sweep("last")
                _assert_vouched(out)
                found = _state(out)
                assert sorted(found) == [
                    "first/00000.parquet",
                    "last/00000.idx",
                    "last/00000.parquet",
                    "last/00000.tar",
                ]
                assert parts.footer(out, "last", 0)["fingerprint"] == wanted
        calls += number - 1
    return calls


_CALLS = ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir")
_watched: dict[str, Any] = {"folder": None, "at": 0, "seen": 0}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Fails the call of the chosen number on files of the watched folder. Audit hooks cannot be taken away again."""
    if (
        not _watched
        or _watched["folder"] is None
        or event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir")
    ):
        return
    if not isinstance(arguments[0], (str, os.PathLike)) or not os.fspath(arguments[0]).startswith(_watched["folder"]):
        return
    _watched["seen"] += 1
    if _watched["seen"] == _watched["at"]:
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture(scope="module", autouse=True)
def _audited() -> None:
    sys.addaudithook(_audit)


def test_disk_that_fails_at_any_call_never_vouches_for_what_is_not_there(tmp_path: Path) -> None:
    @contextmanager
    def failing(number: int) -> Iterator[Callable[[], bool]]:
        _watched.update(folder=str(tmp_path), at=number, seen=0)
        try:
            yield lambda: _watched["seen"] >= number
        finally:
            _watched["folder"] = None

    assert _prove(Place(tmp_path / "out"), failing, ("", "old")) > 20


@pytest.mark.campaign
def test_object_store_that_fails_at_any_request_never_vouches_for_what_is_not_there(
    weak_bucket: tuple[str, Proxy],
) -> None:
    bucket, proxy = weak_bucket  # nothing is asked again there: what fails shall be seen
    out = Place(f"{bucket}/out")
    faults = itertools.cycle((DROP, LOSE, HALF))

    @contextmanager
    def failing(number: int) -> Iterator[Callable[[], bool]]:
        fault = next(faults)
        proxy.fault = lambda request, method: fault if request == number else PASS
        try:
            yield lambda: proxy.harmed > 0
        finally:
            harmed = proxy.harmed
            proxy.fault = lambda request, method: PASS
            proxy.harmed = harmed

    assert _prove(out, failing, ("old",)) >= 8
