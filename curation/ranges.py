"""How parts of a file are asked for: over http, and of object stores."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Protocol

from curation.errors import Unreachable
from curation.store import filesystem, without_secrets

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_BEHIND_THE_END = re.compile(r"bytes \*/(\d+)")


class NoRanges(Exception):
    """The server does not answer ranges, or does not tell how long the file is."""


class Server(Protocol):
    """Gives parts of one file, as long as it stays the same file."""

    loop: asyncio.AbstractEventLoop
    """Where its coroutines run."""
    size: int
    """Of the file in bytes; -1 before the first answer."""
    version: tuple[Any, ...] | None
    """What tells this file from a later one at its address: size, and what the server says; None before the first
    answer."""

    async def get(self, start: int, end: int) -> bytes:
        """The bytes [start, end), or what the file has of them.

        Raises:
            NoRanges: there are no ranges to be had.
            Unreachable: the file is another one than before.
        """

    async def check(self) -> None:
        """After the last `get`.

        Raises:
            Unreachable: the file is another one than before.
        """


def server_of(uri: str) -> Server:
    """What answers for this address.

    Raises:
        StoreError: it is none that can be read.
    """
    return _Web(uri) if uri.lower().startswith("http") else _ObjectStore(uri)


class _Web:
    """http(s). Every answer is compared with the first.

    That also tells the size, since not every server answers HEAD to those who may GET.
    """

    def __init__(self, uri: str):
        self._uri = uri
        self._fs, self._url = filesystem(uri)
        self.version: tuple[Any, ...] | None = None
        self.loop = self._fs.loop
        self.size = -1

    async def get(self, start: int, end: int) -> bytes:
        import aiohttp

        session = await self._fs.set_session()
        # Ranges of a compressed answer would be of no use.
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        async with session.get(self._fs.encode_url(self._url), headers=headers) as answer:
            if answer.status == 404:
                raise FileNotFoundError
            if answer.status == 416:
                told = _BEHIND_THE_END.fullmatch(answer.headers.get("Content-Range", "").strip())
                if told and 0 < int(told[1]) <= start and self.size in (-1, int(told[1])):
                    return b""
                raise changed(self._uri) if self.version else NoRanges
            answer.raise_for_status()
            told = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
            encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
            if answer.status != 206 or told is None or int(told[1]) != start or encoded:
                raise NoRanges
            size, tag = int(told[2]), answer.headers.get("ETag", "").removeprefix("W/")
            version = (size, tag or answer.headers.get("Last-Modified"))
            if self.version not in (None, version):
                raise changed(self._uri)
            self.size, self.version = size, version
            try:  # not what it sends, but what was asked for: an answer could be endless
                return await answer.content.readexactly(min(end, size) - start)
            except asyncio.IncompleteReadError:
                raise aiohttp.ClientPayloadError from None

    async def check(self) -> None:
        pass


class _ObjectStore:
    """s3 and gs. Parts are not tied to a version, so that `check` has the last word."""

    def __init__(self, uri: str):
        self._uri = uri
        self._fs, self._path = filesystem(uri)
        self.version: tuple[Any, ...] | None = None
        self.loop = self._fs.loop
        self.size = -1

    async def get(self, start: int, end: int) -> bytes:
        if self.version is None:
            self.version = await self._look()
            self.size = self.version[0]
        end = min(end, self.size)
        if start >= end:
            return b""
        try:
            data: bytes = await self._fs._cat_file(self._path, start=start, end=end)
        except OSError:
            await self.check()
            raise
        if len(data) != end - start:
            raise changed(self._uri)
        return data

    async def check(self) -> None:
        if await self._look() != self.version:
            raise changed(self._uri)

    async def _look(self) -> tuple[Any, ...]:
        self._fs.invalidate_cache(self._path)
        found = await self._fs._info(self._path)
        if found["type"] != "file":
            raise IsADirectoryError
        return int(found["size"]), found.get("ETag") or found.get("etag"), found.get("generation")


def changed(uri: str) -> Unreachable:
    """The error for a file that was replaced between two parts of it."""
    return Unreachable(f"cannot read {without_secrets(uri)}: it changed while it was read")
