"""Files on the local disk, made once and used by all processes of a node: bounded in bytes, safe to be killed.

A file has a name that says what it is (of an address and a version), and is whole or not there: it is made under a
temporary name, at its full length from the start so that its room is taken, and renamed. Locks are the system's, which
gives them back when a process ends:
- `.lock` is held while room is made and while a file gets its name, a moment at a time;
- `.lock-ENDING-XX` while a file with this ending whose name begins with XX is made, so that others wait for it
  instead of making it too;
- every unfinished file by its maker: what is not locked was left by a killed process, and goes away;
- every finished file, shared, by those who read it: it is not dropped.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from curation.errors import UserError
from curation.store import explain

# The names of what is made here. Nothing else in the folder is counted, let alone dropped.
_WHOLE = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_PART = re.compile(r"\.[0-9a-f]{64}\.[a-z]+\.[0-9a-f]{32}\.part")
_POLL_S, _PATIENCE_S = 0.05, 600.0
# Bytes for which room is made at a time where a file's length is not known.
_STEP = 16 << 20


def default_dir() -> Path:
    """The user's cache folder, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "reelmill")


def named(ending: str, *parts: str) -> str:
    """The name of a file that all of these tell from others."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest() + ending


class Cache:
    """Files by name in a folder, at most `max_bytes` of them; those that were not used for longest go first."""

    def __init__(self, folder: str | os.PathLike[str] | None, max_bytes: int):
        self.folder = Path(folder) if folder else default_dir()
        self.max_bytes = max_bytes

    def open(self, name: str) -> IO[bytes] | None:
        """A finished file, which stays for as long as it is open; None where there is none.

        Raises:
            UserError: the folder cannot be used.
        """
        with self._telling():
            try:
                file = open(self.folder / name, "rb")  # noqa: SIM115
            except FileNotFoundError:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
                os.utime(file.fileno())
            except BaseException:
                file.close()
                raise
            return file

    @contextlib.contextmanager
    def making(self, name: str, size: int, *, wait: bool = True) -> Iterator[Part | None]:
        """A file to write, which appears when the block ends without an error.

        None where it is there by now, or where there is no room and `wait` is false. Others who want to make the same
        file wait here; with `wait`, this also waits for room that files in the making hold.

        Args:
            size: bytes for which room is made; more is found, or not, while the file is written.

        Raises:
            UserError: the folder cannot be used, is full, or may not hold so much.
        """
        with self._telling():
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked(f".lock-{name.rpartition('.')[2]}-{name[:2]}"):
            made = self.open(name)
            if made:
                made.close()
                yield None
                return
            part = self._part(name, size, wait)
            if part is None:
                yield None
                return
            try:
                yield part
                with self._telling():
                    part.finish(self.folder / name)
            finally:
                part.drop()

    def drop(self, name: str) -> None:
        """Forget a file, for instance one that was damaged."""
        with self._telling():
            (self.folder / name).unlink(missing_ok=True)

    def _part(self, name: str, size: int, wait: bool) -> Part | None:
        until = time.monotonic() + _PATIENCE_S
        while True:
            with self._telling(), self._locked(".lock"):
                if self._make_room(size):
                    return Part(self, name, size)
            if not wait:
                return None
            if size > self.max_bytes or time.monotonic() > until:
                raise self._too_small(size)
            time.sleep(_POLL_S)

    def _too_small(self, size: int) -> UserError:
        return UserError(
            f"data.cache_bytes: {self.max_bytes} bytes are too few for a file of {size} bytes that must be kept whole"
        )

    def _make_room(self, needed: int) -> bool:
        """Drop what was not used for longest, and what killed processes left. The lock is held."""
        files: list[tuple[int, int, Path]] = []
        held = 0
        with os.scandir(self.folder) as found:
            for item in found:
                part = _PART.fullmatch(item.name)
                if not part and not _WHOLE.fullmatch(item.name):
                    continue
                path = Path(item.path)
                if part and _idle(path):
                    path.unlink(missing_ok=True)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    stat = item.stat()
                    held += stat.st_size
                    if not part:
                        files.append((stat.st_mtime_ns, stat.st_size, path))
        for _, size, path in sorted(files):
            if held + needed <= self.max_bytes:
                break
            if _idle(path):
                path.unlink(missing_ok=True)
                held -= size
        return held + needed <= self.max_bytes

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with self._telling():
            lock = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            more = "; it holds less than data.cache_bytes allows" if error.errno == errno.ENOSPC else ""
            raise UserError(f"data.cache_dir: cannot use {self.folder}: {explain(error)}{more}") from error


class Part:
    """A file in the making."""

    def __init__(self, cache: Cache, name: str, size: int):
        self._cache = cache
        self.path = cache.folder / f".{name}.{uuid.uuid4().hex}.part"
        self._file = open(self.path, "w+b")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.truncate(self._file.fileno(), size)
        self._size = size

    def write(self, piece: bytes) -> None:
        """Add to the file.

        Raises:
            UserError: the disk is full, or the cache may not hold so much.
        """
        size = self._file.tell() + len(piece)
        with self._cache._telling():
            if size > self._size:
                self._grow(size)
            self._file.write(piece)

    def _grow(self, size: int) -> None:
        with self._cache._locked(".lock"):
            for wanted in (size + _STEP, size):
                if self._cache._make_room(wanted - self._size):
                    os.truncate(self._file.fileno(), wanted)
                    self._size = wanted
                    return
        raise self._cache._too_small(size)

    def restart(self) -> None:
        """Write from the beginning again."""
        self._file.seek(0)

    def finish(self, target: Path) -> None:
        self._file.flush()
        os.truncate(self._file.fileno(), self._file.tell())
        os.fsync(self._file.fileno())
        with self._cache._locked(".lock"):  # who counts files at this moment could see it under neither name
            os.rename(self.path, target)

    def drop(self) -> None:
        # A disk that is full is told of before this; what is still unwritten does not matter then.
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def _idle(path: Path) -> bool:
    """Whether nobody reads or makes a file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(file)
