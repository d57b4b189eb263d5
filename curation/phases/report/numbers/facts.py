"""What the report knows of an output: numbers, never pictures. One pass over the tables, in flat memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import generations, ledger, parts
from curation.generations import Manifest
from curation.phases import select
from curation.phases.report.numbers import captions as of_captions
from curation.phases.report.numbers import sources as of_sources
from curation.phases.report.numbers.captions import Flags, Repeats, Vocabulary, Words
from curation.phases.report.numbers.columns import Bools, Columns, Ints
from curation.phases.report.numbers.distributions import KEPT, Distribution, distribution, is_number, order
from curation.phases.report.numbers.drops import Counting, Drops, decisions
from curation.phases.report.numbers.labels import Labels
from curation.phases.report.numbers.picks import FIRST, ID, TWICE, UNCUT
from curation.phases.report.numbers.published import Comparison, comparisons
from curation.phases.report.numbers.scan import Rows, Wanted, scan
from curation.phases.report.numbers.sources import Sources
from curation.phases.report.numbers.thresholds import CAPTIONED, IMAGE, group_column, resolved
from curation.phases.select import Resolved
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import CAPTIONS, CLIPS

_ALWAYS = ("source_id", "kind", "duration_s", "height", "width", "category", "motion", "brightness", "sharpness")
_CAPTION = ("caption", "caption_words", "caption_score", "captioner", "caption_flags", "caption_error")
_CATEGORIES = ("zero_shot", "category")
_FREQUENT, _REPEATED = 60, 12


@dataclass(frozen=True)
class Facts:
    """One finished output as numbers. `close` it, or use it in a `with`: the columns lie in temporary files."""

    recipe: Recipe
    sums: dict[str, Any]
    """The ledger."""
    manifest: Manifest
    """Of the newest generation."""
    clips: int
    columns: Columns
    fields: dict[str, pa.Field]
    """The columns of numbers, with their meaning and unit."""
    scores: list[str]
    """Those of them that scorers wrote."""
    units: list[int]
    """The parts of the tables, and in `first_rows` the row in which each begins."""
    first_rows: Ints
    drops: Drops
    resolved: list[Resolved]
    """The rules with their percentiles as numbers."""
    categories: dict[str, Labels]
    """By the columns that name them."""
    kinds: Labels
    kept_bytes: float
    """Of the sources' bytes the share that the kept clips are; NaN where it is not known of all."""
    found_bytes: float
    twice: int
    """Clips that repeat a better one."""
    uncut: dict[str, str]
    """Clips that were kept and could not be cut, and why."""
    uncut_seconds: float
    words: Words
    repeated: list[tuple[int, int]]
    """The captions on most kept clips: a row that has it, and how many."""
    different_captions: int
    flags: Flags
    sources: Sources

    def __enter__(self) -> Facts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.columns.close()

    @property
    def distributions(self) -> list[Distribution]:
        """Every column that is worth a picture: the well-known ones, all scores, and what the rules name."""
        ruled = [one.rule.field for one in self.resolved]
        return [
            distribution(self.columns, self.fields[name], self.resolved)
            for name in order(ruled, self.scores)
            if name in self.fields
        ]

    @property
    def comparisons(self) -> list[Comparison]:
        """LaVie's figures, for this data set."""
        return comparisons(self.columns, self.categories)

    def part(self, row: int) -> int:
        """The part of the tables that a row is in."""
        return self.units[int(np.searchsorted(self.first_rows, row, side="right")) - 1]


def gather(out: Place, recipe: Recipe) -> Facts:
    """Read an output that is complete up to its ledger.

    Raises:
        UserError: a table is missing.
    """
    manifest = generations.read(out)
    uncut = {row["clip_id"]: row["reason"] for row in ledger.failed_cuts(out, manifest)}
    gathering = _Gathering(out, recipe, set(uncut))
    for rows in scan(out, gathering.wanted):
        gathering.add(rows)
    return gathering.facts(json.loads(out.text("ledger.json")), manifest, uncut)


class _Gathering:
    """What has been seen so far."""

    def __init__(self, out: Place, recipe: Recipe, uncut: set[str]):
        self._recipe = recipe
        schema = out.schema(parts.path("scores", parts.units(out, "scores")[0]))
        self._scored = {field.name: field for field in schema if field.name != "clip_id"}
        self._measures = [name for name, field in self._scored.items() if is_number(field.type)]
        ruled = select.rules.columns(recipe.select.every_rule)
        texts = [name for name in self._scored if name in (*ruled, *_CATEGORIES)]
        of_clips = dict.fromkeys([*_ALWAYS, *(name for name in ruled if name in CLIPS.names)])
        of_captions = dict.fromkeys([*_CAPTION, *(name for name in ruled if name in CAPTIONS.names)])
        scores = dict.fromkeys([*self._measures, *texts])
        self.wanted = Wanted(tuple(of_clips), tuple(scores), tuple(of_captions), of_sources.COLUMNS)
        known = {**{f.name: f for f in CLIPS}, **self._scored, **{f.name: f for f in CAPTIONS}}
        self._fields = {name: known[name] for name in (*of_clips, *scores, *of_captions) if is_number(known[name].type)}
        self._groups = {rule.by: Labels(1 << 62) for rule in recipe.select.every_rule if rule.by is not None}
        self._columns = Columns()
        self._categories = {name: Labels() for name in _CATEGORIES if name in (*scores, *of_clips)}
        self._kinds, self._flags, self._sources = Labels(), Flags(), Sources()
        self._counting = Counting(decisions(recipe.select))
        self._vocabulary, self._repeats = Vocabulary(), Repeats()
        self._uncut = _numbers(pa.array(sorted(uncut), pa.string()))
        self._units: list[int] = []
        self._first_rows: list[int] = []
        self._clips = self._twice = 0
        self._found_bytes = self._kept_bytes = self._uncut_seconds = 0.0

    def add(self, rows: Rows) -> None:
        clips, kept = rows.clips, rows.kept
        self._units.append(rows.part)
        self._first_rows.append(self._clips)
        self._clips += clips.num_rows
        for name, field in self._fields.items():
            single = pa.types.is_float32(field.type) or pa.types.is_float16(field.type)
            self._columns.append(name, clips[name].cast(pa.float32() if single else pa.float64()).to_numpy())
        for by, labels in self._groups.items():
            self._columns.append(group_column(by), labels.add(clips[by], kept))
        for name, labels in self._categories.items():
            labels.add(clips[name], kept)
        self._kinds.add(clips["kind"], kept)
        seconds = clips["duration_s"].to_numpy()
        size = of_sources.bytes_of_clips(clips, rows.sources)
        self._found_bytes += float(size.sum())
        self._kept_bytes += float(size[kept].sum())
        ids = _numbers(clips["clip_id"].combine_chunks())
        uncut = np.isin(ids, self._uncut)
        self._uncut_seconds += float(seconds[uncut].sum())
        twice = pc.is_valid(rows.duplicate_of).to_numpy(zero_copy_only=False)
        self._twice += int(twice.sum())
        self._columns.append(FIRST, self._counting.add(rows.reasons, seconds, size))
        image = pc.equal(clips["kind"], "image").to_numpy().astype(np.bool_)
        for name, values in ((ID, ids), (UNCUT, uncut), (TWICE, twice), (KEPT, kept)):
            self._columns.append(name, values)
        self._columns.append(CAPTIONED, rows.captioned)
        self._columns.append(IMAGE, image)
        self._said(clips, rows.captioned, kept)
        self._sources.add(rows.sources)

    def _said(self, clips: pa.Table, captioned: Bools, kept: Bools) -> None:
        self._flags.add(clips, captioned, kept)
        said = pc.if_else(pa.array(kept), clips["caption"], None).combine_chunks()
        self._vocabulary.add(said.drop_null())
        self._columns.append(of_captions.HASH, self._repeats.add(said))

    def facts(self, sums: dict[str, Any], manifest: Manifest, uncut: dict[str, str]) -> Facts:
        self._columns.finish()
        names = {by: labels.names for by, labels in self._groups.items()}
        rules = _in_order(self._recipe)
        repeated, different = self._repeats.most(self._columns, _REPEATED)
        return Facts(
            recipe=self._recipe,
            sums=sums,
            manifest=manifest,
            clips=self._clips,
            columns=self._columns,
            fields=self._fields,
            scores=self._measures,
            units=self._units,
            first_rows=np.array(self._first_rows, np.int64),
            drops=self._counting.drops(self._clips),
            resolved=[resolved(rule, self._columns, names.get(rule.by or "", [])) for rule in rules],
            categories=self._categories,
            kinds=self._kinds,
            kept_bytes=self._kept_bytes,
            found_bytes=self._found_bytes,
            twice=self._twice,
            uncut=uncut,
            uncut_seconds=self._uncut_seconds,
            words=self._vocabulary.words(_FREQUENT),
            repeated=[one for one in repeated if one[1] > 1],
            different_captions=different,
            flags=self._flags,
            sources=self._sources,
        )


def _in_order(recipe: Recipe) -> Sequence[Any]:
    """The rules as they are asked: those on captions last."""
    return [one.rule for one in decisions(recipe.select) if one.rule is not None]


def _numbers(ids: pa.Array) -> np.ndarray:
    """Ids of 16 hex digits as numbers."""
    return np.array([int(name, 16) for name in ids.to_pylist()], np.uint64)
