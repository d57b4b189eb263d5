"""What a benchmark measures of a process: wall time, and CPU seconds of it and its children."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg


@dataclass
class Cost:
    """User and system seconds, and seconds on the clock."""

    cpu_s: float = 0.0
    wall_s: float = 0.0


@contextmanager
def of_children() -> Iterator[Cost]:
    """The cost of the child processes that start and end inside."""
    cost = Cost()
    wall, cpu = time.monotonic(), _children_cpu_s()
    yield cost
    cost.cpu_s, cost.wall_s = _children_cpu_s() - cpu, time.monotonic() - wall


def bare_decode(films: Iterable[Path]) -> Cost:
    """FFmpeg decodes each film to nothing on one thread; files that do not decode cost what they cost."""
    with of_children() as cost:
        for film in films:
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-threads", "1", "-i", f"file:{film}"]
            subprocess.run([*command, "-map", "0:V:0?", "-f", "null", "-"], check=False, stdin=subprocess.DEVNULL)
    return cost


def run(command: Sequence[str]) -> Cost:
    """The cost of a command that must succeed."""
    with of_children() as cost:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return cost


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
