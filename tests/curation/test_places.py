"""Disks, S3 and Google Cloud Storage keep the same promises; a store that fails is one line, and harms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from curation import recipe, store
from curation.errors import StoreError, Unreachable, UserError
from curation.fetch import source
from curation.store import Place
from tests.conftest import SETTINGS, Reelmill, samples
from tests.proxies import DROP, EXPIRED, HALF, LOSE, PASS, SLOW_DOWN, Proxy
from tests.servers import BREAK_OFF, FileServer

MANY = {"part.parquet": b"one", "b/c.tar": bytes(range(256)) * 40, "b/d e.json": b"{}"}
LARGE = 101 << 20  # s3fs sends more than 100 MiB in parts


@pytest.fixture(params=["disk", "s3", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return Place(tmp_path / "out")
    return Place(request.getfixturevalue({"s3": "bucket", "gs": "gs_bucket"}[request.param]) + "/out")


def test_every_place_holds_whole_files(place: Place, tmp_path: Path) -> None:
    place.check_writable()
    for path, data in MANY.items():
        place.commit(path, b"older")
        file = tmp_path / "file"
        file.write_bytes(data)
        place.commit(path, file)
    assert {path: place.read(path) for path in MANY} == MANY
    assert {path: place.size(path) for path in MANY} == {path: len(data) for path, data in MANY.items()}
    assert place.names("b") == ["c.tar", "d e.json"]
    assert place.names("missing") == []
    with place.open("b/c.tar") as opened:
        opened.seek(300)
        assert opened.read(4) == MANY["b/c.tar"][300:304]
    place.remove("b/c.tar")
    place.remove("b/c.tar")
    assert not place.exists("b/c.tar")
    assert place.names("b") == ["d e.json"]


def test_every_place_holds_tables(place: Place) -> None:
    table = pa.table({"clip_id": ["a", "b"], "frames": [1, 2]})
    place.commit_table("clips/00000.parquet", table)
    assert place.table("clips/00000.parquet").equals(table)
    assert place.table("clips/00000.parquet", ["frames"]).column_names == ["frames"]


def test_what_is_missing_is_one_line_in_every_place(place: Place) -> None:
    for read in (place.read, place.size, place.table, place.schema):
        with pytest.raises(StoreError, match="does not exist") as raised:
            read("missing")
        assert "\n" not in str(raised.value)
        assert not isinstance(raised.value, Unreachable)


def test_other_processes_writing_are_seen_at_once(place: Place) -> None:
    other = Place(place.root)
    assert place.names("clips") == []
    other.commit("clips/1", b"1")
    assert place.names("clips") == ["1"]
    assert place.exists("clips/1")
    other.remove("clips/1")
    assert not place.exists("clips/1")


def test_large_file_goes_up_in_parts_and_appears_as_a_whole(weak_bucket: tuple[str, Proxy], tmp_path: Path) -> None:
    bucket, proxy = weak_bucket
    place = Place(bucket)
    place.commit("large", b"old")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(LARGE)
    # The upload begins and a first part arrives; then the store is gone.
    proxy.fault = lambda number, method: PASS if number <= 2 else DROP
    with pytest.raises(Unreachable):
        place.commit("large", tmp_path / "large")
    proxy.fault = lambda number, method: PASS
    assert place.read("large") == b"old"
    place.commit("large", tmp_path / "large")
    assert place.size("large") == LARGE
    assert place.names("") == ["large"]


@pytest.mark.parametrize("fault", [SLOW_DOWN, DROP, LOSE, HALF])
def test_passing_faults_of_s3_are_asked_again(
    weak_bucket: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    bucket, proxy = weak_bucket
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    type(Place(bucket).fs).clear_instance_cache()
    place = Place(bucket)
    for path, data in MANY.items():
        proxy.fault = lambda number, method: fault if number == 1 else PASS
        place.commit(path, data)
        assert proxy.harmed == 1
        proxy.fault = lambda number, method: fault if number == 1 else PASS
        assert place.read(path) == data
        assert proxy.harmed == 1


@pytest.mark.parametrize("fault", [SLOW_DOWN, HALF])
def test_s3_is_asked_as_often_as_is_said_and_no_more(
    weak_bucket: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """One layer asks again, for whatever reason."""
    bucket, proxy = weak_bucket
    Place(bucket).commit("file", b"words" * 100)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    type(Place(bucket).fs).clear_instance_cache()
    place = Place(bucket)
    proxy.fault = lambda number, method: fault if method == "GET" else PASS
    with pytest.raises(Unreachable):
        place.read("file")
    assert proxy.harmed == 4
    proxy.fault = lambda number, method: fault if method == "GET" else PASS
    with pytest.raises(Unreachable), source(f"{bucket}/file", max_bytes=1000):
        pass
    assert proxy.harmed == 4
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    with pytest.raises(UserError, match="AWS_MAX_ATTEMPTS: must be a whole number"):
        Place(bucket)


def test_expired_token_says_what_to_do(weak_bucket: tuple[str, Proxy]) -> None:
    bucket, proxy = weak_bucket
    place = Place(bucket)
    proxy.fault = lambda number, method: EXPIRED
    with pytest.raises(StoreError, match="token has expired. Get new credentials and run the same command again"):
        place.commit("file", b"one")


@pytest.mark.parametrize("fault", [503, 429, BREAK_OFF])
def test_http_is_asked_three_times(monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    monkeypatch.setattr(store, "_PAUSES", (0.01, 0.02))
    with FileServer(b"words " * 1000, fault=lambda number: fault if number < 3 else 0) as server:
        assert Place(server.url).read("file") == b"words " * 1000
        assert server.gets == 3
    with FileServer(b"words", fault=lambda number: fault) as server, pytest.raises(Unreachable):
        Place(server.url).read("file")


def test_http_is_asked_once_for_what_is_missing() -> None:
    with FileServer(b"words", fault=lambda number: 404) as server:
        with pytest.raises(StoreError, match="does not exist"):
            Place(server.url).read("file")
        assert server.gets == 1


def test_manifest_may_be_an_address(bucket: str) -> None:
    Place(bucket).commit("films.yaml", b"name: films\nsources:\n  - files: s3://films/*.mp4\nsplit: {max_secs: 3}\n")
    with pytest.raises(StoreError, match="does not exist"):
        recipe.load(f"{bucket}/other.yaml")
    with pytest.raises(recipe.UserError, match=r"films.yaml:4: .*max_secs.*max_seconds"):
        recipe.load(f"{bucket}/films.yaml")
    Place(bucket).commit("films.yaml", b"name: films\nsources:\n  - files: s3://films/*.mp4\n")
    assert recipe.load(f"{bucket}/films.yaml", ["split.max_seconds=3"]).split.max_seconds == 3


@pytest.fixture
def throttled(weak_bucket: tuple[str, Proxy], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket whose store refuses, drops or cuts off every 23rd request."""
    bucket, proxy = weak_bucket
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    type(Place(bucket).fs).clear_instance_cache()
    faults = (SLOW_DOWN, DROP, HALF)
    proxy.fault = lambda number, method: faults[number // 23 % 3] if number % 23 == 0 else PASS
    yield bucket
    assert proxy.harmed >= 3


@pytest.mark.campaign
def test_run_from_s3_to_s3_through_faults_equals_one_on_disk(
    throttled: str, footage: Path, dataset: Path, reelmill: Reelmill
) -> None:
    """Manifest, films and output in the bucket; the shards are read as trainers read them."""
    for name in ("cuts.mp4", "broken.mkv"):
        Place(throttled).commit(f"films/{name}", footage / name)
    Place(throttled).commit("films.yaml", f"name: films\nsources:\n  - files: {throttled}/films\n".encode())
    out = f"{throttled}/out"
    done = reelmill("curate", f"{throttled}/films.yaml", "--out", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    columns = ["clip_id", "sha256", "frame_pts", "caption"]
    on_disk = {row["clip_id"]: {name: row[name] for name in columns} for row in samples(dataset)}
    on_s3 = [
        row
        for name in Place(out).names("shards", ".parquet")
        for row in Place(out).table(f"shards/{name}", columns).to_pylist()
    ]
    assert len(on_s3) > 3
    assert all(row == on_disk[row["clip_id"]] for row in on_s3)
    again = reelmill("curate", f"{throttled}/films.yaml", "--out", out, *SETTINGS)
    assert "nothing to do" in again.stdout, again.stderr

    from training.stream.opening import open_dataset

    stream = open_dataset(str(out), cache_bytes=10**9)
    assert len(stream) == len(on_s3)
    assert all(stream.media(stream.entry(number))[4:8] == b"ftyp" for number in range(len(stream)))
