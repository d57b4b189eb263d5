"""The phases on some sources, on this machine, by the code that does them in a run: what each source gave and cost."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curation import fetch, generations, parts
from curation.errors import StoreError
from curation.estimate.sample import Probed
from curation.phases import Unit, ingest
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe
from curation.store import Place, parquet
from curation.tables import Row
from curation.video.jail import Jail
from curation.video.probe import MediaError
from curation.work import PHASES, perform

TABLES = ("inputs", "sources", "clips", "scores", "captions")
MEASURED = ("split", "score", "caption", "cut", "shard")
# Of the time that may be spent, what may have gone when the last source is split: cutting takes about as long.
_FOR_SPLITTING = 0.45
_COPY_TIMEOUT_S = 120.0


@dataclass
class Source:
    """What one measured source, or a piece of it, gave and cost."""

    probed: Probed
    weight: float
    seconds: float
    """Of what was measured; 1 for an image."""
    whole: bool
    gave: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Amounts: clips, kept, samples, hours of each, bytes of media, bytes of each table."""
    cpu_s: dict[str, float] = field(default_factory=dict)
    """By phase; the first unit of a phase, which also sets it up, is left out."""
    wall_s: dict[str, float] = field(default_factory=dict)


@dataclass
class Measured:
    """What a sample gave and cost."""

    sources: list[Source]
    skipped: dict[str, str]
    """Sources that were chosen and could not be measured, and why."""
    first_s: dict[str, tuple[int, float]]
    """Of each phase the source whose unit came first, and its CPU seconds, set-up included."""
    shard_cpu_s: float
    overhead: float
    """Bytes that a sample takes in its tar and index beside its media."""
    on_gpu: set[str]
    """Phases that used a GPU."""


def measure(
    recipe: Recipe, chosen: Sequence[tuple[Probed, float]], excerpt_s: float, until: float, chance: np.random.Generator
) -> Measured:
    """Run split, score, captions, cut and shard on these sources one by one, in a temporary place.

    Args:
        chosen: sources with their weights, in an order of chance: where time runs out, the last ones are left out.
        excerpt_s: of longer films a piece of this length is measured.
        until: by the monotonic clock, when it should be done.

    Raises:
        UserError: weights or libraries that the recipe needs are missing.
    """
    with tempfile.TemporaryDirectory(prefix="reelmill-plan-") as folder, _pieces(recipe, Path(folder)) as piece_of:
        began, skipped = time.monotonic(), {}
        sources: list[Source] = []
        rows: list[Row] = []
        for probed, weight in chosen:
            if sources and time.monotonic() - began > _FOR_SPLITTING / 2 * (until - began):
                break
            try:
                source, row = piece_of(probed, weight, excerpt_s, chance)
            except (MediaError, StoreError) as error:
                skipped[probed.row["source_id"]] = str(error)
                continue
            sources.append(source)
            rows.append(row)
        if not sources:
            return Measured([], skipped, {}, 0.0, 0.0, set())
        out = Place(Path(folder, "out"))
        rows, addresses = ingest.withheld(rows)
        ingest.commit(out, recipe, rows)
        bench = _Bench(recipe, out, addresses | piece_of.places)
        return bench.measured(sources, rows, skipped, began + _FOR_SPLITTING * (until - began))


class _Bench:
    """One temporary output, in which the phases are done unit by unit in this process."""

    def __init__(self, recipe: Recipe, out: Place, addresses: dict[str, str]):
        self._recipe, self._out, self._plan = recipe, out, Plan(recipe, out)
        self._plan.addresses = addresses
        self._cost: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
        self._first: dict[str, tuple[int, float]] = {}
        self._on_gpu: set[str] = set()

    def measured(self, sources: list[Source], rows: Sequence[Row], skipped: dict[str, str], until: float) -> Measured:
        plan, out = self._plan, self._out
        self._do("split", plan.split_units(), until)
        sources = sources[: len(self._cost["split"])]
        self._do("score", plan.score_units())
        self._do("caption", plan.caption_units())
        out.commit(SELECTION, parquet(plan.selection(captioned=True)))
        shards = plan.shard_units()
        if shards:
            self._do("cut", plan.cut_units(shards, shards))
            self._do("shard", list(plan.filled(shards)))
        self._amounts(sources)
        for number, source in enumerate(sources):
            for phase in MEASURED[:-1]:
                cpu_s, wall_s = self._cost[phase].get(number, (0.0, 0.0))
                first, _ = self._first.get(phase, (-1, 0.0))
                if number != first:
                    source.cpu_s[phase], source.wall_s[phase] = cpu_s, wall_s
        shard_cpu_s = sum(cpu_s for cpu_s, _ in self._cost["shard"].values())
        return Measured(sources, skipped, self._first, shard_cpu_s, self._overhead(sources), self._on_gpu)

    def _do(self, phase: str, units: Sequence[Unit], until: float | None = None) -> None:
        recipe = self._recipe.model_dump_json(by_alias=True)
        if PHASES[phase](self._recipe).takes().gpus and _has_gpu():
            self._on_gpu.add(phase)
        for unit in units:
            if until is not None and self._cost[phase] and time.monotonic() > until:
                break
            done = perform(phase, recipe, self._out.root, unit)
            self._cost[phase][unit.number] = (done.cpu_s, done.wall_s)
            self._first.setdefault(phase, (unit.number, done.cpu_s))

    def _amounts(self, sources: Sequence[Source]) -> None:
        out = self._out
        names = ["source_id", "status", "duration_s", "bytes"]
        found = {row["source_id"]: row for row in parts.read(out, "sources", names).to_pylist()}
        clips = parts.read(out, "clips", ["clip_id", "source_id", "duration_s"])
        clips = parts.joined(clips, out.table(SELECTION, ["clip_id", "kept"]))
        for number, source in enumerate(sources):
            gave = source.gave
            row = found[source.probed.row["source_id"]]
            gave["ok"], gave["hours"] = float(row["status"] == "ok"), (row["duration_s"] or 0.0) / 3600
            gave["bytes"] = float(row["bytes"] or 0)
            for table in TABLES:
                path = parts.path(table, number)
                gave[f"{table}_bytes"] = float(out.size(path)) if out.exists(path) else 0.0
        of = {source.probed.row["source_id"]: source.gave for source in sources}
        for row in clips.to_pylist():
            gave = of[row["source_id"]]
            gave["clips"] += 1
            gave["clip_hours"] += row["duration_s"] / 3600
            gave["kept"] += row["kept"]
            gave["kept_hours"] += row["kept"] * row["duration_s"] / 3600
        for number in parts.units(out, "shards"):
            for row in out.table(parts.path("shards", number), ["source_id", "duration_s", "bytes"]).to_pylist():
                gave = of[row["source_id"]]
                gave["samples"] += 1
                gave["sample_hours"] += row["duration_s"] / 3600
                gave["media_bytes"] += row["bytes"]

    def _overhead(self, sources: Sequence[Source]) -> float:
        samples = sum(source.gave["samples"] for source in sources)
        tars = sum(self._out.size(f"shards/{name}") for name in self._out.names("shards", generations.SUFFIXES[0]))
        return (tars - sum(source.gave["media_bytes"] for source in sources)) / samples if samples else 0.0


@contextmanager
def _pieces(recipe: Recipe, folder: Path) -> Iterator[_Pieces]:
    jail = Jail(recipe.split.memory_mb)
    try:
        yield _Pieces(recipe, folder, jail)
    finally:
        jail.close()


class _Pieces:
    """Sources as they are measured: short ones as they are, of long ones a piece."""

    def __init__(self, recipe: Recipe, folder: Path, jail: Jail):
        self._recipe, self._folder, self._jail = recipe, folder, jail
        self.places: dict[str, str] = {}
        """Where pieces are, by source id. Tables name the source itself, as those of a run do."""

    def __call__(
        self, probed: Probed, weight: float, excerpt_s: float, chance: np.random.Generator
    ) -> tuple[Source, Row]:
        row = probed.row
        if row["kind"] == "image" or probed.seconds <= 1.5 * excerpt_s:
            return Source(probed, weight, probed.seconds, True), row
        start = float(chance.random()) * (probed.seconds - excerpt_s)
        target = self._folder / f"{len(self.places)}.mkv"
        with fetch.source(row["uri"], max_bytes=self._recipe.ingest.max_bytes) as media:
            found = self._jail.call(
                "excerpt", media, _COPY_TIMEOUT_S, target=str(target), start_s=start, seconds=excerpt_s
            )
        self.places[row["source_id"]] = str(target)
        if row.get("ranges"):
            row = row | {"ranges": _shifted(row["ranges"], found["start_s"], found["seconds"])}
        return Source(probed, weight, found["seconds"], False), row


def _shifted(ranges: Sequence[Row], start_s: float, seconds: float) -> list[Row]:
    """The given ranges that lie in a piece of a film, as of the piece."""
    moved = [
        each | {"start_s": max(each["start_s"] - start_s, 0.0), "end_s": min(each["end_s"] - start_s, seconds)}
        for each in ranges
    ]
    return [each for each in moved if each["end_s"] > each["start_s"]]


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
