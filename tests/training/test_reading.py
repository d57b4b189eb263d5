"""How bytes come over a network that fails: what is asked for again, what is a sample's fault, what ends a run."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import squares, write_dataset

from curation import addresses
from curation.errors import UserError
from tests import servers
from tests.proxies import DROP, HALF, PASS, SLOW_DOWN, Proxy
from tests.servers import FileServer
from training.stream import ahead, fetching, members, reading, remote
from training.stream.faults import Failure, SampleError, Tolerance
from training.stream.opening import Opened


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips in two shards; their folder."""
    return write_dataset(tmp_path_factory.mktemp("many"), squares(12), per_shard=6).parent


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", [0.01] * 6)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of a second is a failure."""
    monkeypatch.setattr(addresses, "READ_S", 1.0)


@pytest.fixture
def server(many: Path, tmp_path: Path) -> Iterator[FileServer]:
    """A copy of the dataset on a server."""
    shutil.copytree(many, tmp_path / "served")
    with FileServer(folder=tmp_path / "served", only=".tar") as found:
        yield found


Open = Callable[..., Opened]
ALL = list(range(12))


def taken(data: Opened) -> list[str]:
    """The sha256 of all media, or the fault of those that cannot be had."""
    found = []
    for number in range(len(data)):
        try:
            found.append(hashlib.sha256(data.media(data.entry(number))).hexdigest())
        except SampleError as error:
            found.append(error.fault)
    return found


def sums(data: Opened) -> list[str]:
    return [str(data.entry(number).sha256) for number in range(len(data))]


FAULTS = {
    "errors": 503,
    "too many": 429,
    "breaks off": servers.BREAK_OFF,
    "says less": servers.SAY_LESS,
    "other bytes": servers.OTHER_BYTES,
}


@pytest.mark.parametrize("read", ["shards", "members"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_in_passing_is_asked_for_again(
    server: FileServer,
    opened: Open,
    read: str,
    fault: str,
) -> None:
    data = opened(server.url, read=read)
    server.fault = lambda number: FAULTS[fault] if number % 3 == 1 else 0
    assert taken(data) == sums(data)


@pytest.mark.parametrize("fault", ["breaks off", "other bytes", "says less", "errors"])
def test_so_it_is_where_there_are_no_ranges(server: FileServer, opened: Open, fault: str) -> None:
    server.ranges = False
    data = opened(server.url, read="members")
    server.fault = lambda number: FAULTS[fault] if number % 3 == 1 else 0
    assert taken(data) == sums(data)


@pytest.mark.parametrize("fault", [servers.STALL, servers.SAY_MORE])
@pytest.mark.parametrize("ranges", [True, False])
def test_silence_is_a_failure(
    server: FileServer,
    opened: Open,
    impatient: None,
    fault: int,
    ranges: bool,
) -> None:
    server.ranges = ranges
    data = opened(server.url, read="members")
    server.fault = lambda number: fault if number == (1 if ranges else 2) else 0
    assert taken(data) == sums(data)
    assert data.traffic.retries or fault == servers.SAY_MORE  # what is more than was asked for is not waited for


def test_a_slow_server_is_no_failure(server: FileServer, opened: Open, impatient: None) -> None:
    data = opened(server.url, read="shards")
    server.fault = lambda number: servers.THROTTLE  # a tar takes more than a second
    entry = data.entry(0)
    assert hashlib.sha256(data.media(entry)).hexdigest() == entry.sha256


@pytest.mark.parametrize("read", ["shards", "members"])
def test_a_server_that_stays_away_ends_the_run_with_one_line(
    server: FileServer,
    opened: Open,
    read: str,
) -> None:
    data = opened(server.url, read=read)
    server.fault = lambda number: 503
    with pytest.raises(UserError, match=r"cannot read http://127.0.0.1:\d+/shards/00000.tar: the server answered 503"):
        data.media(data.entry(0))
    server.fault = lambda number: 403
    with pytest.raises(UserError, match=r"the server answered 403"):
        data.media(data.entry(0))


def damaged(folder: Path) -> list[str]:
    """Damage the first shard for good; what should be found in its samples."""
    tar = folder / "shards" / "00000.tar"
    index = open_index(folder)
    content = bytearray(tar.read_bytes())
    content[index[1][0] + 5] ^= 1
    del content[index[4][0] + 7 :]
    tar.write_bytes(content)
    (folder / "shards" / "00001.tar").unlink()
    good = {number: index[number][1] for number in (0, 2, 3)}
    return [good[0], "checksum", good[2], good[3], "truncated", "truncated", *["missing"] * 6]


def open_index(folder: Path) -> list[tuple[int, str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "shards" / "00000.parquet")
    return list(zip(table["offset"].to_pylist(), table["sha256"].to_pylist()))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("read", ["shards", "members"])
def test_damage_is_found_alike_however_bytes_are_read(
    server: FileServer,
    opened: Open,
    tmp_path: Path,
    ranges: bool,
    read: str,
) -> None:
    expected = damaged(tmp_path / "served")
    server.ranges = ranges
    assert taken(opened(f"{tmp_path}/served")) == expected
    data = opened(server.url, read=read)
    data.prefetch([data.entry(number) for number in (0, 1, 4)])
    assert taken(data) == expected
    assert taken(data) == expected


def test_a_copy_that_was_damaged_on_the_disk_is_fetched_again(server: FileServer, opened: Open) -> None:
    for server.ranges in (True, False):
        data = opened(server.url, read="shards")
        assert taken(data) == sums(data)
        for copy in data._cache.folder.glob("*.tar"):
            copy.write_bytes(copy.read_bytes()[:3000])
        assert taken(data) == sums(data)


def test_members_are_fetched_ahead_neighbours_together(server: FileServer, opened: Open) -> None:
    data = opened(server.url, read="members")
    entries = [data.entry(number) for number in (7, 0, 8, 1, 2, 3)]
    before = server.gets
    data.prefetch(entries)
    data.prefetch(entries)
    for entry in entries:
        assert hashlib.sha256(data.media(entry)).hexdigest() == entry.sha256
    assert server.gets - before == 2  # a run in each of the two tars
    assert data.traffic.snapshot()["ahead"] == len(entries)
    used = sum(entry.bytes for entry in entries)
    assert data.traffic.bytes_used == used
    data.media(entries[0])  # what was taken is not kept
    assert server.gets - before == 3


def test_what_is_read_ahead_is_bounded(
    server: FileServer,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = opened(server.url, read="members")
    entries = [data.entry(number) for number in ALL]
    monkeypatch.setattr(ahead, "_GAP", -1)
    monkeypatch.setattr(ahead, "_AHEAD", 3 * max(entry.bytes for entry in entries))
    for start in range(0, 12, 2):  # windows that move on, and leave behind what nobody took
        data.prefetch(entries[start : start + 4])
        assert data._reading._ahead._held <= ahead._AHEAD
    assert data.media(entries[11])
    assert taken(data) == sums(data)


def test_large_tars_come_in_the_background_while_samples_are_read(
    server: FileServer,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_SMALL", 0)
    monkeypatch.setattr(fetching, "_BLOCK", 16 << 10)
    data = opened(server.url)
    assert data.media(data.entry(0))
    assert data.traffic.hits == 0
    data.prefetch([data.entry(7)])
    until = time.monotonic() + 60
    while len(list(data._cache.folder.glob("*.tar"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    data.media(data.entry(7))
    gets = server.gets
    assert taken(data) == sums(data)
    assert server.gets == gets  # the network is needed no more
    assert data.traffic.hits == 12


def test_a_dataset_that_does_not_fit_is_read_by_members(server: FileServer, opened: Open) -> None:
    data = opened(server.url, cache_bytes=60_000, read="auto")
    assert data.remote_bytes > 60_000
    assert taken(data) == sums(data)
    assert not list(data._cache.folder.glob("*.tar"))
    roomy = opened(server.url, room=60_000)
    assert taken(roomy) == sums(roomy)
    assert not list(data._cache.folder.glob("*.tar"))


@pytest.mark.parametrize("how", ["disk", "cache", "ranges", "whole", "ahead"])
def test_a_reader_gives_any_part_of_a_member(
    server: FileServer,
    opened: Open,
    tmp_path: Path,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(members, "_BLOCK", 1000)
    monkeypatch.setattr(members, "_KEPT", 2)
    server.ranges = how != "whole"
    data = opened(f"{tmp_path}/served" if how == "disk" else server.url, read="shards" if how == "cache" else "members")
    entry = data.entry(3)
    media = data.media(entry)
    if how == "ahead":
        data.prefetch([entry])
    before = data.traffic.bytes_read
    with data.reader(entry) as file:
        for start, count in [(0, 10), (5000, 3000), (entry.bytes - 5, 100), (999, 2), (0, 0), (entry.bytes + 9, 4)]:
            assert file.seek(start) == start
            assert file.read(count) == media[start : start + count]
        file.seek(-4, os.SEEK_END)
        assert file.read() == media[-4:]
    if how in ("disk", "ranges"):
        assert data.traffic.bytes_read - before < entry.bytes + 20_000


def test_files_and_connections_are_given_back(server: FileServer, opened: Open, tmp_path: Path) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    counts = []
    for number in range(12):
        for url, read in ((f"{tmp_path}/served", "auto"), (server.url, "shards"), (server.url, "members")):
            data = opened(url, read=read)
            data.prefetch([data.entry(n) for n in ALL])
            for n in ALL[:: 1 + number % 2]:
                data.media(data.entry(n))
                data.reader(data.entry(n)).close()
            data.close()
            data._index.close()
        counts.append((handles(), threading.active_count()))
    # One that is not given back would be 18 after as many datasets; a connection more or less is chance.
    for before, after in zip(zip(*counts[:6]), zip(*counts[6:])):
        assert max(after) <= max(before) + 6


def test_s3_that_drops_breaks_off_and_slows_down_is_asked_again(
    many: Path,
    opened: Open,
    weak_bucket: tuple[str, Proxy],
) -> None:
    import s3fs

    url, proxy = weak_bucket
    s3fs.S3FileSystem().put(f"{many}/", f"{url.removeprefix('s3://')}/d/", recursive=True)
    data = opened(f"{url}/d", read="members")
    kinds = itertools.cycle((DROP, HALF, SLOW_DOWN))
    proxy.fault = lambda number, method: next(kinds) if number % 4 == 2 and method == "GET" else PASS
    data.prefetch([data.entry(n) for n in (1, 5, 9)])
    assert taken(data) == sums(data)
    assert proxy.harmed


def test_too_many_failures_end_the_run() -> None:
    failure = Failure("http://host/00000.tar", "key", "checksum", "its bytes are others")
    counts = Tolerance(max_rate=0.1)
    for _ in range(7):
        counts.count(1, [failure])  # a few are borne whatever the rate
    with pytest.raises(UserError, match=r"8 of 15 samples could not be used \(8 checksum\), the last was http://host"):
        counts.count(0, [failure])
    counts = Tolerance(max_rate=0.1)
    for _ in range(1000):
        counts.count(20, [failure])
    assert json.dumps(counts.failed) == '{"checksum": 1000}'


def test_what_ranks_have_counted_is_put_together_once() -> None:
    """Two ranks, one with all the failures; they settle twice, and judge alike."""
    failure = Failure("http://host/00000.tar", "key", "checksum", "its bytes are others")
    ranks = [Tolerance(max_rate=0.1), Tolerance(max_rate=0.1)]

    def settle() -> None:
        said: list[Sequence[int]] = []
        everyone = threading.Barrier(2)

        def total(numbers: Sequence[int]) -> list[int]:
            said.append(numbers)
            everyone.wait(timeout=60)
            return [sum(each) for each in zip(*said)]

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda rank: rank.settle(total), ranks))

    for _ in range(2):
        ranks[0].count(10, [failure] * 3)
        ranks[1].count(10, [])
        settle()
    assert [(rank.tried, dict(rank.failed)) for rank in ranks] == [(46, {"checksum": 6})] * 2
    ranks[0].count(10, [failure])
    ranks[1].count(10, [failure])
    with pytest.raises(UserError, match=r"8 of 68 samples could not be used \(8 checksum\)"):
        settle()
    again = Tolerance(0.1, 46, ranks[0].failed)
    again.settle(list)
    assert again.tried == 46  # what a resumed run begins with is not counted again
