"""Places: local folders, s3://, gs:// and http(s), through fsspec, and the atomic commit of a file.

A file in a place is either whole or not there. On a local disk a commit is a temporary name in
the same folder, an fsync and a rename; on an object store it is one upload, which the store
publishes as a whole. Everything that other processes rely on is written by `Place.commit`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import posixpath
import random
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Concatenate, ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curation.addresses import SCHEMES, filesystem, is_url, publishable, without_secrets
from curation.errors import StoreError, Unreachable
from curation.faults import explain, telling

__all__ = [
    "SCHEMES",
    "Place",
    "explain",
    "filesystem",
    "is_url",
    "parquet",
    "publishable",
    "sha256_of",
    "telling",
    "without_secrets",
]

LOCK = ".lock"
_LOCK_PATIENCE_S = 2.0
_TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{32}\.part$")
_CHUNK = 1 << 20
_ROWS_WITH_PICTURES = 64
# Seconds between tries over http.
_PAUSES = (0.5, 2.0)

P = ParamSpec("P")
T = TypeVar("T")


def sha256_of(path: Path) -> str:
    """Of a local file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _patient(read: Callable[Concatenate[Place, P], T]) -> Callable[Concatenate[Place, P], T]:
    """Over http a server that does not answer is asked three times; s3fs and gcsfs ask again by themselves."""

    @functools.wraps(read)
    def reading(place: Place, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for pause in _PAUSES if place.over_http else ():
            try:
                return read(place, *args, **kwargs)
            except Unreachable:
                time.sleep(pause * random.uniform(0.5, 1.0))  # not all workers at the same moment
        return read(place, *args, **kwargs)

    return reading


class Place:
    """A folder on a disk, in an object store, or behind http (read only).

    Paths given to its methods are relative, with forward slashes.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = os.fspath(root).rstrip("/") or "/"
        self.fs, self._base = filesystem(self.root)
        self._base = self._base.rstrip("/")
        self.local = not is_url(self.root)
        self.over_http = self.root.lower().startswith(("http://", "https://"))

    def __repr__(self) -> str:
        return f"Place({self.url()!r})"

    def __reduce__(self) -> tuple[type[Place], tuple[str]]:
        return Place, (self.root,)

    def url(self, path: str = "") -> str:
        """The address of a file in this place as a user would write it, without credentials: fit for messages."""
        return publishable(posixpath.join(self.root, path) if path else self.root)

    def _full(self, path: str) -> str:
        return posixpath.join(self._base, path) if path else self._base

    @_patient
    def exists(self, path: str = "") -> bool:
        with telling("look at", self.url(path)):
            return bool(self.fs.exists(self._full(path)))

    @_patient
    def size(self, path: str) -> int:
        with telling("look at", self.url(path)):
            return int(self.fs.size(self._full(path)))

    @_patient
    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Names of the finished files in a folder, sorted; empty where the folder is missing."""
        with telling("list", self.url(folder)):
            try:
                found = self.fs.ls(self._full(folder), detail=False, refresh=True)
            except FileNotFoundError:
                return []
            names = (posixpath.basename(name.rstrip("/")) for name in found)
            return sorted(
                name for name in names if name.endswith(suffix) and name != LOCK and not _TEMPORARY.match(name)
            )

    def version(self, path: str) -> tuple[int, ...] | None:
        """What tells a file on a disk from another one of that name; None elsewhere."""
        if not self.local:
            return None
        with telling("look at", self.url(path)):
            found = os.stat(self._full(path))
            return found.st_ino, found.st_size, found.st_mtime_ns

    @_patient
    def read(self, path: str) -> bytes:
        with telling("read", self.url(path)):
            return bytes(self.fs.cat_file(self._full(path)))

    def text(self, path: str) -> str:
        return self.read(path).decode("utf-8")

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        with telling("read", self.url(path)), self.fs.open(self._full(path), "rb") as file:
            yield file

    @_patient
    def table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        with self.open(path) as file, telling("read", self.url(path)):
            # Not pq.read_table: its scanner's threads may still hold the file when the interpreter ends.
            whole = pq.ParquetFile(file, page_checksum_verification=True)
            return whole.read(columns=columns, use_threads=False)

    @_patient
    def schema(self, path: str) -> pa.Schema:
        with self.open(path) as file, telling("read", self.url(path)):
            return pq.read_schema(file)

    def commit(self, path: str, content: bytes | Path) -> None:
        """Publish a file as a whole: bytes, or a finished local file (which may be moved).

        Raises:
            StoreError: the place is full, read-only or unreachable; nothing half-written is left.
        """
        with telling("write", self.url(path)):
            if self.local:
                self._commit_local(Path(self._full(path)), content)
            elif isinstance(content, Path):
                self.fs.put_file(str(content), self._full(path))
            else:
                self.fs.pipe_file(self._full(path), content)

    def _commit_local(self, target: Path, content: bytes | Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{target.name}.{uuid.uuid4().hex}.part"
        try:
            if isinstance(content, Path):
                try:
                    os.rename(content, part)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    shutil.copyfile(content, part)
                with open(part, "rb+") as file:
                    os.fsync(file.fileno())
            else:
                with open(part, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def commit_table(self, path: str, table: pa.Table) -> None:
        """Publish a Parquet file; the same table gives the same bytes."""
        self.commit(path, parquet(table))

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """A local place for this process alone; the system gives it back when the process ends.

        Raises:
            StoreError: another process works in it.
        """
        if not self.local:
            yield
            return
        with telling("write to", self.root):
            os.makedirs(self._base, exist_ok=True)
            try:
                lock = os.open(self._full(LOCK), os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES):
                    raise
                lock = None  # nobody can write here, so there is nothing to claim
        if lock is None:
            yield
            return
        try:
            if not _locked(lock):
                raise StoreError(f"another process is working in {self.url()}; wait for it, or give another --out")
            yield
        finally:
            os.close(lock)

    def append(self, path: str, text: str) -> None:
        """Add a line to a local log. Not atomic: only for what nobody relies on."""
        assert self.local
        with telling("write", self.url(path)), open(self._full(path), "a", encoding="utf-8") as file:
            file.write(text)

    def remove(self, path: str) -> None:
        with telling("remove", self.url(path)), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self._full(path))

    def remove_empty(self, folder: str) -> None:
        """Remove a local folder if nothing is in it; object stores have no folders."""
        if self.local:
            with contextlib.suppress(OSError):
                os.rmdir(self._full(folder))

    def sweep(self, folder: str) -> None:
        """Remove what killed writers left behind in a folder."""
        if not self.local or not os.path.isdir(self._full(folder)):
            return
        for name in os.listdir(self._full(folder)):
            if _TEMPORARY.match(name):
                Path(self._full(folder), name).unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Raise a `StoreError` now, before any work, if nothing can be written here."""
        probe = f".writable-{uuid.uuid4().hex}"
        try:
            self.commit(probe, b"")
            self.remove(probe)
        except StoreError as error:
            reason = str(error).rpartition(": ")[2]
            raise StoreError(f"cannot write to {self.url()}: {reason}") from error


def _locked(lock: int) -> bool:
    """Whether the lock could be had; a process that was just killed may hold it for a moment more."""
    ends = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)


def parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    # Pictures come in small groups of rows, so that a few of them can be read without the others.
    rows = _ROWS_WITH_PICTURES if "thumbnails" in table.column_names else None
    pq.write_table(table, sink, compression="zstd", row_group_size=rows, write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())
