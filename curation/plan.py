"""What there is to do in one output: the units of every phase, and the rows that each of them is given.

A plan reads what earlier phases committed and writes nothing. The same recipe over the same tables gives the same
units with the same fingerprints, on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import generations, parts, tables, versions
from curation.errors import UserError
from curation.phases import Unit, cut, ingest, select, shard
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
_THREADS = 8


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
        if not self.addresses:
            return units
        listed = parts.read(self.out, "inputs", ["source_id"], numbered=True)
        return [self._reaching(unit, listed.filter(pc.field("part") == unit.number)["source_id"]) for unit in units]

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

        Each is given all that a sample says of its clips. Doing this again after the new ones were published gives the
        same units, so that it does not matter when a run was killed.

        Args:
            retry: clips of published shards that could not be cut because a server did not answer are cut again.
        """
        columns = shard.given(travelling(self.recipe))
        kept = self.kept(list(columns.values())).rename_columns(list(columns))
        kept = shard.shuffled(kept, self.recipe.shard.seed)
        published = generations.newest(self.out)
        units, rest = self._taken_over(kept, published, retry)
        first = generations.next_shard(published)
        return units + [self._shard(first + n, given) for n, given in enumerate(shard.dealt(rest, self.recipe.shard))]

    def _taken_over(
        self, kept: pa.Table, published: generations.Manifest | None, retry: bool
    ) -> tuple[list[Unit], pa.Table]:
        """The published shards that hold kept clips alone and say of them what is said now; and all other clips."""
        there = set(parts.units(self.out, "shards"))
        entries = published["shards"] if published else []
        shards = {generations.shard_number(entry): entry.get("made_of") for entry in entries}
        numbers = [number for number, made_of in shards.items() if made_of and number in there]
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda number: shard.holding(self.out, number), numbers))
        held = [clips for clips, _ in found]
        ids = pa.array([clip_id for clips in held for clip_id in clips], pa.string())
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
        # Where the clips are stored is nothing that a shard says.
        return self._unit("shard", number, parts.digest(given.drop_columns(["part"])), given.combine_chunks())

    def cut_units(self, shards: list[Unit], pending: list[Unit]) -> list[Unit]:
        """The clips of new shards, by parts; of every part that a pending shard takes something from.

        Clips of new shards that are done already stay with their part, so that a run that goes on finds its cuts again.
        """
        published = generations.newest(self.out)
        old = {generations.shard_number(entry) for entry in published["shards"]} if published else set()
        redone = {unit.number for unit in pending}
        new = [unit.given for unit in shards if unit.given and (unit.number in redone or unit.number not in old)]
        wanted = pa.concat_tables(given.select(["clip_id"]) for given in new)["clip_id"]
        parts_needed = {part for unit in pending if unit.given for part in unit.given["part"].to_pylist()}
        kept = self.kept(["part", *cut.GIVEN])
        kept = kept.filter(pc.is_in(kept["clip_id"], value_set=wanted.combine_chunks()))
        contents = dict(self._clip_contents())
        units = []
        for part in sorted(parts_needed):
            given = kept.filter(pc.field("part") == part).combine_chunks()
            # An image that was replaced has the same id and range; only what was found in it tells.
            unit = self._unit("cut", part, [contents[part], given.to_pylist()], given)
            units.append(self._reaching(unit, given["source_id"]))
        return units

    def _reaching(self, unit: Unit, sources: pa.ChunkedArray) -> Unit:
        """The unit with the addresses of these sources that need credentials."""
        needed = {name: self.addresses[name] for name in sources.unique().to_pylist() if name in self.addresses}
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

    def kept(self, columns: list[str]) -> pa.Table:
        """These columns of the kept clips and their sources, in the order of the clips."""
        of_source = [name for name in (*tables.OF_SOURCE, "mended", "warning") if name in columns]
        kept = self.out.table(SELECTION).filter(pc.field("kept")).select(["clip_id"])
        clips = parts.joined(kept, self.clips([name for name in columns if name not in of_source]))
        sources = parts.read(self.out, "sources", ["source_id", *of_source])
        return parts.joined(clips, sources, "source_id").select(columns)

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
