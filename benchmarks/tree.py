"""The cost of a command with everything that it starts, also of what outlives its parents: CPU, wall time, memory.

What a process waited for is in its own account. Two sorts of processes are in none: those whose parents ended first,
which the kernel hands to this process (a subreaper), and those of parents that ignore SIGCHLD, as Ray's do. Of the
latter the last look counts, so that at most a moment of each is missed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.1
_MEMORY_EVERY = 5
_TICKS = os.sysconf("SC_CLK_TCK")
# How long daemons may take to end after the command.
_LINGER_S = 30.0


@dataclass
class Tree:
    """What a command and its processes took."""

    cpu_s: float
    """User and system seconds of all."""
    wall_s: float
    largest_mb: float
    """Most memory of one process."""
    together_mb: float
    """Most memory of all at one moment, pages that several share counted once."""


@dataclass
class _Seen:
    parent: int
    cpu_s: float
    """Its own, and that of the children for which it waited."""
    forgets: bool
    """It ignores SIGCHLD, so that nobody accounts for its children."""


def run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Tree:
    """The cost of a command that must succeed, until all of its processes have ended.

    Raises:
        RuntimeError: it failed; the text ends with what it said.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    before, began = _waited_cpu_s(), time.monotonic()
    look = _Look()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=environment)
        while process.poll() is None:
            look.again()
            time.sleep(_LOOK_S)
        words.seek(0)
        said = words.read().decode(errors="replace")
    wall = time.monotonic() - began
    while time.monotonic() - began - wall < _LINGER_S:
        look.again()
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_LOOK_S)
        except ChildProcessError:
            break
    look.again()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said[-2000:]}")
    return Tree(_waited_cpu_s() - before + look.forgotten_s, wall, look.largest_mb, look.together_mb)


class _Look:
    """Looks at all descendants of this process, again and again."""

    def __init__(self) -> None:
        self.forgotten_s = 0.0
        self.largest_mb = 0.0
        self.together_mb = 0.0
        self._seen: dict[int, _Seen] = {}
        self._looks = 0

    def again(self) -> None:
        now = _descendants()
        for pid in self._seen.keys() - now.keys():
            gone = self._seen[pid]
            parent = self._seen.get(gone.parent)
            if parent is not None and parent.forgets:
                self.forgotten_s += gone.cpu_s
        self._seen = now
        self._looks += 1
        if self._looks % _MEMORY_EVERY == 0:
            self.largest_mb = max([self.largest_mb, *(_mb(pid, "status", "VmHWM:") for pid in now)])
            self.together_mb = max(self.together_mb, sum(_mb(pid, "smaps_rollup", "Pss:") for pid in now))


def _descendants() -> dict[int, _Seen]:
    found: dict[int, _Seen] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # Field 2, the name in brackets, may hold anything; what follows it is numbers (proc_pid_stat(5)).
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                found[int(entry)] = _Seen(int(fields[1]), sum(map(int, fields[11:15])) / _TICKS, False)
    ours = {os.getpid()}
    grown = True
    while grown:
        grown = False
        for pid, one in found.items():
            if pid not in ours and one.parent in ours:
                ours.add(pid)
                grown = True
    kept = {pid: found[pid] for pid in ours - {os.getpid()} if pid in found}
    for pid, one in kept.items():
        one.forgets = _ignores_its_children(pid)
    return kept


def _ignores_its_children(pid: int) -> bool:
    mask = _field(pid, "status", "SigIgn:")
    return bool(mask) and bool(int(mask, 16) >> (signal.SIGCHLD - 1) & 1)


def _mb(pid: int, file: str, name: str) -> float:
    return int(_field(pid, file, name) or 0) / 1024


def _field(pid: int, file: str, name: str) -> str:
    """A field of the kernel's account of a process; empty where it has ended, or may not be read."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(name)), "")


def _waited_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
