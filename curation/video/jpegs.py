"""Reading thumbnails back from the files that a scan left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def read(files: Sequence[str], places: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """JPEG bytes at each (offset, length) in the files, as if they were one after the other."""
    sizes = [Path(file).stat().st_size for file in files]
    for offset, length in places:
        for file, size in zip(files, sizes):
            if offset < size:
                with open(file, "rb") as opened:
                    opened.seek(offset)
                    yield opened.read(length)
                break
            offset -= size
