"""`reelmill verify` passes what is right and names what is wrong."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from curation.check import Quick
from curation.verify import verify
from tests.conftest import REELMILL, Reelmill


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
    """A byte of the first sample's film, where the index says that it is."""
    tar = out / "shards" / "00000.tar"
    row = pq.read_table(tar.with_suffix(".parquet"), columns=["offset", "bytes"]).to_pylist()[0]
    _flip(tar, (row["offset"] + row["bytes"] // 2 + 0.5) / tar.stat().st_size)


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


QUIET = Console(quiet=True)


@pytest.mark.parametrize(
    ("harm", "clips", "named"),
    [
        (_cut_tar, 0, "bytes and not the manifest's"),
        (_flip_media, 100, "checksum is not the index's"),
        (_remove_index, 0, "00001.parquet"),
        (_lose_source, 0, "inputs are not in sources"),
    ],
)
def test_quick_check_finds_sizes_sums_and_what_it_draws(
    copy: Path, harm: Callable[[Path], None], clips: int, named: str
) -> None:
    assert verify(str(copy), QUIET, quick=Quick(clips))[0] == []
    harm(copy)
    wrong, _ = verify(str(copy), QUIET, quick=Quick(clips))
    assert any(named in line for line in wrong), wrong


def test_check_that_was_killed_goes_on_from_what_it_has_seen(dataset: Path, copy: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    run = subprocess.Popen([*REELMILL, "verify", str(copy), "--journal", str(journal)], stdout=subprocess.DEVNULL)
    while run.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 1):
        time.sleep(0.002)
    run.kill()
    run.wait()
    seen = [json.loads(line)["unit"] for line in journal.read_text().splitlines()[1:]]
    assert 0 < len(seen) < len(list((copy / "shards").glob("*.tar")))
    tar = copy / "shards" / f"{seen[0]:05d}.tar"
    _flip(tar, 0.5)
    # What was seen is not looked at again; the check after that begins anew.
    assert verify(str(copy), QUIET, journal=journal)[0] == []
    assert not journal.exists()
    wrong, _ = verify(str(copy), QUIET)
    assert any(tar.name in line for line in wrong)
    assert sorted(os.listdir(copy)) == sorted(os.listdir(dataset))


class _Unlisted(http.server.SimpleHTTPRequestHandler):
    """A web server that shows no list of a folder, and gives files only as a whole."""

    def list_directory(self, path: object) -> None:  # type: ignore[override]
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_output_behind_a_web_server_is_checked_where_it_is(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    handler = functools.partial(_Unlisted, directory=str(dataset))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert verify(url, QUIET)[0] == []
        assert verify(url, QUIET, quick=Quick(0))[0] == []
    finally:
        server.shutdown()
        server.server_close()
    assert not list(tmp_path.rglob("*.jsonl"))
