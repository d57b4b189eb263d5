"""A file that the jailed decoder reads through its parent, since it has no way to a network itself."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """The parent's side: what answers when the child asks for bytes."""

    name: str
    """The last part of the address."""
    size: int
    """Bytes."""
    waited_s: float
    """Seconds spent waiting for a server so far; the child is not charged for them."""

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes; none only at the end of the file."""


@dataclass(frozen=True)
class RemoteFile:
    """The child's side. It can be opened any number of times, as a path can."""

    name: str
    size: int
    ask: Callable[[int, int], bytes]
    """`Source.read` of the parent."""

    def open(self) -> Reader:
        return Reader(self)


class Reader:
    """A position in a remote file; what FFmpeg needs of a file object."""

    def __init__(self, file: RemoteFile):
        self._file = file
        self._position = 0
        self.name = file.name

    def read(self, count: int) -> bytes:
        data = self._file.ask(self._position, count) if self._position < self._file.size else b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            return -errno.EINVAL  # demuxers try; FFmpeg wants its own kind of answer, and no exception
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position


# What can be opened.
Media = Path | RemoteFile
