"""Whatever a file does to the decoder, it costs that file alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from curation.video.jail import Jail
from curation.video.probe import MediaError
from tests import films
from tests.films import RED, Scene

SETTINGS = {
    "detector": "adaptive",
    "threshold": None,
    "min_frames": 16,
    "max_seconds": 20,
    "thumbnails": 3,
    "thumbnail_size": 128,
}


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.write(tmp_path / "a.mp4", [Scene(40, RED)])


def test_answers_hold_the_pictures_byte_for_byte(film: Path) -> None:
    from curation.video.scan import Settings, scan

    assert Jail(4096).call("scan", film, 60, settings=SETTINGS) == scan(film, Settings(**SETTINGS))


def test_a_decoder_that_is_killed_costs_one_call_and_the_next_works(film: Path) -> None:
    jail = Jail(4096)
    jail.call("scan", film, 60, settings=SETTINGS)
    assert jail._child is not None
    child = jail._child.pid
    os.kill(child, signal.SIGSTOP)  # so that it is surely at work when it is killed
    threading.Timer(0.3, lambda: os.kill(child, signal.SIGKILL)).start()
    with pytest.raises(MediaError, match="died .SIGKILL"):
        jail.call("scan", film, 60, settings=SETTINGS)
    assert jail.call("scan", film, 60, settings=SETTINGS)["frames"] == 40


def test_a_decoder_that_hangs_is_ended_at_its_time_limit(film: Path) -> None:
    jail = Jail(4096)
    jail.call("scan", film, 60, settings=SETTINGS)
    assert jail._child is not None
    os.kill(jail._child.pid, signal.SIGSTOP)
    with pytest.raises(MediaError, match="longer than 1 s"):
        jail.call("scan", film, 1, settings=SETTINGS)
    assert jail.call("scan", film, 60, settings=SETTINGS)["frames"] == 40


def test_a_file_that_never_ends_is_ended_at_the_time_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "endless.mkv"
    os.mkfifo(pipe)
    jail = Jail(4096)
    # A writer that opens the pipe and says nothing: reading from it blocks for ever.
    writers: list[BinaryIO] = []
    threading.Thread(target=lambda: writers.append(pipe.open("wb")), daemon=True).start()
    with pytest.raises(MediaError, match="longer than"):
        jail.call("scan", pipe, 2, settings=SETTINGS)


@pytest.mark.skipif(sys.platform != "linux", reason="the address space can only be bounded on Linux")
def test_memory_of_the_decoder_is_bounded(tmp_path: Path) -> None:
    huge = films.write(tmp_path / "huge.mp4", [Scene(2, RED)], size=(7680, 4320))
    with pytest.raises(MediaError, match="needs more than 540 MiB"):
        Jail(540).call("scan", huge, 60, settings=SETTINGS)
    assert Jail(4096).call("scan", huge, 60, settings=SETTINGS)["frames"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="children follow their parent's death on Linux only")
def test_child_dies_with_its_parent(film: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from curation.video.jail import Jail;"
        f"jail = Jail(4096); jail.call('scan', Path({str(film)!r}), 60, settings={SETTINGS!r});"
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
