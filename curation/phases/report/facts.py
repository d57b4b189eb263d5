"""What the report knows of an output: columns of all clips, never their pictures."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation import generations, ledger, parts
from curation.phases import select
from curation.phases.select import Resolved
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import CAPTIONS, CLIPS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SHOWN = ("duration_s", "height", "category", "motion", "brightness", "sharpness")
_OF_SOURCES = ("source_id", "status", "error", "warning", "codec", "width", "height")
_THREADS = 8


@dataclass(frozen=True)
class Drops:
    """Why clips were dropped."""

    reasons: list[str]
    """Every reason that occurs; those that come first for most clips come first."""
    first: Ints
    """For every clip the number of its first reason, -1 where it is kept."""
    by_first: Ints
    """For every reason, the clips that it is the first of."""
    by_any: Ints
    """For every reason, the clips that have it among others."""
    by_only: Ints
    """For every reason, the clips that have no other."""


@dataclass(frozen=True)
class Facts:
    """One finished output, as columns."""

    sums: dict[str, Any]
    """The ledger."""
    dataset_hash: str
    clips: pa.Table
    """One row a clip: what the rules look at and what the report draws."""
    scores: list[str]
    """The columns of `clips` that scorers wrote."""
    part: Ints
    """For every clip, the part of the tables that it is in."""
    kept: Bools
    drops: Drops
    resolved: list[Resolved]
    """The rules with their percentiles as numbers."""
    uncut: dict[str, str]
    """Clips that were kept and could not be cut, and why."""
    sources: pa.Table

    def seconds(self, rows: Bools) -> float:
        """The length of some of the clips together."""
        return float(self.clips["duration_s"].to_numpy()[rows].sum())


def gather(out: Place, recipe: Recipe) -> Facts:
    """Read an output that is complete up to its ledger.

    Raises:
        UserError: a table is missing.
    """
    rules = recipe.select.every_rule
    fields = select.rules.columns(rules)
    clips, part = _clips(out, [name for name in (*_SHOWN, *fields) if name in CLIPS.names])
    measures = _measures(out)
    scored = out.schema(parts.path("scores", parts.units(out, "scores")[0])).names
    of_rules = [name for name in fields if name in scored]
    scores = parts.read(out, "scores", list(dict.fromkeys(["clip_id", *measures, *of_rules])))
    words = dict.fromkeys(["clip_id", "caption_words", *(name for name in fields if name in CAPTIONS.names)])
    captions = parts.read(out, "captions", list(words))
    clips = parts.joined(parts.joined(clips, scores), captions)
    _, resolved = select.decide(clips, rules, captioned=True)
    clips = parts.joined(clips, out.table("selection.parquet"))
    manifest = generations.read(out)
    return Facts(
        sums=json.loads(out.text("ledger.json")),
        dataset_hash=manifest["dataset_hash"],
        clips=clips,
        scores=measures,
        part=part,
        kept=clips["kept"].to_numpy().astype(np.bool_),
        drops=_drops(clips["drop_reasons"]),
        resolved=resolved,
        uncut={row["clip_id"]: row["reason"] for row in ledger.failed_cuts(out, manifest)},
        sources=parts.read(out, "sources", _OF_SOURCES),
    )


def _measures(out: Place) -> list[str]:
    """The columns of scores that hold one number a clip."""
    schema = out.schema(parts.path("scores", parts.units(out, "scores")[0]))
    return [field.name for field in schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)]


def _clips(out: Place, columns: list[str]) -> tuple[pa.Table, Ints]:
    """These columns of all clips, and the part that each clip is in."""
    units = parts.units(out, "clips")
    names = list(dict.fromkeys(["clip_id", *columns]))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda unit: out.table(parts.path("clips", unit), names), units))
    table = pa.concat_tables(part.replace_schema_metadata(None) for part in found)
    return table, np.repeat(np.array(units, np.int64), [part.num_rows for part in found])


def _drops(reasons: pa.ChunkedArray) -> Drops:
    lists = reasons.combine_chunks()
    clip = pc.list_parent_indices(lists).to_numpy()
    encoded = pc.list_flatten(lists).dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    dropped, starts, sizes = np.unique(clip, return_index=True, return_counts=True)
    leading = codes[starts]
    by_first = np.bincount(leading, minlength=len(names))
    by_any = np.bincount(codes, minlength=len(names))
    by_only = np.bincount(leading[sizes == 1], minlength=len(names))
    order = sorted(range(len(names)), key=lambda code: (-by_first[code], -by_any[code], names[code]))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    first = np.full(len(lists), -1, np.int64)
    first[dropped] = rank[leading]
    return Drops([names[code] for code in order], first, by_first[order], by_any[order], by_only[order])
