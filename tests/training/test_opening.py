"""Datasets by address: our own, from files, servers and stores; what is refused, and what opening costs."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Clip, squares, write_dataset

from curation.errors import UserError
from tests.servers import FileServer
from training.stream import remote
from training.stream.dataset import Dataset, Entry
from training.stream.opening import Opened
from training.stream.patterns import braces, expanded


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A dataset that a test may damage; the path of its manifest."""
    shutil.copytree(dataset.parent, tmp_path / "copy")
    return tmp_path / "copy" / "manifest.json"


def change(manifest: Path, **values: Any) -> None:
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **values}))


def change_index(manifest: Path, column: str, value: Any, *, row: int | None = None) -> None:
    """Set a column of the first index, and its checksum in the manifest."""
    shards = json.loads(manifest.read_text())["shards"]
    index = manifest.parent / shards[0]["index"]
    table = pq.read_table(index)
    at = table.schema.get_field_index(column)
    old = table[column].to_pylist()
    values = pa.array([value if row in (None, n) else old[n] for n in range(len(old))], table.schema.field(column).type)
    field = table.schema.field(column).with_nullable(True)
    pq.write_table(table.set_column(at, field, values), index)
    shards[0]["index_sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()
    change(manifest, shards=shards)


def of_media(entry: Entry) -> tuple[Any, ...]:
    """An entry without where it is."""
    return entry.key, entry.offset, entry.sha256, entry.caption, entry.frames, entry.width, entry.fps, entry.index


def same(a: Dataset, b: Dataset) -> None:
    assert (len(a), a.hash) == (len(b), b.hash)
    for number in range(len(a)):
        here, there = a.entry(number), b.entry(number)
        assert of_media(here) == of_media(there)
        media = a.media(here)
        assert media == b.media(there)
        assert hashlib.sha256(media).hexdigest() == here.sha256


@pytest.mark.parametrize("read", ["shards", "members"])
@pytest.mark.parametrize("ranges", [True, False])
def test_samples_over_http_are_those_on_the_disk(
    dataset: Path, opened: Callable[..., Opened], read: str, ranges: bool
) -> None:
    with FileServer(folder=dataset.parent, ranges=ranges) as server:
        there = opened(f"{server.url}/manifest.json", read=read)
        same(opened(dataset), there)
        assert there.entry(0).shard == f"{server.url}/shards/00000.tar"
        whole = sorted(file.stat().st_size for file in there._cache.folder.glob("*.tar"))
        tars = sorted(file.stat().st_size for file in (dataset.parent / "shards").glob("*.tar"))
        assert whole == (tars if read == "shards" or not ranges else [])


def test_samples_in_s3_are_those_on_the_disk(dataset: Path, opened: Callable[..., Opened], bucket: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(dataset.parent), f"{bucket.removeprefix('s3://')}/squares", recursive=True)
    same(opened(dataset), opened(f"{bucket}/squares", read="members"))
    same(opened(dataset), opened(f"{bucket}/squares/manifest.json", read="shards"))


def test_samples_in_gs_are_those_on_the_disk(dataset: Path, opened: Callable[..., Opened], gs_bucket: str) -> None:
    import gcsfs

    gcsfs.GCSFileSystem(project="project").put(
        str(dataset.parent), f"{gs_bucket.removeprefix('gs://')}/squares", recursive=True
    )
    same(opened(dataset), opened(f"{gs_bucket}/squares"))


def test_columns_are_those_of_the_entries(dataset: Path, opened: Callable[..., Opened]) -> None:
    data = opened(dataset)
    entries = [data.entry(number) for number in range(len(data))]
    for name in ("frames", "width", "height"):
        assert data.column(name).dtype == np.int32
        assert list(data.column(name)) == [getattr(entry, name) for entry in entries]
    assert data.column("fps") == pytest.approx([entry.fps for entry in entries])
    assert list(data.column("shard")) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert not data.column("kind").any()
    with pytest.raises(ValueError, match="read-only"):
        data.column("frames")[0] = 1
    with pytest.raises(IndexError):
        data.entry(len(data))


def test_uneven_timestamps_survive_the_index(copy: Path, opened: Callable[..., Opened]) -> None:
    pts = [0, 512, 1024, 1400, *range(2048, 2048 + 512 * 36, 512)]
    change_index(copy, "frame_pts", pts, row=0)
    data = opened(copy)
    first, second = data.entry(0).index, data.entry(1).index
    assert first is not None and list(first.pts) == pts
    assert second is not None and list(second.pts) == [512 * number for number in range(41)]


def test_every_generation_of_a_manifest_opens(copy: Path, opened: Callable[..., Opened]) -> None:
    old = json.loads(copy.read_text())
    (copy.parent / "manifest-00000.json").write_text(json.dumps(old))
    change(copy, generation=1, dataset_hash="another", shards=old["shards"][:1], samples=4)
    assert len(opened(copy.parent / "manifest-00000.json")) == 10
    newest = opened(copy.parent)
    assert (len(newest), newest.hash) == (4, "another")


def test_a_dataset_that_was_opened_before_asks_for_its_manifest_alone(
    dataset: Path, opened: Callable[..., Opened]
) -> None:
    with FileServer(folder=dataset.parent) as server:
        opened(server.url)
        server.asked.clear()
        again = opened(server.url)
        assert [path.split()[0] for path in server.asked] == ["/manifest.json"]
        assert again.entry(9).key == "clip009"
        for name in [*again._cache.folder.glob("*.arrow"), *again._cache.folder.glob("*.columns")]:
            name.unlink()
        assert opened(server.url).entry(9).key == "clip009"
        for file in [*again._cache.folder.glob("*.arrow"), *again._cache.folder.glob("*.columns")]:
            file.write_bytes(file.read_bytes()[:100])
            assert opened(server.url).entry(9).key == "clip009"


def test_a_dataset_that_has_grown_asks_for_what_is_new(opened: Callable[..., Opened], tmp_path: Path) -> None:
    grown = write_dataset(tmp_path / "grown", squares(12), per_shard=3)
    told = json.loads(grown.read_text())
    change(grown, shards=told["shards"][1:3], dataset_hash="before", samples=6)
    with FileServer(folder=grown.parent) as server:
        opened(server.url)
        change(grown, **told)
        server.asked.clear()
        data = opened(server.url)
        indexes = [path.split()[0] for path in server.asked if "parquet" in path]
        assert sorted(indexes) == ["/shards/00000.parquet", "/shards/00003.parquet"]
        same(opened(grown), data)
        assert list(data.column("shard")) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_a_dataset_goes_to_another_process_by_pickle(dataset: Path, opened: Callable[..., Opened]) -> None:
    with FileServer(folder=dataset.parent) as server:
        data = opened(server.url)
        same(data, pickle.loads(pickle.dumps(data)))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("offset", 10**9, "are outside of its tar"),
        ("offset", -1, "are outside of its tar"),
        ("offset", 2**63 - 1, "are outside of its tar"),
        ("bytes", 0, "are outside of its tar"),
        ("bytes", 2**62, "are outside of its tar"),
        ("frames", 10**6, "frame_pts are not its frames"),
        ("frame_pts", [0] * 40, "frame_pts are not its frames"),
        ("frame_pts", [None] * 40, "hold nothing in places"),
        ("frame_pts", None, "is not an index of samples: .* null"),
        ("keyframes", [], "keyframes are not frames of it"),
        ("keyframes", [5], "keyframes are not frames of it"),
        ("keyframes", [0, 10**6], "keyframes are not frames of it"),
        ("keyframes", [0, 8, 3], "keyframes are not frames of it"),
        ("frame_time_base", "1/0", "is not a fraction"),
        ("sha256", "../x", "sha256 is none"),
        ("key", "a\nb", "cannot be printed"),
    ],
)
def test_impossible_rows_are_refused(
    copy: Path, opened: Callable[..., Opened], column: str, value: Any, words: str
) -> None:
    change_index(copy, column, value, row=0 if column.startswith("frame_pts") else None)
    with pytest.raises(UserError, match=words) as error:
        opened(copy)
    assert "\n" not in str(error.value)


def test_a_damaged_index_is_refused(copy: Path, opened: Callable[..., Opened]) -> None:
    index = copy.parent / "shards/00001.parquet"
    index.write_bytes(index.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"shards/00001.parquet does not have the sha256"):
        opened(copy)


@pytest.mark.parametrize("path", ["../outside.tar", "/etc/passwd", "http://127.0.0.1/x.tar", "a.tar?b=c", ""])
def test_paths_that_leave_the_dataset_are_refused(copy: Path, opened: Callable[..., Opened], path: str) -> None:
    shards = json.loads(copy.read_text())["shards"]
    shards[0]["tar"] = path
    change(copy, shards=shards)
    with pytest.raises(UserError, match="is not a path below the manifest"):
        opened(copy)


@pytest.mark.parametrize(
    ("content", "words"),
    [("<html>", "not a Reelmill manifest"), ("{}", "format: field required"), (None, "its format is 'other/9'")],
)
def test_what_is_no_manifest_is_refused(
    copy: Path, opened: Callable[..., Opened], content: str | None, words: str
) -> None:
    if content is None:
        change(copy, format="other/9")
    else:
        copy.write_text(content)
    with pytest.raises(UserError, match=words) as error:
        opened(copy)
    assert "\n" not in str(error.value)


def test_a_missing_manifest_is_one_line_at_once(opened: Callable[..., Opened], tmp_path: Path) -> None:
    with FileServer(folder=tmp_path) as server:
        for url in (f"{server.url}/nothing/manifest.json", str(tmp_path / "nothing/manifest.json")):
            with pytest.raises(UserError, match="does not exist"):
                opened(url)
        assert len(server.asked) == 1


def test_errors_hold_no_credentials(opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", ())
    for url in ("http://name:word@127.0.0.1:9/manifest.json", "http://name:word@127.0.0.1:9/a.tar?X-Sig=word"):
        with pytest.raises(UserError, match=r"cannot read http://127.0.0.1:9/") as error:
            opened([url] if "tar" in url else url)
        assert "word" not in str(error.value)
    for url in ("http://name:word@[::1/a.tar", "http://name:word@:9/a.tar", "ftp://name:word@host/a.tar", "s3://"):
        with pytest.raises(UserError) as error:
            opened(url)
        assert "word" not in str(error.value) and "\n" not in str(error.value)


def test_images_and_videos_are_one_dataset(opened: Callable[..., Opened], tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "mixed", [*squares(2), Clip("still", 1)], per_shard=2)
    shards = json.loads(manifest.read_text())["shards"]
    shards[1]["kind"] = "image"
    change(manifest, shards=shards)
    data = opened(manifest)
    assert list(data.column("kind")) == [0, 0, 1]
    still = data.entry(2)
    assert (still.kind, still.suffix, still.frames, still.index) == ("image", "jpg", 1, None)
    shards[1]["kind"] = "sound"
    change(manifest, shards=shards)
    with pytest.raises(UserError, match="samples of the kind 'sound'"):
        opened(manifest)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{a,b{1..2}}/{x,}", ["a/x", "a/", "b1/x", "b1/", "b2/x", "b2/"]),
        ("{0..6..3}", ["0", "3", "6"]),
        ("{2..0}", ["2", "1", "0"]),
        ("plain", ["plain"]),
    ],
)
def test_braces_stand_for_what_shells_make_of_them(pattern: str, found: list[str]) -> None:
    assert braces(pattern) == found


@pytest.mark.parametrize("pattern", ["{0..9", "0..9}", "{x}", "{0..99999999999}", "{0..9999}{0..9999}"])
def test_wrong_braces_are_refused(pattern: str) -> None:
    with pytest.raises(UserError):
        braces(pattern)


def test_a_star_lists_a_folder(dataset: Path) -> None:
    assert expanded(f"{dataset.parent}/shards/*.tar") == [f"{dataset.parent}/shards/{n:05d}.tar" for n in range(3)]
    for pattern in (f"{dataset.parent}/none-*.tar", "http://127.0.0.1/*.tar", "*/x.tar"):
        with pytest.raises(UserError):
            expanded(pattern)
