"""Everything that an output tells of one source, and what became of its clips."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import parts
from curation.inspect.find import Source
from curation.inspect.rows import Wanted, matching
from curation.plan import SELECTION
from curation.store import Place, publishable
from curation.tables import Row

_OF_CLIP = ("clip_id", "scene", "piece", "kind", "start_s", "end_s", "frames")
_DECIDED = ["clip_id", "kept", "drop_reasons", "duplicate_of"]


def of_source(out: Place, found: Source) -> dict[str, Any]:
    """The history of a source: what was found in it, and each of its clips with the decision."""
    clips = []
    if out.exists(parts.path("clips", found.part)):
        clips = matching(out, parts.path("clips", found.part), Wanted("source_id", found.source_id), _OF_CLIP)
    decided = _decided(out, [row["clip_id"] for row in clips])
    told = [
        {name: row[name] for name in _OF_CLIP} | decided.get(row["clip_id"], {"kept": None, "drop_reasons": []})
        for row in clips
    ]
    return {
        "source": source_of(out, found.part, found.source_id),
        "part": found.part,
        "clips": told,
        "kept": sum(bool(row["kept"]) for row in told),
        "dropped_by_first_reason": dict(Counter(row["drop_reasons"][0] for row in told if row["drop_reasons"])),
    }


def source_of(out: Place, part: int, source_id: str) -> Row:
    """What came in as this source and what was found in it; `status` is null before it was split."""
    table = "sources" if out.exists(parts.path("sources", part)) else "inputs"
    rows = matching(out, parts.path(table, part), Wanted("source_id", source_id))
    source = {name: value for name, value in rows[0].items() if name not in ("row", "version")}
    meta = json.loads(source["meta"]) if source.get("meta") else None
    found = {name: source.get(name) for name in ("status", "error", "warning", "mended")}
    return source | found | {"uri": publishable(source["uri"]), "meta": meta}


def _decided(out: Place, ids: list[str]) -> dict[str, Row]:
    if not ids or not out.exists(SELECTION):
        return {}
    known = out.table(SELECTION, ["clip_id"])["clip_id"]
    places = pc.index_in(pa.array(ids, pa.string()), value_set=known.combine_chunks())
    rows = out.table(SELECTION, _DECIDED).take(places.drop_null()).to_pylist()
    return {row["clip_id"]: {name: row[name] for name in _DECIDED[1:]} for row in rows}
