"""Members of tars that are fetched before they are asked for, neighbours together."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from curation.ranges import NoRanges
from training.stream.dataset import Entry
from training.stream.remote import Files, Tar

# Bytes that are held at most.
_AHEAD = 256 << 20
# Neighbours with no more than this between them are fetched together, up to so many bytes.
_GAP, _TOGETHER = 256 << 10, 16 << 20
# What nobody took while so many more batches were announced is wanted no more.
_CALLS = 64


@dataclass
class _Group:
    """Members of one tar that are fetched together."""

    coming: Future[bytes]
    start: int
    size: int
    call: int
    """In which call of `want` it was wanted."""
    keys: set[tuple[str, int]] = field(default_factory=set)


class Ahead:
    """Members that are fetched before they are asked for, at most `_AHEAD` bytes of them."""

    def __init__(self, files: Files):
        self._files = files
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, int], _Group] = {}
        self._held = 0
        self._calls = 0

    def want(self, wanted: list[tuple[Tar, Entry]]) -> None:
        """Fetch these, the first ones first, as long as there is room."""
        if self._pid != os.getpid():  # answers to a process do not reach one that was forked from it
            self._begin()
        with self._lock:
            self._calls += 1
            forgotten = [group for group in self._groups.values() if self._calls - group.call > _CALLS]
            for group in {id(group): group for group in forgotten}.values():
                self._drop(group)
            runs = _together([(tar, entry) for tar, entry in wanted if (tar.url, entry.offset) not in self._groups])
            for tar, members in runs:
                start = members[0].offset
                size = max(entry.offset + entry.bytes for entry in members) - start
                if self._held + size > _AHEAD:
                    return
                group = _Group(self._files.ask(tar.url, start, start + size, tar.version), start, size, self._calls)
                group.keys = {(tar.url, entry.offset) for entry in members}
                self._groups.update(dict.fromkeys(group.keys, group))
                self._held += size

    def take(self, tar: Tar, entry: Entry) -> bytes | None:
        """A member that was fetched ahead, once; None where it was not, or could not be."""
        if self._pid != os.getpid():
            return None
        with self._lock:
            group = self._groups.pop((tar.url, entry.offset), None)
            if group is None:
                return None
            group.keys.discard((tar.url, entry.offset))
            if not group.keys:
                self._held -= group.size
        try:
            data = group.coming.result()
        except NoRanges:
            return None
        start = entry.offset - group.start
        return data[start : start + entry.bytes]

    def clear(self) -> None:
        with self._lock:
            for group in list({id(group): group for group in self._groups.values()}.values()):
                self._drop(group)

    def _drop(self, group: _Group) -> None:
        group.coming.cancel()
        for key in group.keys:
            del self._groups[key]
        self._held -= group.size


def _together(wanted: list[tuple[Tar, Entry]]) -> list[tuple[Tar, list[Entry]]]:
    """Members of the same tar that stand near each other, in the order of their first."""
    rank = {(tar.url, entry.offset): place for place, (tar, entry) in reversed(list(enumerate(wanted)))}
    by_tar: dict[str, list[tuple[Tar, Entry]]] = {}
    for tar, entry in wanted:
        by_tar.setdefault(tar.url, []).append((tar, entry))
    runs: list[tuple[Tar, list[Entry]]] = []
    for members in by_tar.values():
        members.sort(key=lambda item: item[1].offset)
        for tar, entry in members:
            if runs and runs[-1][0] is tar:
                last = runs[-1][1]
                near = entry.offset - (last[-1].offset + last[-1].bytes) <= _GAP
                if near and entry.offset + entry.bytes - last[0].offset <= _TOGETHER:
                    last.append(entry)
                    continue
            runs.append((tar, [entry]))
    return sorted(runs, key=lambda run: min(rank[(run[0].url, entry.offset)] for entry in run[1]))
