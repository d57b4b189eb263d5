"""What there is to do in one output: the units of every phase, and the rows that each of them is given.

A plan reads what earlier phases committed and writes nothing. The same recipe over the same tables gives the same
units with the same fingerprints, on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import generations, parts, tables, versions
from curation.errors import UserError
from curation.phases import Unit, ingest, select, shard
from curation.phases.buckets import COLUMNS
from curation.phases.score import measures, travelling
from curation.phases.select.percentiles import Bools, Ints
from curation.phases.select.reasons import Verdict
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import CAPTIONS, CLIPS
from curation.validate import fingerprint
from curation.work import PHASES

SELECTION = "selection.parquet"
_LOOKED_AT = b"looked_at"  # in the selection: what its near-duplicates were found among
_DIGEST = "digest"
# Clips whose rows are in memory at a time, of those that wait to be packed.
_CLIPS_AT_ONCE = 1 << 18


class Plan:
    """The units that a recipe makes of one output.

    Args:
        addresses: whole addresses by source id, where the stored ones lack credentials.
    """

    def __init__(self, recipe: Recipe, out: Place, addresses: Mapping[str, str] | None = None):
        self.recipe = recipe
        self.out = out
        self.addresses = addresses or {}
        self._found: dict[str, Ints] = {}

    def split_units(self) -> list[Unit]:
        committed = ingest.committed(self.out)
        if committed is None:
            raise UserError(f"{self.out.url('inputs')}/ is not complete; run `reelmill ingest` first")
        inputs = parts.footers(self.out, "inputs")
        units = [self._unit("split", number, inputs[number]["fingerprint"]) for number in range(committed["units"])]
        return [self._reaching(unit, "inputs") for unit in units]

    def score_units(self) -> list[Unit]:
        contents = self._clip_contents()
        return [self._unit("score", number, content, pa.table({"content": [content]})) for number, content in contents]

    def caption_units(self) -> list[Unit]:
        """The clips of each part that pass the rules which need no caption."""
        kept = self.selection(captioned=False)["kept"]
        sources = parts.footers(self.out, "sources")
        clips = parts.read(self.out, "clips", ["clip_id"], numbered=True).filter(kept)
        part = clips["part"].to_numpy()
        # How well a caption fits is told by embeddings, which another version of their scorer makes anew.
        scores = parts.footers(self.out, "scores") if self.recipe.score.clip is not None else {}
        units = []
        for number, content in self._clip_contents():
            first, end = np.searchsorted(part, [number, number + 1])
            given = clips.select(["clip_id"]).slice(first, end - first).combine_chunks()
            inputs = [content, sources[number]["content"], given["clip_id"].to_pylist()]
            inputs += [scores[number]["scorers"]["clip"]] if scores else []
            units.append(self._unit("caption", number, inputs, given))
        return units

    def shard_units(self, retry: bool = False) -> list[Unit]:
        """The shards of the newest generation that still hold what they should, and new ones of all other kept clips.

        Each is given its clips, with a hash of all that a sample says of them; `filled` gives the rest. Doing this
        again after the new ones were published gives the same units, so that it does not matter when a run was killed.

        Args:
            retry: clips of published shards that could not be cut because a server did not answer are cut again.
        """
        kept = shard.shuffled(self._sketch(), self.recipe.shard.seed)
        published = generations.newest(self.out)
        units, rest = self._taken_over(kept, published, retry)
        first = generations.next_shard(published)
        return units + [self._shard(first + n, given) for n, given in enumerate(shard.dealt(rest, self.recipe.shard))]

    def filled(self, units: Sequence[Unit]) -> Iterator[Unit]:
        """Units of `shard_units` with all that a sample says of their clips.

        Some are filled at a time, in one pass over the tables, so that memory does not grow with the dataset.
        """
        for start in range(0, len(units), self._window):
            window = units[start : start + self._window]
            wanted = pa.concat_tables(_given(unit).select(["clip_id", "part"]) for unit in window)
            found = pa.concat_tables(parts.ahead(lambda of_part: self._said(*of_part), _by_part(wanted)))
            for unit in window:
                at = pc.index_in(_given(unit)["clip_id"], value_set=found["clip_id"])
                yield replace(unit, given=found.take(at).combine_chunks())

    @property
    def _window(self) -> int:
        return max(1, _CLIPS_AT_ONCE // self.recipe.shard.samples)

    def _sketch(self) -> pa.Table:
        """Of every kept clip what a plan must know: id, part, what buckets look at, a hash of its sample's row."""

        def sketched(of_part: tuple[int, pa.ChunkedArray]) -> pa.Table:
            rows = self._said(*of_part)
            # Where a clip is stored is nothing that a shard says.
            digests = parts.digests(rows.drop_columns(["part"]))
            return rows.select(["clip_id", "part", *COLUMNS]).append_column(_DIGEST, digests)

        clips = parts.read(self.out, "clips", ["clip_id"], numbered=True)
        selection = self.out.table(SELECTION, ["clip_id", "kept"])
        chosen = selection["kept"]
        if not clips["clip_id"].equals(selection["clip_id"]):
            chosen = pc.is_in(clips["clip_id"], value_set=selection["clip_id"].filter(chosen))
        kept = clips.filter(chosen)
        by_part = _by_part(kept) if kept.num_rows else [(parts.units(self.out, "clips")[0], kept["clip_id"])]
        return pa.concat_tables(parts.ahead(sketched, by_part))

    def _said(self, number: int, ids: pa.ChunkedArray) -> pa.Table:
        """All that samples say of these clips of one part, and the part's number, in the order of the ids."""
        columns = shard.given(travelling(self.recipe))
        wanted = set(columns.values())

        def beside(rows: pa.Table, name: str, key: str, known: Sequence[str]) -> pa.Table:
            more = self.out.table(parts.path(name, number), [key, *(name for name in known if name in wanted)])
            return parts.joined(rows, more, key)

        rows = pa.table({"clip_id": ids})
        rows = beside(rows, "clips", "clip_id", [name for name in CLIPS.names if name != "clip_id"])
        if scores := [field.name for field in travelling(self.recipe)]:
            rows = beside(rows, "scores", "clip_id", scores)
        rows = beside(rows, "captions", "clip_id", tables.OF_CAPTION)
        rows = beside(rows, "sources", "source_id", tables.OF_SOURCE)
        rows = rows.append_column("part", pa.array([number] * rows.num_rows, pa.int32()))
        return rows.select(list(columns.values())).rename_columns(list(columns))

    def _taken_over(
        self, kept: pa.Table, published: generations.Manifest | None, retry: bool
    ) -> tuple[list[Unit], pa.Table]:
        """The published shards that hold kept clips alone and say of them what is said now; and all other clips."""
        there = set(parts.units(self.out, "shards"))
        entries = published["shards"] if published else []
        shards = {generations.shard_number(entry): entry.get("made_of") for entry in entries}
        numbers = [number for number, made_of in shards.items() if made_of and number in there]
        found = list(parts.ahead(lambda number: shard.holding(self.out, number), numbers))
        held = [clips for clips, _ in found]
        ids = pa.chunked_array(held, pa.string())
        of = np.repeat(np.arange(len(held)), [len(clips) for clips in held])
        at = pc.fill_null(pc.index_in(kept["clip_id"], value_set=ids), -1).to_numpy()
        which = np.where(at < 0, -1, of[at]) if len(of) else at
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(len(held) + 1))
        units, left = [], which < 0
        for place, number in enumerate(numbers):
            rows = order[ends[place] : ends[place + 1]]
            unit = self._shard(number, kept.take(pa.array(rows)))
            again = retry and found[place][1]
            if len(rows) == len(held[place]) and unit.fingerprint == shards[number] and not again:
                units.append(unit)
            else:
                left[rows] = True
        return units, kept.filter(pa.array(left))

    def _shard(self, number: int, given: pa.Table) -> Unit:
        content = hashlib.sha256(b"".join(given[_DIGEST].to_pylist())).hexdigest()
        return self._unit("shard", number, [list(shard.given(travelling(self.recipe))), content], given)

    def cut_units(self, shards: list[Unit], pending: list[Unit]) -> list[Unit]:
        """The clips of new shards, by parts; of every part that a pending shard takes something from.

        Clips of new shards that are done already stay with their part, so that a run that goes on finds its cuts again.
        """
        published = generations.newest(self.out)
        old = {generations.shard_number(entry) for entry in published["shards"]} if published else set()
        redone = {unit.number for unit in pending}
        new = [_given(unit) for unit in shards if unit.number in redone or unit.number not in old]
        wanted = pa.concat_tables(given.select(["clip_id", "part"]) for given in new)
        needed = pc.unique(pa.chunked_array([c for unit in pending for c in _given(unit)["part"].chunks], pa.int32()))
        wanted = wanted.filter(pc.is_in(wanted["part"], value_set=needed))
        # An image that was replaced has the same id and range; only what was found in it tells.
        contents, sources = dict(self._clip_contents()), parts.footers(self.out, "sources")
        units = []
        for number, ids in _by_part(wanted):
            given = pa.table({"clip_id": ids.take(pc.sort_indices(ids))}).combine_chunks()
            inputs = [contents[number], sources[number]["content"], given["clip_id"].to_pylist()]
            units.append(self._reaching(self._unit("cut", number, inputs, given), "sources"))
        return units

    def _reaching(self, unit: Unit, table: str) -> Unit:
        """The unit with the addresses of the sources in its part of a table that need credentials."""
        if not self.addresses:
            return unit
        sources = self.out.table(parts.path(table, unit.number), ["source_id"])["source_id"].to_pylist()
        needed = {name: self.addresses[name] for name in sources if name in self.addresses}
        return replace(unit, addresses=needed) if needed else unit

    def clip_schema(self) -> pa.Schema:
        """Every column that a rule may name."""
        return pa.schema([*CLIPS, *measures(self.recipe), *(f for f in CAPTIONS if f.name != "clip_id")])

    def clips(self, columns: Sequence[str]) -> pa.Table:
        """These columns of all clips, wherever they are stored."""
        wanted = dict.fromkeys(["clip_id", "source_id", *(name for name in columns if name in CLIPS.names)])
        table = parts.read(self.out, "clips", list(wanted), numbered="part" in columns)
        scores = [field.name for field in measures(self.recipe) if field.name in columns]
        if scores:
            table = parts.joined(table, parts.read(self.out, "scores", ["clip_id", *scores]))
        captions = [name for name in CAPTIONS.names if name in columns and name != "clip_id"]
        if captions and parts.units(self.out, "captions"):
            table = parts.joined(table, parts.read(self.out, "captions", ["clip_id", *captions]))
        return table

    def selection(self, *, captioned: bool) -> pa.Table:
        """What is kept. The search for near-duplicates is not done again while what it looked at is the same."""
        chosen, known = self.recipe.select, self.clip_schema()
        keep_by = select.kept_by(chosen, known)
        needed = select.columns(chosen, known)
        if not captioned:
            needed = [name for name in needed if name not in select.OF_CAPTION]
        clips = self.clips(needed)
        looked_at: list[str] = []

        def search(rows: Bools) -> Ints:
            assert chosen.duplicates is not None
            settings = [select.duplicates.VERSION, chosen.duplicates.model_dump(mode="json"), keep_by]
            scores = [footer["content"] for _, footer in sorted(parts.footers(self.out, "scores").items())]
            taking_part = hashlib.sha256(np.packbits(rows).tobytes()).hexdigest()
            looked_at.append(fingerprint(settings, self._clip_contents(), scores, taking_part))
            return self._repeated(looked_at[0], clips["clip_id"], keep_by, rows)

        def limit(rows: Bools) -> Verdict:
            assert chosen.balance is not None
            return select.balanced(clips, chosen.balance, keep_by, rows)

        def flags(rows: Bools) -> list[Verdict]:
            return select.flagged(clips, chosen.caption_flags, chosen.max_same_caption, rows)

        selection, _ = select.decide(
            clips,
            chosen.every_rule,
            captioned=captioned,
            search=search if chosen.duplicates else None,
            flags=flags if chosen.caption_flags else None,
            limit=limit if chosen.balance else None,
        )
        return selection.replace_schema_metadata({_LOOKED_AT: looked_at[0]} if looked_at else None)

    def _repeated(self, looked_at: str, ids: pa.ChunkedArray, keep_by: list[str], rows: Bools) -> Ints:
        """Of every clip the row of the one that it repeats: as the output has it, or searched anew."""
        if looked_at in self._found:
            return self._found[looked_at]
        if (
            self.out.exists(SELECTION)
            and (self.out.schema(SELECTION).metadata or {}).get(_LOOKED_AT) == looked_at.encode()
        ):
            better = self.out.table(SELECTION, ["duplicate_of"])["duplicate_of"]
            found = pc.index_in(better, value_set=ids.combine_chunks(), skip_nulls=True).fill_null(-1)
            self._found[looked_at] = found.to_numpy().astype(np.int64)
        else:
            settings = self.recipe.select.duplicates
            assert settings is not None
            clips = self.clips(select.duplicates.columns(settings, keep_by, self.clip_schema()))
            self._found[looked_at] = select.duplicates.search(clips, settings, keep_by, rows)
        return self._found[looked_at]

    def _clip_contents(self) -> list[tuple[int, str]]:
        """The parts of the clips, each with the hash of its rows; whatever made them, these are what counts."""
        footers = parts.footers(self.out, "clips")
        return [(number, footers[number]["content"]) for number in sorted(footers)]

    def _unit(self, phase: str, number: int, inputs: Any, given: pa.Table | None = None) -> Unit:
        kind = PHASES[phase]
        settings = kind(self.recipe).settings()
        return Unit(number, fingerprint(phase, kind.version, settings, inputs), given, versions.tools())


def _given(unit: Unit) -> pa.Table:
    assert unit.given is not None
    return unit.given


def _by_part(clips: pa.Table) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """The ids of the clips of each part, in the order that they have there."""
    order = pa.array(np.argsort(clips["part"].to_numpy(), kind="stable"))
    clips = clips.take(order)
    part = clips["part"].to_numpy()
    numbers, starts = np.unique(part, return_index=True)
    for number, start, end in zip(numbers, starts, [*starts[1:], len(part)]):
        yield int(number), clips["clip_id"].slice(start, end - start)
