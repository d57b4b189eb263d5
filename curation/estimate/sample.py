"""Which sources are measured: some are probed, and of these some are chosen by how much there is to decode of them."""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from curation import fetch
from curation.errors import StoreError
from curation.recipe import Recipe
from curation.tables import Row
from curation.video.jail import Jail
from curation.video.probe import MediaError

_PROBE_TIMEOUT_S = 60.0
# Films alike in these share a stratum. Seconds, and pixels of the shorter side.
_LENGTHS, _SIDES = (10.0, 60.0, 600.0, 3600.0), (360, 720, 1080)
# Where a header tells no length, that of a film of a common bit rate. Bytes a second.
_COMMON_RATE = 250_000.0
_SIZE = re.compile(r"^(\d+) bytes, ")


@dataclass(frozen=True)
class Probed:
    """A source, and what its header says."""

    row: Row
    bytes: int
    seconds: float
    """Of a film how long it claims to be, and of an image 1; what totals are in proportion to."""
    side: int = 0
    """Pixels of the shorter side."""
    error: str | None = None

    @property
    def stratum(self) -> tuple[str, int, int]:
        """Container, class of length, class of size."""
        container = posixpath.splitext(urlsplit(self.row["uri"]).path)[1].lower()
        return container, int(np.digitize(self.seconds, _LENGTHS)), int(np.digitize(self.side, _SIDES))


def at_random(rows: Sequence[Row], chance: np.random.Generator) -> list[Row]:
    """All rows in an order of chance."""
    return [rows[at] for at in chance.permutation(len(rows))]


def probe(rows: Sequence[Row], recipe: Recipe, most: int, until: float) -> list[Probed]:
    """The headers of the first `most` films, or of as many as are read before the clock says `until`; one at least."""
    jail = Jail(recipe.split.memory_mb)
    probed: list[Probed] = []
    try:
        for row in rows[:most]:
            if probed and time.monotonic() > until:
                break
            probed.append(_probed(row, recipe, jail))
    finally:
        jail.close()
    return probed


def _probed(row: Row, recipe: Recipe, jail: Jail) -> Probed:
    size = size_of(row) or 0
    try:
        with fetch.source(row["uri"], max_bytes=recipe.ingest.max_bytes) as media:
            size = fetch.size_of(media)
            found = jail.call("facts", media, _PROBE_TIMEOUT_S)
    except (MediaError, StoreError) as error:
        return Probed(row, size, 0.0, error=str(error))
    return Probed(row, size, found["duration_s"] or size / _COMMON_RATE, min(found["width"], found["height"]))


def size_of(row: Row) -> int | None:
    """Bytes of a local file, as the listing saw it."""
    match = _SIZE.match(row["version"] or "")
    return int(match[1]) if match else None


def chosen(probed: Sequence[Probed], most: int, chance: np.random.Generator) -> list[tuple[Probed, float]]:
    """At most so many sources in an order of chance, each with the seconds that it stands for.

    All of them where they are few. Of more, those that are longer than their share are certain; others are met by equal
    steps of seconds through the list sorted by strata: systematic sampling with probability proportional to size (Madow
    1949), which gives every stratum its share.
    """
    usable = sorted((one for one in probed if one.error is None and one.seconds > 0), key=lambda one: -one.seconds)
    certain, left = 0, sum(one.seconds for one in usable)
    while certain < min(most, len(usable)) and usable[certain].seconds * (most - certain) >= left:
        left -= usable[certain].seconds
        certain += 1
    met = [(one, one.seconds) for one in usable[:certain]]
    if len(usable) <= most:
        met = [(one, one.seconds) for one in usable]
    elif steps := most - certain:
        # Sorting is stable: within a stratum they stand by length, so that all lengths are met.
        rest = sorted(usable[certain:], key=lambda one: one.stratum)
        ends = np.cumsum([one.seconds for one in rest])
        places = (np.arange(steps) + chance.random()) * ends[-1] / steps
        met += [(rest[at], left / steps) for at in np.searchsorted(ends, places, side="right").clip(max=len(rest) - 1)]
    return [met[at] for at in chance.permutation(len(met))]
