"""Whole shards on the local disk: fetched once, checked, and dropped when room is needed.

A file in the cache is named by its address and its checksum, so two datasets never meet, and a
dataset that changes is fetched again. Processes may share a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from curation.errors import StoreError, UserError
from curation.store import Place, explain, without_secrets

T = TypeVar("T")

_STALE_S = 86_400.0
_PAUSES = (0.5, 1.0, 2.0)
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def default_dir() -> Path:
    """The user's cache folder, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "reelmill")


def patiently(read: Callable[[], T]) -> T:
    """Read from a place, and again after a pause where the error may pass."""
    for pause in _PAUSES:
        try:
            return read()
        except StoreError as error:
            if isinstance(error.__cause__, _FINAL):
                raise
            time.sleep(pause)
    return read()


class Cache:
    """Files of a place as local files. Files of a local place are used where they are."""

    def __init__(self, place: Place, folder: str | None, max_bytes: int):
        self.place = place
        self.folder = Path(folder) if folder else default_dir()
        self.max_bytes = max_bytes
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._readers: defaultdict[Path, int] = defaultdict(int)
        self._checked: set[str] = set()
        self._swept = False

    @contextlib.contextmanager
    def open(self, path: str, *, sha256: str, size: int) -> Iterator[IO[bytes]]:
        """A file of the place, open for reading; it stays in the cache for as long.

        Raises:
            UserError: it cannot be read, or its size or sha256 is another one.
        """
        local = self._local(path, sha256)
        with self._lock:
            self._readers[local] += 1
        try:
            with self._opened(local, path, sha256, size) as file:
                yield file
        finally:
            with self._lock:
                self._readers[local] -= 1

    def _local(self, path: str, sha256: str) -> Path:
        if self.place.local:
            return Path(self.place.url(path))
        name = hashlib.sha256(f"{self.place.url(path)}\0{sha256}".encode()).hexdigest()
        return self.folder / f"{name}.tar"

    def _opened(self, local: Path, path: str, sha256: str, size: int) -> IO[bytes]:
        with self._lock:
            one_at_a_time = self._locks[path]
        with one_at_a_time:
            if self.place.local:
                if path not in self._checked:
                    self._check(self._read(path), path, sha256, size)
                    self._checked.add(path)
                return open(local, "rb")
            while True:  # another process may drop the file before it is opened
                with contextlib.suppress(FileNotFoundError):
                    os.utime(local)  # the cache drops what was used longest ago
                    return open(local, "rb")
                self._fetch(local, path, sha256, size)

    def _read(self, path: str) -> bytes:
        return patiently(lambda: self.place.read(path))

    def _fetch(self, local: Path, path: str, sha256: str, size: int) -> None:
        content = self._read(path)
        if hashlib.sha256(content).hexdigest() != sha256:
            content = self._read(path)  # a transfer may have been cut short
        self._check(content, path, sha256, size)
        self._make_room(len(content))
        try:
            Place(self.folder).commit(local.name, content)
        except StoreError as error:
            raise UserError(f"{error} (the cache of shards; data.cache_dir sets another place)") from error

    def _check(self, content: bytes, path: str, sha256: str, size: int) -> None:
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            where = without_secrets(self.place.url(path))
            raise UserError(f"{where} does not have the size and sha256 of the manifest; has the dataset changed?")

    def _make_room(self, needed: int) -> None:
        """Drop the files that were not used for longest, but none that is open."""
        with self._lock:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._sweep()
                files = [(file, file.stat()) for file in self.folder.glob("*.tar")]
            except FileNotFoundError:  # another process made room at the same time
                files = []
            except OSError as error:
                raise UserError(f"data.cache_dir: cannot use {self.folder}: {explain(error)}") from error
            held = sum(stat.st_size for _, stat in files)
            for file, stat in sorted(files, key=lambda item: item[1].st_mtime_ns):
                if held + needed <= self.max_bytes:
                    return
                if not self._readers[file]:
                    file.unlink(missing_ok=True)
                    held -= stat.st_size

    def _sweep(self) -> None:
        """Remove what killed processes left half-written, once."""
        if self._swept:
            return
        self._swept = True
        for part in self.folder.glob(".*.part"):
            if time.time() - part.stat().st_mtime > _STALE_S:
                part.unlink(missing_ok=True)
