"""Reading a dataset by URL: bytes by index, checks on everything, a bounded cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import squares, write_dataset

from curation.errors import UserError
from training.stream import cache
from training.stream.cache import Cache
from training.stream.shards import Dataset


def opened(url: str | Path, folder: Path, *, span: int = 7, room: int = 10**9) -> Dataset:
    return Dataset(str(url), span=span, cache_dir=str(folder / "cache"), cache_bytes=room)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A dataset that a test may damage; the path of its manifest."""
    shutil.copytree(dataset.parent, tmp_path / "copy")
    return tmp_path / "copy" / "manifest.json"


def change(manifest: Path, **values: Any) -> None:
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **values}))


def change_index(manifest: Path, column: str, value: Any) -> None:
    """Set a column of the first index, and its checksum in the manifest."""
    shards = json.loads(manifest.read_text())["shards"]
    index = manifest.parent / shards[0]["index"]
    table = pq.read_table(index)
    at = table.schema.get_field_index(column)
    values = pa.array([value] * len(table), table.schema.field(column).type)
    pq.write_table(table.set_column(at, table.schema.field(column), values), index)
    shards[0]["index_sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()
    change(manifest, shards=shards)


def test_samples_over_http_are_those_on_the_disk(dataset: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    shutil.copytree(dataset.parent, folder / "same")
    here, there = opened(dataset, tmp_path), opened(f"{url}/same/manifest.json", tmp_path)
    assert len(here) == len(there) == 10
    for number in range(10):
        entry = there.entry(number)
        assert entry == here.entry(number)
        media = there.media(entry)
        assert media == here.media(entry)
        assert hashlib.sha256(media).hexdigest() == entry.sha256
    assert len(list((tmp_path / "cache").glob("*.tar"))) == 3


def test_short_samples_are_left_out_and_counted(dataset: Path, tmp_path: Path) -> None:
    some = opened(dataset, tmp_path, span=45)
    assert (len(some), some.short) == (5, 5)
    with pytest.raises(UserError, match=r"none of its 10 samples has the 100 frames .* the longest has 49"):
        opened(dataset, tmp_path, span=100)


def test_a_tar_with_another_sha256_is_refused(copy: Path, tmp_path: Path) -> None:
    tar = copy.parent / "shards/00000.tar"
    content = bytearray(tar.read_bytes())
    content[600] ^= 1
    tar.write_bytes(content)
    data = opened(copy, tmp_path)
    with pytest.raises(UserError, match=r"00000.tar does not have the size and sha256 of the manifest"):
        data.media(data.entry(0))


def test_a_damaged_index_is_refused(copy: Path, tmp_path: Path) -> None:
    index = copy.parent / "shards/00001.parquet"
    index.write_bytes(index.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"shards/00001.parquet does not have the sha256"):
        opened(copy, tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("offset", 10**9, "are outside of its tar"),
        ("offset", -1, "are outside of its tar"),
        ("bytes", 0, "are outside of its tar"),
        ("frames", 10**6, "frame_pts are not its frames"),
        ("keyframes", [5], "keyframes are not frames of it"),
        ("keyframes", [0, 10**6], "keyframes are not frames of it"),
        ("frame_time_base", "1/0", "is not a fraction"),
    ],
)
def test_impossible_rows_are_refused(copy: Path, tmp_path: Path, column: str, value: Any, words: str) -> None:
    change_index(copy, column, value)
    with pytest.raises(UserError, match=words):
        opened(copy, tmp_path)


@pytest.mark.parametrize("path", ["../outside.tar", "/etc/passwd", "http://127.0.0.1/x.tar", ""])
def test_paths_that_leave_the_dataset_are_refused(copy: Path, tmp_path: Path, path: str) -> None:
    shards = json.loads(copy.read_text())["shards"]
    shards[0]["tar"] = path
    change(copy, shards=shards)
    with pytest.raises(UserError, match="is not a path below the manifest"):
        opened(copy, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [("<html>", "not a Reelmill manifest"), ("{}", "format: field required"), (None, "its format is 'other/9'")],
)
def test_what_is_no_manifest_is_refused(copy: Path, tmp_path: Path, content: str | None, words: str) -> None:
    if content is None:
        change(copy, format="other/9")
    else:
        copy.write_text(content)
    with pytest.raises(UserError, match=words) as error:
        opened(copy, tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_manifest_is_one_line_at_once(tmp_path: Path, served: tuple[Path, str]) -> None:
    for url in (f"{served[1]}/nothing/manifest.json", str(tmp_path / "nothing/manifest.json")):
        with pytest.raises(UserError, match="does not exist"):
            opened(url, tmp_path)


def test_a_server_that_is_away_is_asked_again(
    dataset: Path, served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_PAUSES", (0.01, 0.01))
    with pytest.raises(UserError, match="cannot read http://127.0.0.1:9/"):
        opened("http://127.0.0.1:9/manifest.json", tmp_path)


def test_the_cache_stays_within_its_bytes_and_keeps_open_files(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    manifest = json.loads(write_dataset(folder / "many", squares(6), per_shard=1).read_text())
    data = opened(f"{url}/many/manifest.json", tmp_path, room=max(s["bytes"] for s in manifest["shards"]) * 2)
    store: Cache = data._cache
    first = manifest["shards"][0]
    with store.open(first["tar"], sha256=first["sha256"], size=first["bytes"]) as file:
        for number in range(6):
            data.media(data.entry(number))
            held = sum(path.stat().st_size for path in store.folder.glob("*.tar"))
            assert held <= store.max_bytes
        assert Path(file.name).exists()
        assert hashlib.sha256(file.read()).hexdigest() == first["sha256"]
    assert not list(store.folder.glob(".*"))
