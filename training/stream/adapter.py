"""Today's datasets in the shape that the order reads them; goes away with `opening`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from curation.errors import UserError
from training.stream import shards
from training.stream.dataset import Column, Entry, Traffic


class Adapted:
    """A `dataset.Dataset` over `shards.Dataset`."""

    def __init__(self, url: str | Sequence[str], *, cache_dir: str | None, cache_bytes: int):
        if not isinstance(url, str):
            raise UserError("data.url: lists of tars are not read so far")
        self._of = shards.Dataset(url, span=1, cache_dir=cache_dir, cache_bytes=cache_bytes)
        self.url, self.name, self.hash = self._of.url, self._of.manifest.name, self._of.manifest.dataset_hash
        self.left_out: dict[str, int] = {}
        self.traffic = Traffic()

    def __len__(self) -> int:
        return len(self._of)

    def column(self, name: Column) -> NDArray:
        if name == "shard":
            return self._of._shard_of.astype(np.int32)
        if name == "kind":
            return np.zeros(len(self._of), np.uint8)
        if name == "frames":
            return self._of._table["frames"].to_numpy()
        return np.zeros(len(self._of), np.int32)

    def entry(self, number: int) -> Entry:
        found = self._of.entry(number)
        return Entry(
            number, found.key, found.shard.tar, "video", "mp4", found.offset, found.bytes, found.sha256, found.caption,
            len(found.frames.pts), None, None, None, None, found.frames,
        )  # fmt: skip

    def media(self, entry: Entry) -> bytes:
        media = self._of.media(self._of.entry(entry.number))
        self.traffic.add(bytes_read=len(media), samples=1)
        return media

    def reader(self, entry: Entry) -> BinaryIO:
        return io.BytesIO(self.media(entry))

    def prefetch(self, entries: Iterable[Entry]) -> None:
        pass

    def close(self) -> None:
        pass
