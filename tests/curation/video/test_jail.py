"""Whatever a file does to the decoder, it costs that file alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from curation import recipe, tables
from curation.phases import Unit
from curation.phases.split import Split
from curation.video import jpegs
from curation.video.jail import Jail, _Gone, _part
from curation.video.probe import MediaError
from curation.video.scan import scan
from curation.video.settings import Settings
from tests import films
from tests.films import BLUE, RED, Scene


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.write(tmp_path / "a.mp4", [Scene(40, RED)])


@pytest.fixture
def jail() -> Iterator[Jail]:
    jail = Jail(4096)
    yield jail
    jail.close()


def _scan(jail: Jail, film: Path, timeout_s: float = 60) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        found = jail.call("scan", film, timeout_s, settings=asdict(Settings()), folder=folder, segment_s=None)
        for clip in found["clips"]:
            clip["thumbnails"] = list(jpegs.read(found["pictures"], [place[1:3] for place in clip["thumbnails"]]))
        return dict(found, pictures=None)


def _pid(jail: Jail) -> int:
    assert jail._child is not None
    return jail._child.pid


def _shoot(jail: Jail, times: int) -> threading.Thread:
    """Kills the child with a SIGKILL while it is at work, and those that follow it, so many in all."""
    os.kill(_pid(jail), signal.SIGSTOP)  # so that it is surely at work when it is killed

    def kill() -> None:
        killed: set[int] = set()
        time.sleep(0.3)
        while len(killed) < times:
            child = jail._child
            if child is not None and child.pid not in killed:
                os.kill(child.pid, signal.SIGKILL)
                killed.add(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_answers_are_those_of_the_function_itself(jail: Jail, film: Path) -> None:
    assert _scan(jail, film) == scan(film, Settings()) | {"pictures": None}


def test_a_decoder_that_is_killed_once_costs_nothing(jail: Jail, film: Path) -> None:
    undisturbed = _scan(jail, film)
    first = _pid(jail)
    shooter = _shoot(jail, 1)
    assert _scan(jail, film) == undisturbed
    shooter.join()
    assert _pid(jail) != first


def test_a_decoder_that_is_killed_twice_costs_one_call_and_the_next_works(jail: Jail, film: Path) -> None:
    _scan(jail, film)
    shooter = _shoot(jail, 2)
    with pytest.raises(MediaError, match=r"^the decoder process died twice \(SIGKILL\)$"):
        _scan(jail, film)
    shooter.join()
    assert _scan(jail, film)["frames"] == 40


def test_a_source_that_kills_its_decoder_fails_with_the_reason_and_the_others_do_not(
    tmp_path: Path, film: Path
) -> None:
    split = Split(recipe.load(str(tmp_path)))
    split.setup()
    films.write(tmp_path / "b.mp4", [Scene(40, RED)])
    rows = [
        dict.fromkeys(tables.INPUTS.names) | {"source_id": name, "uri": str(tmp_path / name), "kind": "video"}
        for name in ("a.mp4", "b.mp4")
    ]
    jail = split._scanner.jail
    _scan(jail, film)
    shooter = _shoot(jail, 2)
    sources = split.process(Unit(0, ""), rows, tmp_path).tables["sources"]
    shooter.join()
    jail.close()
    assert [source["status"] for source in sources] == ["failed", "ok"]
    assert sources[0]["error"] == "the decoder process died twice (SIGKILL)"
    assert sources[0]["clips"] == 0 and sources[1]["clips"] > 0


def test_a_decoder_that_hangs_is_ended_at_its_time_limit(jail: Jail, film: Path) -> None:
    _scan(jail, film)
    os.kill(_pid(jail), signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(MediaError, match="longer than 1 s"):
        _scan(jail, film, 1)
    assert time.monotonic() - began < 1.8  # and it is not tried again
    assert _scan(jail, film)["frames"] == 40


def test_a_file_that_never_ends_is_ended_at_the_time_limit(jail: Jail, tmp_path: Path) -> None:
    pipe = tmp_path / "endless.mkv"
    os.mkfifo(pipe)
    # A writer that opens the pipe and says nothing: reading from it blocks for ever.
    writers: list[BinaryIO] = []
    threading.Thread(target=lambda: writers.append(pipe.open("wb")), daemon=True).start()
    with pytest.raises(MediaError, match="longer than"):
        _scan(jail, pipe, 2)


class _Elsewhere:
    """A film that is not on the disk; its server takes `seconds` for every part."""

    name = "a.mp4"

    def __init__(self, data: bytes, seconds: float = 0.0):
        self._data, self._seconds = data, seconds
        self.size, self.waited_s, self.reads = len(data), 0.0, 0

    def read(self, offset: int, count: int) -> bytes:
        self.reads += 1
        time.sleep(self._seconds)
        self.waited_s += self._seconds
        return self._data[offset : offset + count]


def test_waiting_for_a_server_is_not_charged_to_the_decoder(jail: Jail, film: Path) -> None:
    local = jail.call("index", film, 60)
    source = _Elsewhere(film.read_bytes(), 1.2)
    assert jail.call("index", source, 2) == local
    assert source.waited_s > 2


def test_a_second_try_reads_a_remote_file_again(jail: Jail, film: Path) -> None:
    local = jail.call("index", film, 60)

    class Killing(_Elsewhere):
        def read(self, offset: int, count: int) -> bytes:
            data = super().read(offset, count)
            if self.reads == 1:
                os.kill(_pid(jail), signal.SIGKILL)
            return data

    source = Killing(film.read_bytes())
    assert jail.call("index", source, 60) == local
    assert source.reads > 1


def test_error_of_a_source_is_no_error_of_the_decoder(jail: Jail, film: Path) -> None:
    class Broken(_Elsewhere):
        def read(self, offset: int, count: int) -> bytes:
            if self.reads == 1:
                raise OSError(28, "No space left on device")
            return super().read(offset, count)

    with pytest.raises(OSError, match="No space left"):
        jail.call("index", Broken(film.read_bytes()), 60)
    assert jail.call("index", film, 60)["frames"] == 40


def test_a_decoder_that_takes_no_bytes_is_ended_at_its_time_limit(jail: Jail, film: Path) -> None:
    jail.call("index", film, 60)

    class Stopping(_Elsewhere):
        def read(self, offset: int, count: int) -> bytes:
            os.kill(_pid(jail), signal.SIGSTOP)
            return bytes(1 << 20)  # more than a pipe holds

    with pytest.raises(MediaError, match="longer than 1 s"):
        jail.call("index", Stopping(film.read_bytes()), 1)
    assert jail.call("index", film, 60)["frames"] == 40


@pytest.mark.parametrize("wanted", [None, [0], [0, 0], [-1, 5], [0, 1 << 40], [0, "5"], ["/etc/passwd", 5], {"a": 1}])
def test_a_decoder_can_ask_for_parts_of_its_file_only(wanted: object) -> None:
    with pytest.raises(_Gone):
        _part(wanted)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space can only be bounded on Linux")
def test_memory_of_the_decoder_is_bounded(jail: Jail, tmp_path: Path) -> None:
    huge = films.write(tmp_path / "huge.mp4", [Scene(2, RED)], size=(7680, 4320))
    small = Jail(540)
    with pytest.raises(MediaError, match="needs more than 540 MiB"):
        _scan(small, huge)
    small.close()
    assert _scan(jail, huge)["frames"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the address space can only be bounded on Linux")
def test_memory_that_earlier_files_took_is_not_charged_to_a_later_one(tmp_path: Path, film: Path) -> None:
    large = films.write(tmp_path / "large.mp4", [Scene(2, RED)], size=(3840, 2160))
    damaged = films.cut_off(films.write(tmp_path / "damaged.mkv", [Scene(40, RED), Scene(200, BLUE)]), 0.5)
    jail = Jail(4096)
    _scan(jail, large)
    needed = int(_peak_mb(jail))
    jail.close()
    # The large film takes nearly all; what is wrong with the damaged one could then be a want of memory.
    tight = Jail(round(needed / 0.93))
    assert _scan(tight, large)["frames"] == 2
    first = _pid(tight)
    assert _scan(tight, damaged)["warning"]
    assert _pid(tight) != first
    tight.close()


def _peak_mb(jail: Jail) -> float:
    status = Path(f"/proc/{_pid(jail)}/status").read_text()
    return int(status.partition("VmPeak:")[2].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that takes no bytes is found on Linux only")
def test_a_full_disk_is_no_fault_of_the_file(jail: Jail, film: Path, tmp_path: Path) -> None:
    (tmp_path / "whole.jpegs").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        jail.call("scan", film, 60, settings=asdict(Settings()), folder=str(tmp_path), segment_s=None)
    assert _scan(jail, film)["frames"] == 40


@pytest.mark.skipif(sys.platform != "linux", reason="children follow their parent's death on Linux only")
def test_child_dies_with_its_parent(film: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from curation.video.jail import Jail;"
        f"jail = Jail(4096); jail.call('index', Path({str(film)!r}), 60);"
        "print(jail._child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        raise AssertionError("the child outlived its parent")
