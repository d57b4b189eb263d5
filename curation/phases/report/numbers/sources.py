"""What went in: codecs, containers, sizes, lengths in bytes and hours, and what could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.ledger import first_clause
from curation.phases.report.numbers.columns import Floats
from curation.phases.report.numbers.labels import Labels

COLUMNS = ("uri", "kind", "status", "error", "warning", "codec", "width", "height", "duration_s", "bytes", "licence")
_LISTED = 100


@dataclass(frozen=True)
class Trouble:
    """A source that failed, or is good only in part."""

    source_id: str
    told: str


class Sources:
    """Sums up sources as they come.

    Args:
        listed: failures and warnings that are kept by name.
    """

    def __init__(self, listed: int = _LISTED):
        self._listed = listed
        self.all = 0
        self.codecs, self.containers, self.sizes, self.licences = Labels(), Labels(), Labels(), Labels()
        """Of decoded sources; `kept` counts nothing here."""
        self.failed: list[Trouble] = []
        self.partly: list[Trouble] = []
        self.failures = self.warnings = 0
        self.failed_bytes: Counter[str] = Counter()
        """By the reason as the ledger groups them; what is not known counts nothing."""
        self.bytes_all = self.bytes_ok = 0

    def add(self, sources: pa.Table) -> None:
        ok = pc.equal(sources["status"], "ok").to_numpy()
        self.all += sources.num_rows
        size = sources["bytes"].fill_null(0).to_numpy()
        self.bytes_all += int(size.sum())
        self.bytes_ok += int(size[ok].sum())
        good = sources.filter(pa.array(ok))
        nothing = np.zeros(good.num_rows, np.bool_)
        self.codecs.add(good["codec"], nothing)
        self.containers.add(_suffixes(good["uri"]), nothing)
        self.sizes.add(_sizes(good), nothing)
        self.licences.add(sources["licence"], np.zeros(sources.num_rows, np.bool_))
        bad = sources.filter(pa.array(~ok)).select(["source_id", "error", "bytes"])
        for batch in bad.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                self.failed_bytes[first_clause(row["error"] or "")] += row["bytes"] or 0
        self.failures += bad.num_rows
        partly = good.filter(pc.is_valid(good["warning"]))
        self.warnings += partly.num_rows
        self._list(self.failed, bad, "error")
        self._list(self.partly, partly, "warning")

    def _list(self, found: list[Trouble], rows: pa.Table, told: str) -> None:
        some = rows.slice(0, max(self._listed - len(found), 0))
        found += [Trouble(name, why or "") for name, why in zip(some["source_id"].to_pylist(), some[told].to_pylist())]


def bytes_of_clips(clips: pa.Table, sources: pa.Table) -> Floats:
    """What share of its file each clip is, in bytes: by its length, since nothing is cut yet. NaN where unknown."""
    at = pc.index_in(clips["source_id"], value_set=sources["source_id"].combine_chunks())
    size, whole = (_floats(sources[name].take(at)) for name in ("bytes", "duration_s"))
    length = clips["duration_s"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, size * np.minimum(length / whole, 1), size)


def _floats(column: pa.ChunkedArray) -> Floats:
    return column.cast(pa.float64()).to_numpy()


def _suffixes(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """What the names end in, in small letters; a container is called so more often than not."""
    plain = pc.replace_substring_regex(uris, r"[?#].*$", "")
    found = pc.extract_regex(pc.utf8_lower(plain), r"\.(?P<suffix>[a-z0-9]{1,5})$")
    return pc.struct_field(found, "suffix")


def _sizes(sources: pa.Table) -> pa.ChunkedArray:
    width, height = (pc.cast(sources[name], pa.string()) for name in ("width", "height"))
    return pc.binary_join_element_wise(width, height, "×")
