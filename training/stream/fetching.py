"""Whole tars into the cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future

from curation.errors import Unreachable, UserError
from curation.ranges import NoRanges
from curation.store import without_secrets
from training.stream import remote
from training.stream.cache import Cache, Part
from training.stream.faults import SampleError
from training.stream.remote import Files, Tar, Version, another

# Pieces of a tar that is fetched by ranges, two at a time.
_BLOCK = 8 << 20
# Tars that are fetched at once in the background.
_THREADS = 2


class Fetching:
    """Fetches tars, now or in the background in the order in which they were first wanted. For several threads."""

    def __init__(self, files: Files, cache: Cache):
        self._files, self._cache = files, cache
        self._begin()

    def fetch(self, tar: Tar, *, wait: bool = True) -> None:
        """Put a tar into the cache.

        What has another sha256 than it should is kept if it comes twice like that: it is the source that is
        damaged, and each sample's own sum tells which of them are.

        Raises:
            SampleError: it is missing.
            UserError: it cannot be read or kept.
        """
        with self._cache.making(tar.name, tar.bytes, wait=wait) as part:
            if part is None:
                return
            seen = set()
            for pause in (*remote.PAUSES, None):
                try:
                    digest = self._copied(tar, part)
                    if tar.sha256 in (None, digest) or digest in seen:
                        return
                    seen.add(digest)
                except Unreachable:
                    # Parts were asked for again, each by itself.
                    if pause is None or not self._files.only_whole(tar.url):
                        raise
                part.restart()
                self._files.traffic.add(retries=1)
                time.sleep(pause or 0)
            raise Unreachable(f"cannot read {without_secrets(tar.url)}: other bytes come each time")

    def _copied(self, tar: Tar, part: Part) -> str:
        digest = hashlib.sha256()
        length = 0
        with contextlib.closing(self._pieces(tar)) as pieces:
            while length < tar.bytes and (piece := next(pieces, b"")[: tar.bytes - length]):  # it may be endless
                part.write(piece)
                digest.update(piece)
                length += len(piece)
        if tar.version and length != tar.bytes:
            raise Unreachable(f"cannot read {without_secrets(tar.url)}: {length} of {tar.bytes} bytes came")
        return digest.hexdigest()

    def _pieces(self, tar: Tar) -> Generator[bytes, None, None]:
        try:
            yield from self._ranges(tar)
            return
        except NoRanges:
            pass
        with self._files.stream(tar.url) as (version, pieces):
            if tar.version and version not in (tar.version, Version(-1, tar.version.tag)):
                raise another(tar.url)
            yield from pieces

    def _ranges(self, tar: Tar) -> Iterator[bytes]:
        def asked(start: int) -> Future[bytes]:
            return self._files.ask(tar.url, start, min(start + _BLOCK, tar.bytes), tar.version)

        coming = asked(0)
        for start in range(0, tar.bytes, _BLOCK):
            piece = coming.result()
            if start + _BLOCK < tar.bytes:
                coming = asked(start + _BLOCK)
            yield piece
            if len(piece) < min(_BLOCK, tar.bytes - start):
                return  # it ends too early

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._waiting: queue.SimpleQueue[Tar | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._trouble: UserError | None = None

    def later(self, tar: Tar) -> None:
        """Fetch a tar some time, unless it was asked for before."""
        if self._pid != os.getpid():  # threads do not come along into a forked process
            self._begin()
        with self._lock:
            if tar.url in self._asked:
                return
            self._asked.add(tar.url)
            self._waiting.put(tar)
            if len(self._threads) < _THREADS:
                # Daemons: a process ends without waiting for them, and what they leave half-made goes away.
                thread = threading.Thread(target=self._work, args=(self._waiting,), name="fetch", daemon=True)
                self._threads.append(thread)
                thread.start()

    def complain(self) -> None:
        """Raise what a thread could not say: that the disk is full, or the like."""
        if self._trouble is not None:
            raise self._trouble

    def close(self) -> None:
        with self._lock:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._waiting.get_nowait()
            for _ in self._threads:
                self._waiting.put(None)
            self._threads, self._waiting = [], queue.SimpleQueue()
            self._asked.clear()

    def _work(self, waiting: queue.SimpleQueue[Tar | None]) -> None:
        while (tar := waiting.get()) is not None:
            try:
                self.fetch(tar, wait=False)
            except (SampleError, Unreachable):
                pass  # whoever reads a sample of it will see for himself
            except UserError as error:
                self._trouble = error
            with self._lock:
                self._asked.discard(tar.url)  # where it had no room, it is asked for again
