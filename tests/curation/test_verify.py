"""`reelmill verify` passes what is right and names what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Reelmill


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def test_finished_output_is_right(dataset: Path, reelmill: Reelmill) -> None:
    done = reelmill("verify", dataset)
    assert done.returncode == 0, done.stdout
    assert "everything is right" in done.stdout


def _flip(path: Path, position: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * position)] ^= 0xFF
    path.write_bytes(data)


def _flip_media(out: Path) -> None:
    _flip(out / "shards" / "00000.tar", 0.5)


def _cut_tar(out: Path) -> None:
    tar = out / "shards" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:-20_000])


def _remove_tar(out: Path) -> None:
    (out / "shards" / "00000.tar").unlink()


def _remove_index(out: Path) -> None:
    (out / "shards" / "00001.parquet").unlink()


def _drop_clips(out: Path) -> None:
    path = out / "clips" / "00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


def _keep_more(out: Path) -> None:
    path = out / "selection.parquet"
    table = pq.read_table(path)
    kept = table["kept"].to_pylist()
    kept[kept.index(True)] = False
    pq.write_table(table.set_column(1, table.schema.field("kept"), [kept]), path)


def _lie_in_manifest(out: Path) -> None:
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["samples"] += 1
    path.write_text(json.dumps(manifest))


def _lie_in_ledger(out: Path) -> None:
    path = out / "ledger.json"
    path.write_text(path.read_text().replace('"inputs": 5', '"inputs": 6'))


def _lose_source(out: Path) -> None:
    path = out / "sources" / "00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (_flip_media, "00000.tar"),
        (_cut_tar, "00001.tar"),
        (_remove_tar, "00000.tar"),
        (_remove_index, "00001.parquet"),
        (_drop_clips, "clips"),
        (_keep_more, "kept clips"),
        (_lie_in_manifest, "manifest"),
        (_lie_in_ledger, "ledger.json"),
        (_lose_source, "inputs are not in sources"),
    ],
)
def test_harm_is_found_and_named(copy: Path, reelmill: Reelmill, harm: Callable[[Path], None], named: str) -> None:
    harm(copy)
    done = reelmill("verify", copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout
    assert "Traceback" not in done.stderr


def test_no_output_is_the_users_error(tmp_path: Path, reelmill: Reelmill) -> None:
    done = reelmill("verify", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
