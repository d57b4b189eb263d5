"""Parts of files, wherever they are: asked for again after a pause where a server fails, and counted.

Two kinds of faults are told apart. A file that is not there or ends too early is a fault of the data
(`SampleError`), the same for everybody. A server that does not answer, or answers nonsense, is asked again, and ends
the run when it goes on (`Unreachable`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import random
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from curation.errors import StoreError, Unreachable
from curation.ranges import NoRanges, Server, server_of
from curation.store import filesystem, is_url, publishable, telling, without_secrets
from training.stream.cache import named
from training.stream.dataset import Traffic
from training.stream.faults import SampleError

# Seconds before a server is asked again: in all a good half minute, the time of a restart behind a load balancer.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# One answer may take this many seconds, and more where its bytes come at the least bearable rate. Nothing at all for
# `addresses.READ_S` seconds is a failure before that.
_PATIENCE_S, _SLOWEST = 60.0, 50_000
_CHUNK = 1 << 20
# Requests that nobody waits for yet, at once.
_AT_ONCE = 16
# Servers whose answers are compared with each other, at most; others begin anew.
_KEPT = 1024


class Version(NamedTuple):
    """What tells a file from another one at the same address."""

    size: int
    """Bytes."""
    tag: str
    """ETag, generation or time of change; empty where a server says nothing."""


@dataclass(frozen=True)
class Tar:
    """A tar of a dataset."""

    url: str
    bytes: int
    sha256: str | None = None
    """Known of our own."""
    version: Version | None = None
    """Known of others', which were indexed from it."""

    @property
    def local(self) -> bool:
        return not is_url(self.url)

    @property
    def name(self) -> str:
        """Its name in a cache: by full address and version."""
        return named(".tar", publishable(self.url), self.sha256 or repr(self.version and tuple(self.version)))


class Files:
    """Reads files by path or URL. For several threads; a forked process begins with connections of its own."""

    def __init__(self, traffic: Traffic):
        self.traffic = traffic
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._servers: OrderedDict[str, Server] = OrderedDict()
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._whole_only: set[str] = set()

    def get(self, url: str, start: int, end: int, version: Version | None = None) -> bytes:
        """The bytes [start, end) of a file, or what it has of them.

        Args:
            version: what `version` said of the file that is meant.

        Raises:
            NoRanges: the server gives only whole files.
            SampleError: the file is missing.
            StoreError: it cannot be read, or is of another version; `Unreachable` where no server answers, however
                often it is asked.
        """
        if is_url(url):
            loop = self._server(url).loop
            return asyncio.run_coroutine_threadsafe(self._asked(url, start, end, version), loop).result()
        return self._local(url, start, end, version)

    def ask(self, url: str, start: int, end: int, version: Version | None = None) -> Future[bytes]:
        """The same for a URL without waiting; a few are asked for at once, the others follow."""

        async def in_turn() -> bytes:
            async with self._few:
                return await self._asked(url, start, end, version)

        loop = self._server(url).loop
        return asyncio.run_coroutine_threadsafe(in_turn(), loop)

    def version(self, url: str) -> Version:
        """The size of a file, and what tells it from a later one at its address.

        Raises:
            NoRanges, SampleError, StoreError: as `get`.
        """
        if not is_url(url):
            with telling("read", url), _missing(url):
                return _of_stat(os.stat(url))
        self.get(url, 0, 1)
        return _of_server(self._server(url))

    def only_whole(self, url: str) -> bool:
        """Whether its server is known to give nothing but whole files."""
        return _origin(url) in self._whole_only

    def whole(self, url: str, most: int) -> bytes:
        """A file that should be small.

        Raises:
            SampleError, StoreError: as `get`; also if it has more than `most` bytes.
        """
        try:
            content = self.get(url, 0, most + 1)
        except NoRanges:
            content = self._patiently(url, most)
        if len(content) > most:
            raise StoreError(f"{without_secrets(url)} has more than {most} bytes")
        return content

    def _patiently(self, url: str, most: int) -> bytes:
        for pause in (*PAUSES, None):
            try:
                with self.stream(url) as (_, pieces):
                    content = b""
                    while len(content) <= most and (piece := next(pieces, b"")):
                        content += piece
                    return content
            except Unreachable:
                if pause is None:
                    raise
                self.traffic.add(retries=1)
                time.sleep(pause * random.uniform(0.5, 1.0))  # not all workers at the same moment
        raise AssertionError

    @contextlib.contextmanager
    def stream(self, url: str) -> Iterator[tuple[Version, Iterator[bytes]]]:
        """A whole file in one answer, once: its version (of size -1 where it is not told) and its bytes in pieces.

        Raises:
            SampleError, StoreError: as `get`, also from the iterator.
        """
        fs, remote = filesystem(url)
        # Over http one plain GET. fsspec would ask HEAD first where it is given no size.
        web = url.lower().startswith("http")
        with telling("read", url), _missing(url):
            incoming = fs.open(remote, "rb", **({"block_size": 0, "size": 1} if web else {}))
        headers: Any = incoming.r.headers if web else {}
        tag = headers.get("ETag", "").removeprefix("W/") or headers.get("Last-Modified", "")
        length = headers.get("Content-Length", "")
        encoded = headers.get("Content-Encoding", "identity") != "identity"

        def pieces() -> Iterator[bytes]:
            while True:
                with telling("read", url):
                    piece = incoming.read(_CHUNK)
                if not piece:
                    return
                self.traffic.add(bytes_read=len(piece))
                yield piece

        self.traffic.add(requests=1)
        with incoming:
            yield Version(int(length) if length.isdigit() and not encoded else -1, tag), pieces()

    def close(self) -> None:
        """Forget what servers said."""
        self._servers.clear()

    def _local(self, path: str, start: int, end: int, version: Version | None) -> bytes:
        with telling("read", path), _missing(path):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if version not in (None, _of_stat(os.fstat(file))):
                    raise another(path)
                end = min(end, os.fstat(file).st_size)
                data = os.pread(file, max(0, end - start), start)
                while len(data) < end - start and (more := os.pread(file, end - start - len(data), start + len(data))):
                    data += more
            finally:
                os.close(file)
        self.traffic.add(bytes_read=len(data))
        return data

    def _server(self, url: str) -> Server:
        if self._pid != os.getpid():
            self._begin()
        server = self._servers.get(url)
        if server is None:
            server = self._servers[url] = server_of(url)
            while len(self._servers) > _KEPT:
                self._servers.popitem(last=False)
        return server

    async def _asked(self, url: str, start: int, end: int, version: Version | None) -> bytes:
        if self.only_whole(url):
            raise NoRanges
        for pause in (*PAUSES, None):
            try:
                with telling("read", url), _missing(url):
                    within = _PATIENCE_S + (end - start) / _SLOWEST
                    server = self._server(url)
                    data = await asyncio.wait_for(server.get(start, end), within)
                    if version not in (None, _of_server(server)):
                        raise another(url)
                    self.traffic.add(requests=1, bytes_read=len(data))
                    return data
            except NoRanges:
                self._whole_only.add(_origin(url))
                raise
            except Unreachable:
                self._servers.pop(url, None)  # a file that was replaced is read as it is now
                if pause is None:
                    raise
                self.traffic.add(retries=1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        raise AssertionError


def another(url: str) -> StoreError:
    """The error for a file that is not the one that was indexed."""
    return StoreError(f"{without_secrets(url)} was replaced since it was indexed; start again to index it anew")


def _origin(url: str) -> str:
    """The server and the kind of file: some give ranges of stored files, and none of what they make."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc} {posixpath.splitext(parts.path)[1]}"


def _of_stat(found: os.stat_result) -> Version:
    return Version(found.st_size, str(found.st_mtime_ns))


def _of_server(server: Server) -> Version:
    size, *tags = server.version or (-1,)
    return Version(int(size), "\0".join(str(tag) for tag in tags if tag is not None))


@contextlib.contextmanager
def _missing(url: str) -> Iterator[None]:
    """A missing file is a fault of the sample that needs it."""
    try:
        yield
    except FileNotFoundError:
        raise SampleError("missing", f"cannot read {without_secrets(url)}: does not exist") from None
