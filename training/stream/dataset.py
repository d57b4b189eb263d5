"""What the stream knows of a dataset: how many samples, what each is, and how its bytes are had.

This is where two halves of the stream meet. Above it are order, mixtures, views and decoding, which see nothing of
addresses; below it are manifests, tars, caches and retries.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, Literal, Protocol

from numpy.typing import NDArray

Kind = Literal["video", "image"]
KINDS: tuple[Kind, ...] = ("video", "image")
"""In the order of the numbers that `Dataset.column("kind")` holds."""

Column = Literal["shard", "kind", "frames", "width", "height", "duration_s", "fps"]


@dataclass(frozen=True)
class FrameIndex:
    """Where the frames of a video are, as its shard's index says."""

    pts: Sequence[int]
    """Timestamp of every frame in display order, in time_base."""
    time_base: Fraction
    keyframes: Sequence[int]
    """Positions in pts from which decoding can begin, ascending, the first is 0."""


@dataclass(frozen=True)
class Entry:
    """One sample: what it is, and where its media is.

    What only decoding can tell is None for the samples of a foreign tar.
    """

    number: int
    """Of the sample in its dataset, from 0."""
    key: str
    """Its WebDataset key; may hold any characters that can be printed."""
    shard: str
    """Address of its tar without credentials, for messages."""
    kind: Kind
    suffix: str
    """Ending of the media member in lower case: mp4, webm, jpg, …"""
    offset: int
    """Where the media begins in the tar, in bytes."""
    bytes: int
    """Length of the media."""
    sha256: str | None
    """Of the media, in hex."""
    caption: str
    """Empty where the sample has none."""
    frames: int | None
    """1 for an image."""
    duration_s: float | None
    fps: float | None
    """None also for an image."""
    width: int | None
    """Pixels, as displayed."""
    height: int | None
    index: FrameIndex | None
    """None for an image, and where decoding has to find out (`probing.frame_index`)."""


@dataclass
class Traffic:
    """What reading has cost so far. The numbers only grow; those of one process."""

    bytes_read: int = 0
    """From networks and disks, other than the cache: shards, members and indexes."""
    bytes_used: int = 0
    """Of media handed out."""
    samples: int = 0
    """Media handed out."""
    hits: int = 0
    """Media that were in the cache when they were asked for."""
    ahead: int = 0
    """Media that had been read ahead, or were on their way."""
    requests: int = 0
    """Answers of servers."""
    retries: int = 0
    """Requests that were made again."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **amounts: int) -> None:
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)

    def snapshot(self) -> dict[str, int]:
        """The numbers by name, all of the same moment."""
        with self._lock:
            return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "_lock"}


class Dataset(Protocol):
    """The samples of one dataset, by number. Its methods may be called from several threads.

    It can be pickled (to `spawn`ed workers) and costs the same to open and to hold whatever its size: the rows are
    mapped from an index on the local disk.
    """

    name: str
    """As in its manifest; the last part of the address for foreign tars."""
    url: str
    """Its address without credentials, for messages."""
    hash: str
    """Names the content, wherever it is served from: the manifest's dataset_hash, or of all headers of foreign tars."""
    left_out: dict[str, int]
    """Samples of foreign tars that cannot be used, by reason; they have no number."""
    traffic: Traffic

    def __len__(self) -> int:
        """Samples of all kinds."""

    def column(self, name: Column) -> NDArray:
        """One value for every sample by number, read-only; 0 where it is not known.

        `shard` is int32 and counts the tars; it never falls from one sample to the next, since the order is made of
        whole shards. `kind` is uint8 (a position in `KINDS`), `frames`, `width` and `height` int32, `duration_s` and
        `fps` float32.
        """

    def all_keys(self) -> Iterator[str]:
        """The keys of all samples, by number."""

    def entry(self, number: int) -> Entry:
        """The sample with this number.

        Raises:
            SampleError: what the index says of it is impossible.
        """

    def media(self, entry: Entry) -> bytes:
        """All bytes of a sample's media, checked against its sha256 where it has one.

        Raises:
            SampleError: there are no such bytes, now or later: the sample needs another in its place.
            UserError: the place does not answer, or the dataset is another one than before: the run must end.
        """

    def reader(self, entry: Entry) -> BinaryIO:
        """A sample's media as a file to seek in, of which only the parts that are read are fetched; not checked.

        Raises:
            SampleError, UserError: as `media`, here and from the methods of the file.
        """

    def prefetch(self, entries: Iterable[Entry]) -> None:
        """Say which samples come next, the soonest first; returns at once.

        Neighbours in a tar are fetched together. What does not fit into the read-ahead is forgotten, and read when it
        is asked for. Samples that were said before may be said again.
        """

    def close(self) -> None:
        """Give back connections, files and threads. What is asked for afterwards opens them again."""
