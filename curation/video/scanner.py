"""A film through the jail: in one piece, or a long one in segments side by side.

Segments keep a long film from being what a whole run waits for at its end. How many are decoded at once
depends on the machine and never shows in the result.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.video.jail import Jail
from curation.video.probe import MediaError
from curation.video.remote import Source
from curation.video.settings import Settings

Opening = Callable[[], AbstractContextManager[Path | Source]]
_PAUSE_S = 0.5


class Scanner:
    """Scans films, one after the other, in jailed children.

    Args:
        memory_mb: address space of each child in MiB.
    """

    def __init__(self, memory_mb: int):
        self._memory_mb = memory_mb
        self.jail = Jail(memory_mb)
        """The child that scans, or looks at images."""
        self._peak_mb = 0.0

    @property
    def cpu_s(self) -> float:
        """User and system seconds of the living child."""
        return self.jail.cpu_s

    @property
    def peak_mb(self) -> float:
        """Largest memory of any child so far, in MiB."""
        return max(self._peak_mb, self.jail.peak_mb)

    def scan(
        self, opening: Opening, settings: Settings, folder: Path, *, timeout_s: float, segment_s: float | None
    ) -> dict[str, Any]:
        """`curation.video.scan.scan` of what `opening` opens, with its pictures in `folder`.

        Args:
            opening: gives the film; called once for each child that reads it.
            timeout_s: wall time of each child.
            segment_s: a film longer than one and a half of these is divided; None never divides.

        Raises:
            MediaError: nothing of the film can be used.
        """
        given = {"settings": asdict(settings)}
        with opening() as media:
            found = self.jail.call("scan", media, timeout_s, **given, folder=str(folder), segment_s=segment_s)
            if "segments" not in found:
                return dict(found)
            parts = self._measured(media, opening, found["segments"], given, folder, timeout_s)
            if parts is None:
                return dict(self.jail.call("scan", media, timeout_s, **given, folder=str(folder), segment_s=None))
            return dict(self.jail.call("conclude", media, timeout_s, **given, parts=parts))

    def _measured(
        self,
        media: Path | Source,
        opening: Opening,
        segments: list[dict[str, Any]],
        given: dict[str, Any],
        folder: Path,
        timeout_s: float,
    ) -> list[dict[str, Any]] | None:
        """The parts of all segments in order; None if one is of no use: a scan in one piece has to say why."""
        parts: list[dict[str, Any]] = [{} for _ in segments]
        waiting = list(reversed(range(len(segments))))
        errors: list[BaseException] = []
        over = threading.Event()

        def work(jail: Jail, media: Path | Source) -> None:
            while not over.is_set():
                try:
                    number = waiting.pop()
                except IndexError:
                    return
                stem = str(folder / f"segment{number:05d}")
                part = jail.call("measure", media, timeout_s, **given, stem=stem, segment=segments[number])
                parts[number] = part
                if not part["usable"]:
                    over.set()

        def help_out(jail: Jail) -> None:
            try:
                with _spare_core(lambda: bool(waiting) and not over.is_set()) as spare:
                    if spare:
                        with opening() as own:
                            work(jail, own)
            except MediaError:
                over.set()
            except BaseException as error:  # told to the thread that waits
                errors.append(error)
                over.set()

        # Where every opening is a copy of the whole file, one is enough.
        helpers = 0 if getattr(media, "copied", False) else min(len(segments), _cores()) - 1
        jails = [Jail(self._memory_mb) for _ in range(helpers)]
        threads = [threading.Thread(target=help_out, args=(jail,), daemon=True) for jail in jails]
        for thread in threads:
            thread.start()
        try:
            with contextlib.suppress(MediaError):
                work(self.jail, media)
                for thread in threads:
                    thread.join()
        finally:
            over.set()
            for jail in jails:
                jail.stop()
            for thread in threads:
                thread.join()
            for jail in jails:
                self._peak_mb = max(self._peak_mb, jail.peak_mb)
                jail.close()
        if errors:
            raise errors[0]
        usable = all(part.get("usable") for part in parts)
        alike = len({str(part.get("sizes")) for part in parts}) == 1
        return parts if usable and alike else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _spare_core(wanted: Callable[[], bool]) -> Iterator[bool]:
    """One of as many places as the machine has cores, shared by all processes of this user; False once not wanted."""
    places = _places()
    while places is not None and wanted():
        for core in range(_cores()):
            try:
                lock = os.open(places / str(core), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError:
                break
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            try:
                yield True
            finally:
                os.close(lock)
            return
        time.sleep(_PAUSE_S)
    yield False


def _places() -> Path | None:
    """The folder of the places, if it is ours; without one nobody helps."""
    folder = Path(tempfile.gettempdir(), f"reelmill-cores-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None
