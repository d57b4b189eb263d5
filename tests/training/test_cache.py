"""The cache of a node: bounded, shared by processes, and whole after any kill."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from curation.errors import UserError
from training.stream import cache as cache_module
from training.stream.cache import Cache, named

ROOM = 40_000


def put(cache: Cache, name: str, content: bytes) -> None:
    with cache.making(name, len(content)) as part:
        if part is not None:
            part.write(content)


def taken(cache: Cache, name: str) -> bytes | None:
    file = cache.open(name)
    if file is None:
        return None
    with file:
        return file.read()


def held(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def names(count: int) -> list[str]:
    return [named(".tar", str(number)) for number in range(count)]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", ROOM)
    first, second, third, fourth = names(4)
    for number, name in enumerate((first, second, third)):
        put(cache, name, bytes([number]) * 12_000)
        os.utime(cache.folder / name, (number, number))
    assert taken(cache, first) == bytes(12_000)  # used just now
    put(cache, fourth, b"x" * 12_000)
    assert [taken(cache, name) is not None for name in (first, second, third, fourth)] == [True, False, True, True]
    assert held(cache.folder) <= ROOM


def test_an_open_file_is_not_dropped(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ROOM)
    first, *others = names(6)
    put(cache, first, b"1" * 12_000)
    file = cache.open(first)
    assert file is not None
    with file:
        for name in others:
            put(cache, name, b"2" * 12_000)
        assert taken(cache, first) == file.read()
    assert held(tmp_path) <= ROOM


def test_files_of_others_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tar").write_bytes(bytes(2 * ROOM))
    (tmp_path / ".draft.part").write_bytes(bytes(10))
    cache = Cache(tmp_path, ROOM)
    for name in names(8):
        put(cache, name, bytes(12_000))
    assert {"thesis.tar", ".draft.part"} <= {file.name for file in tmp_path.iterdir()}


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ROOM)
    name = names(1)[0]
    with cache.making(name, ROOM + 1, wait=False) as part:
        assert part is None
    with pytest.raises(UserError, match=r"data.cache_bytes: 40000 bytes are too few for a file of 40001 bytes"):
        put(cache, name, bytes(ROOM + 1))
    with pytest.raises(UserError, match="are too few"), cache.making(name, 0) as part:
        assert part is not None
        for _ in range(5):
            part.write(bytes(10_000))
    assert not [file for file in tmp_path.iterdir() if file.stat().st_size]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    cache = Cache(tmp_path, ROOM)
    monkeypatch.setattr(cache_module.os, "fsync", full)
    with pytest.raises(UserError, match=r"data.cache_dir: cannot use .*: no space left on the device") as error:
        put(cache, names(1)[0], b"x")
    assert "\n" not in str(error.value)
    assert not [file for file in tmp_path.iterdir() if file.stat().st_size]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="data.cache_dir: cannot use"):
        put(Cache(tmp_path / "file" / "cache", ROOM), names(1)[0], b"x")


def test_one_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    made = []
    name = names(1)[0]

    def make() -> None:
        cache = Cache(tmp_path, ROOM)
        with cache.making(name, 10) as part:
            if part is not None:
                made.append(part)
                time.sleep(0.05)
                part.write(b"x" * 10)
        assert taken(cache, name) == b"x" * 10

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_a_failed_maker_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ROOM)
    name = names(1)[0]
    with pytest.raises(RuntimeError), cache.making(name, 10) as part:
        assert part is not None
        part.write(b"half")
        raise RuntimeError
    assert taken(cache, name) is None
    put(cache, name, b"whole")
    assert taken(cache, name) == b"whole"


WORKER = """
import hashlib, os, random, sys
from training.stream.cache import Cache, named
cache, numbers = Cache(sys.argv[1], int(sys.argv[2])), random.Random(int(sys.argv[3]))
print("ready", flush=True)
while True:
    number = numbers.randrange(12)
    name, content = named(".tar", str(number)), bytes([number]) * (4_000 + 500 * number)
    file = cache.open(name)
    if file:
        with file:
            found = file.read()
        if found != content:
            print("damaged", number, len(found), flush=True)
            os._exit(1)
    with cache.making(name, len(content)) as part:
        if part is not None:
            for start in range(0, len(content), 1000):
                part.write(content[start : start + 1000])
"""


def test_processes_share_it_within_its_bytes_and_are_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(7)

    def start(seed: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WORKER, str(tmp_path), str(ROOM), str(seed)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    workers = [start(seed) for seed in range(2)]
    try:
        for worker in workers:
            assert worker.stdout and worker.stdout.readline() == "ready\n"
        for seed in range(2, 4):
            time.sleep(chance.uniform(0.05, 0.2))
            victim = workers.pop(0)
            assert victim.poll() is None, victim.stdout and victim.stdout.read()
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX)  # nothing is made or dropped now
            assert held(tmp_path) <= ROOM
            os.close(lock)
            workers.append(start(seed))
            assert workers[-1].stdout and workers[-1].stdout.readline() == "ready\n"
        assert all(worker.poll() is None for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    cache = Cache(tmp_path, ROOM)
    put(cache, named(".tar", "new"), b"new")  # which sweeps
    assert not list(tmp_path.glob(".*.part"))
    for number in range(12):
        found = taken(cache, named(".tar", str(number)))
        assert found in (None, bytes([number]) * (4_000 + 500 * number))
