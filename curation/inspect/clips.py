"""Everything that an output tells of one clip."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from curation import generations, ledger, parts
from curation.inspect import play
from curation.inspect.find import Clip
from curation.inspect.rows import Wanted, at, matching
from curation.inspect.rules import judged
from curation.inspect.sources import source_of
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import CLIPS, Row

_OF_RANGE = (
    *("scene", "piece", "kind", "trimmed", "start_pts", "end_pts", "time_base", "start_s", "end_s", "duration_s"),
    *("frames", "fps", "width", "height"),
)
_OF_SIBLING = ("clip_id", "scene", "piece", "kind", "start_s", "end_s", "frames")
_OF_SAMPLE = (
    *("shard", "key", "kind", "offset", "bytes", "sha256", "cut", "note", "sound", "lost_frames", "frames", "fps"),
    *("duration_s", "width", "height", "start_pts", "end_pts", "recipe_hash"),
)
_AT_ONCE = 16


def of_clip(out: Place, recipe: Recipe, published: generations.Manifest | None, found: Clip) -> dict[str, Any]:
    """The history of a clip; null where a phase has not come to it."""
    clip = _one(at(out, parts.path("clips", found.part), found.row), found, out, "clips")
    scores = _one(at(out, parts.path("scores", found.part), found.row), found, out, "scores")
    caption = _one(None, found, out, "captions")
    assert clip is not None
    source = source_of(out, found.part, clip["source_id"])
    siblings = matching(out, parts.path("clips", found.part), Wanted("source_id", clip["source_id"]), _OF_SIBLING)
    siblings.sort(key=lambda row: row["row"])
    decided = _decided(out, found.clip_id)
    every = clip | (scores or {}) | (caption or {})
    sample, uncut = None, None
    if published is not None and decided is not None and decided["kept"]:
        sample = _sample(out, recipe, published, found.clip_id)
        if sample is None:
            failed = {row["clip_id"]: row["reason"] for row in ledger.failed_cuts(out, published)}
            uncut = failed.get(found.clip_id)
    measured = [name for name in CLIPS.names if name in clip and name not in (*_OF_RANGE, "clip_id", "source_id")]
    return {
        "clip_id": found.clip_id,
        "part": found.part,
        "source": source,
        "range": {name: clip[name] for name in _OF_RANGE},
        "siblings": _siblings(siblings, found.clip_id, clip["scene"]),
        "measures": {name: clip[name] for name in measured},
        "scores": None if scores is None else {name: scores[name] for name in scores if name != "clip_id"},
        "rules": judged(Plan(recipe, out), every) if scores is not None else None,
        "decision": decided,
        "caption": None if caption is None else {name: caption[name] for name in caption if name != "clip_id"},
        "sample": sample,
        "not_cut": uncut,
        "commands": {
            "of_source": play.of_range(source, clip, siblings[0]["start_s"]),
            "of_sample": None if sample is None else play.of_sample(out, sample),
        },
    }


def _one(row: Row | None, found: Clip, out: Place, table: str) -> Row | None:
    """The clip's row: the one that stands in its place, or else wherever it is in that part."""
    if row is None or row["clip_id"] != found.clip_id:
        path = parts.path(table, found.part)
        rows = matching(out, path, Wanted("clip_id", found.clip_id)) if out.exists(path) else []
        row = rows[0] if rows else None
    return None if row is None else {name: value for name, value in row.items() if name != "row"}


def _siblings(siblings: list[Row], clip_id: str, scene: int) -> dict[str, Any]:
    ids = [row["clip_id"] for row in siblings]
    place = ids.index(clip_id)
    return {
        "number": place,
        "clips": len(ids),
        "before": ids[place - 1] if place else None,
        "after": ids[place + 1] if place + 1 < len(ids) else None,
        "pieces": [row["clip_id"] for row in siblings if row["scene"] == scene],
    }


def _decided(out: Place, clip_id: str) -> dict[str, Any] | None:
    """What the selection says, and which clips were dropped as near-duplicates of this one."""
    if not out.exists(SELECTION):
        return None
    rows = matching(out, SELECTION, Wanted("clip_id", clip_id))
    repeating = matching(out, SELECTION, Wanted("duplicate_of", clip_id), ["clip_id"])
    said = {name: rows[0][name] for name in ("kept", "drop_reasons", "duplicate_of")} if rows else None
    return said and said | {"repeated_by": [row["clip_id"] for row in repeating]}


def _sample(out: Place, recipe: Recipe, published: generations.Manifest, clip_id: str) -> dict[str, Any] | None:
    """The clip in the shards of the newest generation."""
    shards = _likely_first(published["shards"], clip_id, recipe.shard.seed)

    def look(shard: dict[str, Any]) -> list[Row]:
        path = parts.path("shards", generations.shard_number(shard))
        return matching(out, path, Wanted("clip_id", clip_id), _OF_SAMPLE)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(shards), _AT_ONCE):
            some = shards[start : start + _AT_ONCE]
            for shard, rows in zip(some, pool.map(look, some)):
                for row in rows:
                    about = {"generation": published["generation"], "tar": shard["tar"]}
                    return about | {name: row[name] for name in _OF_SAMPLE}
    return None


def _likely_first(shards: list[dict[str, Any]], clip_id: str, seed: int) -> list[dict[str, Any]]:
    """Clips are shuffled by a hash of their ids, which so tells about where in the order of shards a clip is."""
    share = int.from_bytes(hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()[:8], "big") / 2**64
    order = sorted(range(len(shards)), key=lambda number: abs(number + 0.5 - share * len(shards)))
    return [shards[number] for number in order]
