"""A member of a tar as a file of its own, to seek in."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from typing import IO

from training.stream.dataset import Entry, Traffic
from training.stream.remote import Files, Tar

# What is fetched of a remote member at a time, and how many of these are kept.
_BLOCK, _KEPT = 256 << 10, 16


class _Member(io.RawIOBase):
    def __init__(self, size: int):
        super().__init__()
        self._size, self._at = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._get(self._at, min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _get(self, start: int, count: int) -> bytes:
        raise NotImplementedError


class OnDisk(_Member):
    """In a tar on the disk, which stays open for as long."""

    def __init__(self, tar: IO[bytes], entry: Entry, traffic: Traffic | None = None):
        """
        Args:
            traffic: where to count what is read, unless it is from the cache.
        """
        super().__init__(entry.bytes)
        self._tar, self._offset, self._traffic = tar, entry.offset, traffic

    def _get(self, start: int, count: int) -> bytes:
        data = os.pread(self._tar.fileno(), count, self._offset + start)
        if self._traffic:
            self._traffic.add(bytes_read=len(data))
        return data

    def close(self) -> None:
        self._tar.close()
        super().close()


class OnServer(_Member):
    """In a tar on a server that answers ranges, of which some blocks are kept."""

    def __init__(self, files: Files, tar: Tar, entry: Entry):
        """
        Raises:
            NoRanges: the server does not.
            SampleError, UserError: as `Files.get`.
        """
        super().__init__(entry.bytes)
        self._files, self._tar, self._offset = files, tar, entry.offset
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._block(0)

    def buffered(self) -> io.BufferedReader:
        return io.BufferedReader(self, 8 << 10)

    def _get(self, start: int, count: int) -> bytes:
        if count <= 0:
            return b""
        block = self._block(start // _BLOCK)
        return block[start % _BLOCK :][:count]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * _BLOCK
            end = min(start + _BLOCK, self._size)
            self._blocks[number] = self._files.get(
                self._tar.url, self._offset + start, self._offset + end, self._tar.version
            )
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]
