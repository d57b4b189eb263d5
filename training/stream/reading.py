"""How the bytes of samples are had: from the disk, whole tars through the cache, or each member by itself.

A dataset that fits into the cache is read once: whole tars are fetched in the background while the first samples are
already read by ranges. Of a larger one under a global shuffle, a tar would be fetched for one sample and dropped
before the next is wanted, so members are read by themselves, ahead of use and neighbours together.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from typing import BinaryIO

from curation.ranges import NoRanges
from training.stream.ahead import Ahead
from training.stream.cache import Cache
from training.stream.dataset import Entry
from training.stream.faults import SampleError
from training.stream.fetching import Fetching
from training.stream.members import OnDisk, OnServer
from training.stream.remote import Files, Tar

# A tar of this many bytes is waited for; of a larger one the member is read by itself first.
_SMALL = 16 << 20


class Reading:
    """The bytes of members of tars. For several threads."""

    def __init__(self, files: Files, cache: Cache, *, whole: bool):
        """
        Args:
            whole: fetch whole tars into the cache.
        """
        self._files, self._cache, self._whole = files, cache, whole
        self._traffic = files.traffic
        self._ahead = Ahead(files)
        self._fetching = Fetching(files, cache)
        self._fetched_again: set[str] = set()

    def media(self, tar: Tar, entry: Entry) -> bytes:
        """A member, checked.

        Raises:
            SampleError, UserError: as `Dataset.media`.
        """
        self._fetching.complain()
        data = self._bytes(tar, entry)
        wrong = _wrong(data, entry)
        if wrong and not tar.local:
            wrong = _wrong(data := self._again(tar, entry), entry)
        if wrong:
            raise wrong
        self._traffic.add(samples=1, bytes_used=len(data))
        return data

    def reader(self, tar: Tar, entry: Entry) -> BinaryIO:
        """A member as a file, unchecked.

        Raises:
            SampleError, UserError: as `Dataset.reader`.
        """
        self._fetching.complain()
        self._traffic.add(samples=1)
        if tar.local:
            self._files.get(tar.url, 0, 0, tar.version)
            return io.BufferedReader(OnDisk(open(tar.url, "rb"), entry, self._traffic))
        ahead = self._ahead.take(tar, entry)
        if ahead is not None:
            self._traffic.add(ahead=1, bytes_used=len(ahead))
            return io.BytesIO(ahead)
        if self._must_be_whole(tar):
            self._fetching.fetch(tar)
        file = self._cache.open(tar.name)
        if file is not None:
            self._traffic.add(hits=1)
            return io.BufferedReader(OnDisk(file, entry))
        if self._whole:
            self._fetching.later(tar)
        try:
            return OnServer(self._files, tar, entry).buffered()
        except NoRanges:
            return io.BytesIO(self._direct(tar, entry))

    def prefetch(self, wanted: Iterable[tuple[Tar, Entry]]) -> None:
        """Read what comes next, the soonest first."""
        remote_ones = [(tar, entry) for tar, entry in wanted if not tar.local]
        missing = [(tar, entry) for tar, entry in remote_ones if not self._cached(tar)]
        if self._whole:
            for tar in dict.fromkeys(tar for tar, _ in missing):
                self._fetching.later(tar)
        self._ahead.want([(tar, entry) for tar, entry in missing if not self._must_be_whole(tar)])

    def close(self) -> None:
        self._fetching.close()
        self._ahead.clear()
        self._files.close()

    def _cached(self, tar: Tar) -> bool:
        return (self._cache.folder / tar.name).exists()

    def _must_be_whole(self, tar: Tar) -> bool:
        return (self._whole and tar.bytes <= _SMALL) or self._files.only_whole(tar.url)

    def _bytes(self, tar: Tar, entry: Entry) -> bytes:
        if tar.local:
            return self._files.get(tar.url, entry.offset, entry.offset + entry.bytes, tar.version)
        ahead = self._ahead.take(tar, entry)
        if ahead is not None:
            self._traffic.add(ahead=1)
            return ahead
        cached = self._from_cache(tar, entry)
        if cached is not None:
            self._traffic.add(hits=1)
            return cached
        if self._whole and not self._must_be_whole(tar):
            self._fetching.later(tar)
        return self._direct(tar, entry)

    def _direct(self, tar: Tar, entry: Entry) -> bytes:
        if not self._must_be_whole(tar):
            try:
                return self._files.get(tar.url, entry.offset, entry.offset + entry.bytes, tar.version)
            except NoRanges:
                pass
        while True:  # another process may drop it again before it is opened
            self._fetching.fetch(tar)
            cached = self._from_cache(tar, entry)
            if cached is not None:
                return cached

    def _again(self, tar: Tar, entry: Entry) -> bytes:
        """A member that was not as it should be: a copy on this disk may be damaged, and the source be good."""
        try:
            data = self._files.get(tar.url, entry.offset, entry.offset + entry.bytes, tar.version)
        except NoRanges:
            if tar.url not in self._fetched_again:  # the source itself is damaged then
                self._fetched_again.add(tar.url)
                self._cache.drop(tar.name)
            return self._direct(tar, entry)
        if not _wrong(data, entry):
            self._cache.drop(tar.name)
        return data

    def _from_cache(self, tar: Tar, entry: Entry) -> bytes | None:
        file = self._cache.open(tar.name)
        if file is None:
            return None
        with file:
            return os.pread(file.fileno(), entry.bytes, entry.offset)


def _wrong(data: bytes, entry: Entry) -> SampleError | None:
    if len(data) != entry.bytes:
        return SampleError("truncated", f"its tar ends {entry.bytes - len(data)} bytes before it does")
    if entry.sha256 and hashlib.sha256(data).hexdigest() != entry.sha256:
        return SampleError("checksum", "its bytes do not have the sha256 of the index")
    return None
