"""What the captions say: words, what is said again and again, who said it, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.phases.report.numbers.columns import Columns
from curation.phases.report.numbers.labels import Labels
from curation.phases.report.numbers.scan import Bools
from curation.text.words import tokens

HASH = "caption hash"
"""A column: of every kept clip's caption, 0 where it has none."""
_WORDS = 1 << 21  # different words that are told apart; beyond, those that were seen once are forgotten
_BUCKETS = 1 << 20
_CANDIDATES = 1 << 20  # captions that may be sorted in memory
# Apostrophes that are not inside a word; such captions are taken apart word by word.
_QUOTED = r"(^|[^A-Za-z0-9])'|'([^A-Za-z]|$)"


@dataclass(frozen=True)
class Repeated:
    """A caption that is on several kept clips."""

    text: str
    clips: int


@dataclass(frozen=True)
class Words:
    """The words of the kept clips' captions."""

    captions: int
    total: int
    different: int
    forgotten: bool
    """Whether `different` is only the least that it can be."""
    once: int
    """Words that stand in one place alone."""
    frequent: list[tuple[str, int]]
    """The most frequent words, and how often each occurs."""


class Vocabulary:
    """Counts the words of captions as they come."""

    def __init__(self, most: int = _WORDS):
        self._most = most
        self._counts: Counter[str] = Counter()
        self._captions = self._total = 0
        self._forgotten = False

    def add(self, captions: pa.Array) -> None:
        """Captions without nulls."""
        plain = pc.and_(pc.string_is_ascii(captions), pc.invert(pc.match_substring_regex(captions, _QUOTED)))
        found = pc.split_pattern_regex(pc.ascii_lower(captions.filter(plain)), "[^a-z0-9']+")
        for pair in pc.value_counts(pc.list_flatten(found)).to_pylist():
            if pair["values"]:
                self._counts[pair["values"]] += pair["counts"]
                self._total += pair["counts"]
        for caption in captions.filter(pc.invert(plain)).to_pylist():
            words = tokens(caption)
            self._counts.update(words)
            self._total += len(words)
        self._captions += len(captions)
        if len(self._counts) > self._most:
            self._forgotten = True
            self._counts = Counter({word: n for word, n in self._counts.items() if n > 1})

    def words(self, most: int) -> Words:
        """The `most` frequent ones and how many there are."""
        frequent = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:most]
        once = sum(n == 1 for n in self._counts.values())
        return Words(self._captions, self._total, len(self._counts), self._forgotten, once, frequent)


class Repeats:
    """Finds the captions that are said most often. Buckets of hashes tell which captions cannot be among them."""

    def __init__(self) -> None:
        self._buckets = np.zeros(_BUCKETS, np.int64)

    def add(self, captions: pa.Array) -> npt.NDArray[np.uint64]:
        """The hash of every caption; 0 for none."""
        encoded = captions.dictionary_encode()
        known = np.array([_hash(text) for text in encoded.dictionary.to_pylist()] + [0], np.uint64)
        hashes = known[pc.fill_null(encoded.indices, len(known) - 1).to_numpy()]
        self._buckets += np.bincount(_bucket(hashes[hashes != 0]), minlength=_BUCKETS)
        return hashes

    def most(self, columns: Columns, many: int) -> tuple[list[tuple[int, int]], int]:
        """The `many` captions that are on most clips: a row that has it, and how many; and how many captions differ."""
        least = self._least()
        found = []
        for (hashes,) in columns.pieces(HASH):
            there = hashes[hashes != 0]
            found.append(there[self._buckets[_bucket(there)] >= least])
        names, counts = np.unique(np.concatenate([*found, np.zeros(0, np.uint64)]), return_counts=True)
        wanted = [n for n in np.lexsort((names, -counts))[:many].tolist() if counts[n] >= least]
        rows = _first_rows(columns, names[wanted])
        chosen = [(rows[int(names[n])], int(counts[n])) for n in wanted]
        return sorted(chosen, key=lambda one: (-one[1], one[0])), _different(columns)

    def _least(self) -> int:
        """How often a caption must occur at least for the others to be left aside: so often that few are left."""
        sizes, buckets = np.unique(self._buckets, return_counts=True)
        above = np.cumsum((sizes * buckets)[::-1])[::-1]
        fits = sizes[(above <= _CANDIDATES) & (sizes >= 2)]
        return int(fits[0]) if len(fits) else max(int(self._buckets.max()), 2)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def _bucket(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return (hashes >> np.uint64(44)).astype(np.int64)


def _first_rows(columns: Columns, wanted: npt.NDArray[np.uint64]) -> dict[int, int]:
    rows: dict[int, int] = {}
    first = 0
    for (hashes,) in columns.pieces(HASH):
        for at in np.flatnonzero(np.isin(hashes, wanted)).tolist():
            rows.setdefault(int(hashes[at]), first + at)
        first += len(hashes)
    return rows


def _different(columns: Columns) -> int:
    """How many captions differ, a share of all hashes at a time."""
    count = sum(int((hashes != 0).sum()) for (hashes,) in columns.pieces(HASH))
    bits = max(count // _CANDIDATES, 0).bit_length()
    found = 0
    for part in range(1 << bits):
        some = [hashes[(hashes != 0) & _in(hashes, bits, part)] for (hashes,) in columns.pieces(HASH)]
        found += len(np.unique(np.concatenate([*some, np.zeros(0, np.uint64)])))
    return found


def _in(hashes: npt.NDArray[np.uint64], bits: int, part: int) -> Bools:
    return hashes >> np.uint64(64 - bits) == part if bits else np.ones(len(hashes), np.bool_)


class Flags:
    """What is said against captions, of all that were captioned."""

    def __init__(self) -> None:
        self.captioned = 0
        self.without = 0
        """Clips that were to be captioned and have none."""
        self.counts: Counter[str] = Counter()
        self.errors = Labels()
        self.captioners = Labels()

    def add(self, clips: pa.Table, captioned: Bools, kept: Bools) -> None:
        rows = clips.filter(pa.array(captioned))
        self.captioned += rows.num_rows
        self.without += rows["caption"].null_count
        for pair in pc.value_counts(pc.list_flatten(rows["caption_flags"].combine_chunks())).to_pylist():
            self.counts[pair["values"]] += pair["counts"]
        self.errors.add(rows["caption_error"], kept[captioned])
        self.captioners.add(rows["captioner"], kept[captioned])
