"""Whatever is broken in an output, `verify` names the file in a line, and never breaks itself."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from curation import intact
from curation.check import Quick, check
from curation.store import Place
from curation.verify import _unit, verify

QUIET = Console(quiet=True)
TABLES = ("inputs", "sources", "clips", "scores", "captions")
TEXTS = (
    *("manifest.json", "manifest-00000.json", "ledger.json", "recipe.yaml", "README.md", "inputs/units.json"),
    "selection.parquet",
)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _empty(data: bytes) -> bytes:
    return b""


def _flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _other(data: bytes) -> bytes:
    """What is well formed, and something else."""
    if data[:4] == b"PAR1":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"a": [1]}), sink)
        return sink.getvalue().to_pybytes()
    return b'["a"]'


HARMS = (_half, _empty, _flipped, _other)


@pytest.mark.parametrize("harm", HARMS)
def test_every_broken_table_is_named(dataset: Path, copy: Path, harm: Callable[[bytes], bytes]) -> None:
    files = [f"{table}/{path.name}" for table in TABLES for path in sorted((copy / table).glob("*.parquet"))]
    for file in files:
        (copy / file).write_bytes(harm((copy / file).read_bytes()))
    wrong, _ = verify(str(copy), QUIET, quick=Quick(0))
    if harm is not _flipped:
        assert {line.partition(": ")[0] for line in wrong} >= set(files), wrong
    # A flipped byte may lie in pictures, which a quick check leaves out, or in what describes a column.
    wrong = intact.faults(Place(copy), pictures=True)
    unseen = set(files) - {file for file in files if any(file in line for line in wrong)}
    assert all(Place(copy).table(file).equals(Place(dataset).table(file)) for file in unseen), (unseen, wrong)
    assert harm is _flipped or not unseen


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("file", TEXTS)
def test_every_other_broken_file_is_named(copy: Path, file: str, harm: Callable[[bytes], bytes]) -> None:
    (copy / file).write_bytes(harm((copy / file).read_bytes()))
    wrong, _ = verify(str(copy), QUIET, quick=Quick(0))
    assert any(file in line for line in wrong), wrong


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("suffix", [".tar", ".parquet", ".idx", ".json"])
def test_every_broken_file_of_a_shard_is_named(copy: Path, suffix: str, harm: Callable[[bytes], bytes]) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    path = copy / "shards" / f"00000{suffix}"
    path.write_bytes(harm(path.read_bytes()))
    wrong = check(str(copy), None, _unit(0, manifest["shards"][0])).wrong
    assert any(path.name in line for line in wrong), wrong


def test_missing_side_car_is_named_also_by_a_quick_check(copy: Path) -> None:
    (copy / "shards" / "00000.idx").unlink()
    wrong, _ = verify(str(copy), QUIET, quick=Quick(0))
    assert wrong == ["shards/00000.idx: it does not exist"]


def test_index_that_something_else_wrote_is_one_clear_line(copy: Path) -> None:
    """Also where the manifest vouches for it."""
    index = copy / "shards" / "00000.parquet"
    pq.write_table(pq.read_table(index).drop_columns(["key"]), index)
    shard = json.loads((copy / "manifest.json").read_text())["shards"][0]
    shard["index_sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()
    assert check(str(copy), None, _unit(0, shard)).wrong == ["shards/00000.parquet: it lacks the column 'key'"]


@given(st.data())
@settings(max_examples=40)
def test_no_garbage_in_a_table_gets_past_its_check(dataset: Path, data: st.DataObject) -> None:
    """A flipped byte is found, or stands where it changes nothing that is read."""
    table = data.draw(st.sampled_from([table for table in TABLES if table != "scores"]))
    whole = (dataset / table / "00000.parquet").read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(whole)
    broken[at] ^= 1 << bit

    class Broken(Place):
        def names(self, folder: str, suffix: str = "") -> list[str]:
            return ["00000.parquet"] if folder == table else []

    with tempfile.TemporaryDirectory() as folder:
        out = Broken(folder)
        out.commit(f"{table}/00000.parquet", bytes(broken))
        fault = intact._in_table(out, f"{table}/00000.parquet", intact._TABLES[table], True)
        if fault is None:
            again = out.table(f"{table}/00000.parquet")
            assert again.equals(Place(dataset).table(f"{table}/00000.parquet"))
        else:
            assert "\n" not in fault
