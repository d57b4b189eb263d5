"""What is remote is read by ranges while it is decoded, and whatever a server does costs that source alone."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from curation import fetch
from curation.errors import StoreError, Unreachable
from curation.fetch import Remote, fetched, source
from curation.store import Place
from curation.video.jail import Jail
from curation.video.probe import MediaError
from curation.video.remote import Media
from curation.video.settings import Settings
from tests import films
from tests.films import BLUE, GREEN, RED, Scene
from tests.servers import BREAK_OFF, STALL, FileServer, remuxed

BLOCK = 16 << 10
LIMIT = 1 << 30
CODECS = {"webm": ("libvpx", {"cpu-used": "8", "deadline": "realtime"}), "avi": ("mpeg4", {"qscale": "2"})}

Scan = Callable[[Media], dict[str, Any]]


@pytest.fixture(autouse=True)
def small_blocks_and_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_BLOCK", BLOCK)
    monkeypatch.setattr(fetch, "_PAUSES", (0.01, 0.02))


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = Jail(4096)
    yield jail
    jail.close()


@pytest.fixture
def scanned(jail: Jail, tmp_path: Path) -> Scan:
    """What a jailed child finds in a film, with the bytes of its pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()

    def scan(media: Media) -> dict[str, Any]:
        found = jail.call("scan", media, 60, settings=asdict(Settings()), folder=str(folder), segment_s=None)
        return found | {"pictures": [Path(name).read_bytes() for name in found["pictures"]]}

    return scan


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of many blocks, and with its index at the end."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    films.write(path, [Scene(40, RED), Scene(50, BLUE), Scene(40, GREEN)], options={"crf": "4", "g": "24"})
    assert path.stat().st_size > 20 * BLOCK
    return path


@pytest.fixture
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing temporary can be made."""

    def refuse(*_: object, **__: object) -> str:
        raise AssertionError("something was written to the disk")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)


def reading(uri: str) -> AbstractContextManager[Path | Remote]:
    return source(uri, max_bytes=LIMIT)


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("kind", ["mp4", "faststart.mp4", "fragmented.mp4", "mkv", "webm", "ts", "avi"])
def test_remote_film_gives_what_the_local_one_gives(tmp_path: Path, film: Path, scanned: Scan, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind in CODECS:
        codec, options = CODECS[kind]
        films.write(path, [Scene(40, RED), Scene(30, BLUE)], codec=codec, options=options)
    else:
        flags = {"faststart.mp4": "faststart", "fragmented.mp4": "frag_keyframe+empty_moov"}.get(kind, "")
        remuxed(film, path, flags)
    local = scanned(path)
    with FileServer(path.read_bytes()) as server, reading(f"{server.url}/a.{kind}?token=x") as media:
        assert isinstance(media, Remote)
        assert fetch.size_of(media) == path.stat().st_size
        assert scanned(media) == local
        assert not media.copied


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize(("flags", "times"), [("faststart", 1.1), ("", 1.25)])
def test_bytes_that_are_asked_for_are_bounded(
    tmp_path: Path, film: Path, scanned: Scan, flags: str, times: float
) -> None:
    data = remuxed(film, tmp_path / "a.mp4", flags).read_bytes()
    with FileServer(data) as server:
        with reading(server.url) as media:
            scanned(media)
        assert isinstance(media, Remote)
        assert server.sent_bytes <= media.asked_bytes <= times * len(data)


@pytest.mark.usefixtures("no_disk")
def test_source_can_be_opened_several_times_in_one_call(film: Path, jail: Jail) -> None:
    # The index is made of two passes: one over the packets and one over the pictures.
    with FileServer(film.read_bytes()) as server, reading(server.url) as media:
        assert jail.call("index", media, 60) == jail.call("index", film, 60)


@pytest.mark.usefixtures("no_disk")
def test_next_block_is_asked_for_ahead(film: Path) -> None:
    with FileServer(film.read_bytes()) as server, reading(server.url) as media:
        assert isinstance(media, Remote)
        media.read(0, 1)
        assert media.asked_bytes == BLOCK
        media.read(BLOCK, 1)
        assert media.asked_bytes == 3 * BLOCK
        media.read(BLOCK + 1, 1)
        assert media.asked_bytes == 3 * BLOCK


def test_any_part_can_be_read_and_reading_too_much_ends_in_one_copy(film: Path) -> None:
    data, chance = film.read_bytes(), random.Random(3)
    with FileServer(data) as server, reading(server.url) as media:
        assert isinstance(media, Remote)
        for _ in range(400):
            offset, count = chance.randrange(len(data) + 9), chance.randrange(1, 2 * BLOCK)
            part = media.read(offset, count)
            assert part == data[offset : offset + len(part)]
            assert part or offset >= len(data)
        assert media.copied
        assert media.asked_bytes <= 2 * len(data) + (fetch._KEPT + 1) * BLOCK
        gets = server.gets
        media.read(0, 1)
        assert server.gets == gets


def test_server_without_ranges_costs_a_copy_that_goes_away(
    tmp_path: Path, film: Path, jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with FileServer(film.read_bytes(), ranges=False) as server:
        with reading(server.url) as media:
            assert isinstance(media, Remote)
            assert media.copied
            assert jail.call("index", media, 60) == jail.call("index", film, 60)
        assert list(tmp_path.iterdir()) == []


def test_server_that_gives_up_ranges_midway_costs_a_copy(film: Path, jail: Jail) -> None:
    with FileServer(film.read_bytes()) as server, reading(server.url) as media:
        server.ranges = False
        assert jail.call("index", media, 60) == jail.call("index", film, 60)
        assert isinstance(media, Remote)
        assert media.copied


def test_full_disk_is_no_fault_of_the_source(film: Path, jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with (
        FileServer(film.read_bytes()) as server,
        pytest.raises(OSError, match="No space"),
        reading(server.url) as media,
    ):
        server.ranges = False
        jail.call("index", media, 60)


Fault = Callable[[int], int]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda number: 403 if number > 5 else 0, "answered 403"),
        (lambda number: 404 if number > 5 else 0, "does not exist"),
        (lambda number: 503 if number > 5 else 0, "answered 503"),
        (lambda number: BREAK_OFF if number > 5 else 0, "broke off"),
        (lambda number: STALL if number > 5 else 0, "timed out"),
        (lambda number: STALL, "timed out"),
        (lambda number: 503, "answered 503"),
    ],
    ids=["token expires", "goes away", "fails", "breaks off", "stalls", "stalls at once", "fails at once"],
)
def test_failing_server_is_told_as_such_and_the_next_source_is_read(
    film: Path, jail: Jail, monkeypatch: pytest.MonkeyPatch, fault: Fault, reason: str
) -> None:
    if reason == "timed out":
        monkeypatch.setattr(fetch, "_PATIENCE", 0.2)
    with FileServer(film.read_bytes(), fault=fault) as server:
        with pytest.raises(Unreachable, match=reason) as raised, reading(f"{server.url}/a.mp4?token=word") as media:
            jail.call("index", media, 60)
        assert "word" not in str(raised.value)
    assert jail.call("index", film, 60)["frames"] == 130


def test_server_that_goes_away_midway_is_unreachable(film: Path, jail: Jail) -> None:
    server = FileServer(film.read_bytes())
    with pytest.raises(Unreachable), reading(server.url) as media:
        server.fault = lambda number: BREAK_OFF
        server.__exit__()
        jail.call("index", media, 60)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_at_once_is_final(film: Path, status: int) -> None:
    with FileServer(film.read_bytes(), fault=lambda number: status) as server:
        with pytest.raises(StoreError) as raised, reading(server.url):
            pass
        assert not isinstance(raised.value, Unreachable)
        assert server.gets == 1


@pytest.mark.usefixtures("no_disk")
def test_fault_that_passes_costs_nothing(film: Path, jail: Jail) -> None:
    faults = {2: 503, 3: 429, 5: BREAK_OFF, 6: 500}
    with (
        FileServer(film.read_bytes(), fault=lambda number: faults.get(number, 0)) as server,
        reading(server.url) as media,
    ):
        assert jail.call("index", media, 60) == jail.call("index", film, 60)


@pytest.mark.parametrize("change", ["tag", "size"])
def test_file_that_changes_midway_is_told_as_such(film: Path, jail: Jail, change: str) -> None:
    told = pytest.raises(Unreachable, match="changed while it was read")
    with FileServer(film.read_bytes()) as server, told, reading(server.url) as media:
        if change == "tag":
            server.tag = '"two"'
        else:
            server.data += b"more"
        jail.call("index", media, 60)


def test_file_that_changes_before_its_copy_is_told_as_such(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = pytest.raises(Unreachable, match="changed while it was read")
    with FileServer(film.read_bytes()) as server, told, reading(server.url) as media:
        assert isinstance(media, Remote)
        monkeypatch.setattr(fetch, "_MOST_READ", 0)
        monkeypatch.setattr(fetch, "_KEPT", 1)
        server.tag = '"two"'
        media.read(2 * BLOCK, 1)


def test_too_large_a_file_is_refused_before_it_is_read() -> None:
    with FileServer(bytes(100 * BLOCK)) as server:
        with pytest.raises(StoreError, match="limit"), source(server.url, max_bytes=99 * BLOCK):
            pass
        assert server.sent_bytes <= BLOCK


@pytest.mark.parametrize(
    "data", [b"", b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b"words"]
)
def test_remote_file_that_is_no_media_is_refused(tmp_path: Path, jail: Jail, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(MediaError) as local:
        jail.call("index", path, 60)
    with FileServer(data) as server, pytest.raises(MediaError) as remote, reading(f"{server.url}/a.mp4") as media:
        jail.call("index", media, 60)
    assert str(remote.value) == str(local.value)


def test_local_source_is_its_path(film: Path) -> None:
    with reading(str(film)) as media:
        assert media == film
        assert fetch.size_of(media) == film.stat().st_size


def test_url_is_asked_for_as_it_stands(tmp_path: Path, serve: Callable[[Path], str]) -> None:
    (tmp_path / "a::b c%.mp4").write_bytes(b"bytes")
    (tmp_path / "a").write_bytes(b"another")
    uri = f"{serve(tmp_path)}/a::b%20c%25.mp4"
    with fetched(uri, max_bytes=10) as path:
        assert path.read_bytes() == b"bytes"
    with source(uri, max_bytes=10) as media:
        assert isinstance(media, Remote)
        assert media.read(0, 10) == b"bytes"


@pytest.mark.usefixtures("no_disk")
@pytest.mark.parametrize("flags", ["faststart", ""])
def test_object_of_s3_gives_what_the_local_film_gives(
    tmp_path: Path, film: Path, scanned: Scan, bucket: str, flags: str
) -> None:
    data = remuxed(film, tmp_path / "a.mp4", flags).read_bytes()
    Place(bucket).commit("films/a b.mp4", data)
    with reading(f"{bucket}/films/a b.mp4") as media:
        assert isinstance(media, Remote)
        assert scanned(media) == scanned(film)
        assert media.asked_bytes < 1.25 * len(data)


@pytest.mark.parametrize("change", ["content", "size", "gone"])
def test_object_that_changes_midway_is_told_as_such(film: Path, jail: Jail, bucket: str, change: str) -> None:
    data = film.read_bytes()
    Place(bucket).commit("a.mp4", data)
    reason = "does not exist" if change == "gone" else "changed while it was read"
    with pytest.raises(Unreachable, match=reason), reading(f"{bucket}/a.mp4") as media:
        if change == "gone":
            Place(bucket).remove("a.mp4")
        else:
            Place(bucket).commit("a.mp4", bytes(len(data)) if change == "content" else data[: 2 * BLOCK])
        jail.call("index", media, 60)


def test_object_that_is_not_there_is_refused_for_good(bucket: str) -> None:
    for uri, reason in ((f"{bucket}/a.mp4", "does not exist"), ("s3://no-such-bucket/a.mp4", "does not exist")):
        with pytest.raises(StoreError, match=reason) as raised, reading(uri):
            pass
        assert not isinstance(raised.value, Unreachable)


def test_object_store_that_goes_away_midway_is_unreachable(
    film: Path, jail: Jail, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import aiobotocore.httpsession
    from botocore.exceptions import EndpointConnectionError

    async def gone(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1/bucket/a.mp4?word")

    Place(bucket).commit("a.mp4", film.read_bytes())
    with pytest.raises(Unreachable, match="no server answers there") as raised, reading(f"{bucket}/a.mp4") as media:
        monkeypatch.setattr(aiobotocore.httpsession.AIOHTTPSession, "send", gone)
        jail.call("index", media, 60)
    assert "word" not in str(raised.value)
