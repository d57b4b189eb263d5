"""Sources to where they are decoded: files as they are, and what is remote by ranges or as a bounded copy.

A server that answers ranges is read in blocks while the decoder works, and nothing is put on the
disk. Where it does not answer them, or where a file is laid out so that reading it takes many
jumps, there is a temporary copy instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import stat
import tempfile
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from curation.errors import StoreError, TooLarge, Unreachable
from curation.ranges import NoRanges, changed, server_of
from curation.store import filesystem, is_url, telling, without_secrets

# Seconds between tries of a source whose server does not answer as it should.
_PAUSES = (0.5, 2.0)
# Seconds that one try of one block may take: a server with less than 35 kB/s counts as gone.
_PATIENCE = 120.0
_BLOCK = 4 << 20
# Blocks that are kept. Demuxers jump between an index, sound and pictures, seldom between more than that.
_KEPT = 8
# More than this many times its size is not asked for of a file; a copy is cheaper then. Reading all packets and
# then all pictures is twice.
_MOST_READ = 2
_CHUNK = 1 << 20
# Small files that are fetched at once, and that are fetched or waiting to be used.
_AT_ONCE, _AHEAD = 16, 32

T = TypeVar("T")


class Remote:
    """A file on a server, read by ranges. A context manager; not for several threads.

    Args:
        uri: http(s), s3 or gs.
        max_bytes: larger files are refused.

    Raises:
        StoreError: upon entering it, if the file is missing, refused or too large; `Unreachable` if no server answers.
    """

    size: int
    """Bytes."""

    def __init__(self, uri: str, max_bytes: int):
        self._uri, self._max_bytes = uri, max_bytes
        self._server = server_of(uri)
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._last = -1
        self._copy: BinaryIO | None = None
        self._closing = contextlib.ExitStack()
        self.name = posixpath.basename(urlsplit(uri).path)
        """The last part of its path: some formats are known by their ending."""
        self.waited_s = 0.0
        """Seconds that its server was waited for, so far."""
        self.asked_bytes = 0
        """Bytes asked for in ranges so far; what was asked for again after a failure counts once."""

    def __str__(self) -> str:
        return without_secrets(self._uri)

    @property
    def copied(self) -> bool:
        """Whether a temporary copy had to be made."""
        return self._copy is not None

    def __enter__(self) -> Remote:
        try:
            with self._waiting():
                try:
                    self._block(0)
                except NoRanges:
                    self._make_copy()
                else:
                    self.size = self._server.size
            if self.size > self._max_bytes:
                raise _too_large(self._uri, self.size, self._max_bytes)
            return self
        except BaseException:
            self._close()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A file that was replaced explains whatever else went wrong, unless its server told of it.
        doubtful = kind is None or (issubclass(kind, Exception) and not issubclass(kind, StoreError))
        try:
            if doubtful and self.asked_bytes > _BLOCK and self._copy is None:
                with self._waiting(), _no_last_word():
                    self._done(self._server.check)
        finally:
            self._close()

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset` on; fewer at the end of a block, none at the end of the file.

        Raises:
            Unreachable: the server does not give them any more, or gives those of another file.
            OSError: the temporary copy cannot be written.
        """
        if not 0 <= offset < self.size or count <= 0:
            return b""
        with self._waiting(), _no_last_word():
            with contextlib.suppress(NoRanges):
                if self._copy is None and self._affordable(offset // _BLOCK):
                    start = offset % _BLOCK
                    return self._block(offset // _BLOCK)[start : start + count]
            if self._copy is None:
                self._make_copy()
        assert self._copy is not None
        return os.pread(self._copy.fileno(), count, offset)

    def _affordable(self, number: int) -> bool:
        most = _MOST_READ * self.size + _KEPT * _BLOCK
        return number in self._blocks or self.asked_bytes + _BLOCK <= most

    def _block(self, number: int) -> bytes:
        self._ask_for(number)
        if number == self._last + 1 and (number + 1) * _BLOCK < self._server.size:
            self._ask_for(number + 1)  # while the decoder works on this one
            self._blocks.move_to_end(number)
        self._last = number
        try:
            return self._blocks[number].result()
        except BaseException:
            del self._blocks[number]
            raise

    def _ask_for(self, number: int) -> None:
        if number not in self._blocks:
            start = number * _BLOCK
            end = min(start + _BLOCK, self._server.size) if self._server.size >= 0 else start + _BLOCK
            self.asked_bytes += end - start
            self._blocks[number] = self._started(lambda: self._server.get(start, end))
        self._blocks.move_to_end(number)
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)[1].cancel()

    def _started(self, request: Callable[[], Awaitable[T]]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(_persistent(request, self._uri), self._server.loop)

    def _done(self, request: Callable[[], Awaitable[T]]) -> T:
        return self._started(request).result()

    def _make_copy(self) -> None:
        self._forget()
        path = self._closing.enter_context(fetched(self._uri, max_bytes=self._max_bytes))
        size = path.stat().st_size
        if self._server.size not in (-1, size):
            raise changed(self._uri)
        if self._server.size > 0:  # and of this some was read by ranges
            with contextlib.suppress(NoRanges):
                self._done(lambda: self._server.get(0, 1))
            self._done(self._server.check)
        self._copy = self._closing.enter_context(path.open("rb"))
        self.size = size

    def _forget(self) -> None:
        for block in self._blocks.values():
            block.cancel()
        self._blocks.clear()

    def _close(self) -> None:
        self._forget()
        self._closing.close()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.waited_s += time.monotonic() - start


@contextlib.contextmanager
def source(uri: str, *, max_bytes: int) -> Iterator[Path | Remote]:
    """What `Jail.call` reads: the path of a local file, or a remote one that is read while it is decoded.

    Raises:
        StoreError: it is missing, unreadable, or larger than `max_bytes`; `Unreachable` if it may be there later,
            or if it was replaced while it was read.
        OSError: a temporary copy cannot be written.
    """
    if is_url(uri):
        with Remote(uri, max_bytes) as remote:
            yield remote
    else:
        yield _local(uri, max_bytes)


def size_of(media: Path | Remote) -> int:
    """Bytes."""
    return media.stat().st_size if isinstance(media, Path) else media.size


@contextlib.contextmanager
def fetched(uri: str, *, max_bytes: int) -> Iterator[Path]:
    """A local path with the bytes of `uri`: itself if it is a file, else a bounded temporary copy.

    A server that does not answer as it should is asked three times.

    Raises:
        StoreError: it is missing, unreadable, or larger than `max_bytes`; `Unreachable` if it may be there later.
        OSError: the temporary copy cannot be written.
    """
    if not is_url(uri):
        yield _local(uri, max_bytes)
        return
    with tempfile.TemporaryDirectory(prefix="reelmill-") as folder:
        yield _copied(uri, Path(folder, "source"), max_bytes)


@contextlib.contextmanager
def each(uris: Sequence[str], *, max_bytes: int) -> Iterator[Iterator[Path | StoreError]]:
    """The local paths of many small files in order, or why one has none. A few are fetched at once, ahead of use.

    A temporary copy goes away when the next file is asked for.

    Raises:
        OSError: a temporary copy cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="reelmill-") as folder, ThreadPoolExecutor(_AT_ONCE) as pool:

        def got(number: int) -> Path | StoreError:
            uri = uris[number]
            try:
                return _copied(uri, Path(folder, str(number)), max_bytes) if is_url(uri) else _local(uri, max_bytes)
            except StoreError as error:
                return error

        def in_order() -> Iterator[Path | StoreError]:
            waiting = deque(pool.submit(got, number) for number in range(min(_AHEAD, len(uris))))
            for number in range(len(uris)):
                file = waiting.popleft().result()
                if number + _AHEAD < len(uris):
                    waiting.append(pool.submit(got, number + _AHEAD))
                yield file
                Path(folder, str(number)).unlink(missing_ok=True)

        try:
            yield in_order()
        finally:
            pool.shutdown(cancel_futures=True)


def _copied(uri: str, copy: Path, max_bytes: int) -> Path:
    for pause in (*_pauses(uri), None):
        try:
            _download(uri, copy, max_bytes)
            return copy
        except Unreachable:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError


def _pauses(uri: str) -> tuple[float, ...]:
    """What stands for object stores asks again by itself."""
    return _PAUSES if uri.lower().startswith("http") else ()


def _local(uri: str, max_bytes: int) -> Path:
    with telling("read", uri):
        found = os.stat(uri)
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise StoreError(f"cannot read {uri}: not a regular file")
        with open(uri, "rb"):
            pass
    if found.st_size > max_bytes:
        raise _too_large(uri, found.st_size, max_bytes)
    return Path(uri)


def _download(uri: str, copy: Path, max_bytes: int) -> None:
    fs, remote = filesystem(uri)
    # Over http one plain GET: not every server answers ranges, nor HEAD, which fsspec asks for where no size is given.
    web = {"block_size": 0, "size": 1}
    how = web if uri.lower().startswith("http") else {"block_size": _CHUNK, "cache_type": "readahead"}
    started = time.monotonic()
    # Errors of the local disk are no fault of the source, so only the reading is told as one.
    with open(copy, "wb") as file, contextlib.ExitStack() as closing:
        with telling("read", uri):
            incoming = closing.enter_context(fs.open(remote, "rb", **how))
        while True:
            with telling("read", uri):
                chunk = incoming.read(_CHUNK)
            if not chunk:
                return
            file.write(chunk)
            seconds = time.monotonic() - started
            if seconds > _PATIENCE and file.tell() * _PATIENCE < _BLOCK * seconds:
                raise Unreachable(f"cannot read {without_secrets(uri)}: too slow")
            if file.tell() > max_bytes:
                raise TooLarge(f"{without_secrets(uri)}: more than the limit of {max_bytes} bytes")


def _too_large(uri: str, size: int, max_bytes: int) -> TooLarge:
    return TooLarge(f"{without_secrets(uri)}: {size} bytes are more than the limit of {max_bytes}")


@contextlib.contextmanager
def _no_last_word() -> Iterator[None]:
    """For a source that was there a moment ago: a token that expired, or a file being replaced, may be mended."""
    try:
        yield
    except StoreError as error:
        raise Unreachable(str(error)) from error


async def _persistent(request: Callable[[], Awaitable[T]], uri: str) -> T:
    """What the server answers, asked three times if need be."""
    for pause in (*_pauses(uri), None):
        try:
            with telling("read", uri):
                return await asyncio.wait_for(request(), _PATIENCE)
        except Unreachable:
            if pause is None:
                raise
            await asyncio.sleep(pause)
    raise AssertionError
