"""What a run over all sources will give, need and cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.estimate.cluster import Cluster, here
from curation.estimate.measure import MEASURED, TABLES, Measured, Source
from curation.estimate.totals import DRAWS, Floats, Totals, ranged
from curation.phases import ingest
from curation.recipe import Recipe
from curation.store import is_url, parquet
from curation.tables import CAPTIONS, CLIPS, INPUTS, SOURCES
from curation.work import PHASES

# Seconds of a run that no footage changes: Ray, its workers, the report. Measured on two cores.
_STARTING_S = 8.0
# Two timings of the same work differ by this share (standard deviation); seen over runs on a quiet machine.
_TIMING = 0.1
# Bytes of a part's footer beside an empty table.
_FOOTER_BYTES = 300
_SCHEMAS = {"inputs": INPUTS, "sources": SOURCES, "clips": CLIPS, "captions": CAPTIONS}
_BY_SOURCE = ("inputs", "sources")
_AFTER = {"split": ("inputs", "sources", "clips"), "score": ("scores",), "caption": ("captions",)}


@dataclass(frozen=True)
class Population:
    """All that goes in, by kind."""

    kinds: list[Totals]
    """Films, and images."""
    sources: int
    unusable: int
    """Rows of the manifest that name nothing that could be read."""
    bytes: dict[str, float]
    """As a range, where not all sizes are known."""
    longest_s: float
    largest: int
    """Bytes of the largest source that is known."""


class Prediction:
    """The parts of a prediction, each an array of the estimate and the bootstrap's draws."""

    def __init__(
        self,
        recipe: Recipe,
        population: Population,
        measured: Measured,
        cluster: Cluster | None,
        chance: np.random.Generator,
    ):
        self._recipe, self._all, self._measured = recipe, population, measured
        self._cluster, self._elsewhere = cluster or here(), cluster is not None
        self._timing = np.exp(chance.normal(0, _TIMING, DRAWS + 1))
        self._timing[0] = 1.0
        self._units = math.ceil(population.sources / ingest.unit_size(recipe, population.sources))

    def sources(self) -> dict[str, Any]:
        ok = self._each("ok")
        return {
            "ok": ranged(ok),
            "failed": ranged(self._all.sources - ok),
            "hours": ranged(self._sum("hours")),
            "bytes": self._all.bytes,
        }

    def clips(self) -> dict[str, Any]:
        amounts = {"all": "clips", "hours": "clip_hours", "kept": "kept", "kept_hours": "kept_hours"}
        return {name: ranged(self._sum(amount)) for name, amount in amounts.items()}

    def samples(self) -> dict[str, Any]:
        samples = self._sum("samples")
        return {
            "in shards": ranged(samples),
            "hours": ranged(self._sum("sample_hours")),
            "bytes": ranged(self._tars()),
            "shards": ranged(np.ceil(np.round(samples, 6) / self._recipe.shard.samples)),
        }

    def phases(self) -> dict[str, Any]:
        """What each phase costs, and how much lies in the output when it ends."""
        cpu, there = {phase: self._cpu_s(phase) for phase in MEASURED}, self._there()
        phases = {}
        for phase in MEASURED:
            gpu = self._gpu_s(phase, cpu[phase])
            times = {"cpu_s": cpu[phase], "gpu_s": gpu, "wall_s": self._wall_s(phase, cpu[phase], gpu)}
            phases[phase] = {name: ranged(draws) for name, draws in {**times, "bytes": there[phase]}.items()}
        return phases

    def whole(self) -> dict[str, Any]:
        """What the run costs altogether."""
        cpu = {phase: self._cpu_s(phase) for phase in MEASURED}
        gpu = {phase: self._gpu_s(phase, cpu[phase]) for phase in MEASURED}
        wall = _STARTING_S * self._busy() + sum(self._wall_s(phase, cpu[phase], gpu[phase]) for phase in MEASURED)
        at_once = np.maximum.reduce(list(self._there().values()))
        rent = self._cluster.cpus * (self._cluster.cpu_price or 0) + self._cluster.gpus * (self._cluster.gpu_price or 0)
        priced = self._cluster.cpu_price is not None or self._cluster.gpu_price is not None
        return {
            "cpu_s": ranged(np.asarray(sum(cpu.values()))),
            "gpu_s": ranged(np.asarray(sum(gpu.values()))),
            "wall_s": ranged(np.asarray(wall)),
            "peak_bytes": ranged(at_once),
            "scratch_bytes": self._scratch(),
            "dollars": ranged(np.asarray(wall / 3600 * rent)) if priced else None,
        }

    def _sum(self, name: str) -> Floats:
        return self._over(lambda source: source.gave[name])

    def _over(self, amount: Callable[[Source], float | None]) -> Floats:
        return np.asarray(sum((kind.of(amount) for kind in self._all.kinds), np.zeros(DRAWS + 1)))

    def _each(self, name: str) -> Floats:
        zero = np.zeros(DRAWS + 1)
        return np.asarray(sum((kind.of_each(lambda source: source.gave[name]) for kind in self._all.kinds), zero))

    def _tars(self) -> Floats:
        return self._sum("media_bytes") + self._measured.overhead * self._sum("samples")

    def _cpu_s(self, phase: str) -> Floats:
        """Of all units, and of the set-up of every worker that does some."""
        if phase == "shard":
            media = sum(source.gave["media_bytes"] for source in self._measured.sources)
            return self._timing * self._sum("media_bytes") * (self._measured.shard_cpu_s / media if media else 0.0)
        first = self._measured.first_s.get(phase)
        if first is None:
            return np.zeros(DRAWS + 1)
        number, first_s = first
        source = self._measured.sources[number]
        kind = next(kind for kind in self._all.kinds if source in kind.sources)
        if all(phase not in each.cpu_s for each in kind.sources):  # there is no other: what the first took is all
            rest = self._over(lambda one: first_s if one is source else one.cpu_s.get(phase))
            return self._timing * rest
        setting_up = max(0.0, first_s - kind.rate(lambda one: one.cpu_s.get(phase)) * source.seconds)
        work = self._over(lambda one: one.cpu_s.get(phase))
        return self._timing * (work + setting_up * min(self._slots(phase), self._units))

    def _gpu_s(self, phase: str, cpu_s: Floats) -> Floats:
        if phase in self._measured.on_gpu:
            return self._timing * self._over(lambda source: source.wall_s.get(phase))
        if self._takes_gpu(phase) and self._cluster.gpus and self._cluster.gpu_speed:
            return cpu_s / self._cluster.gpu_speed
        return np.zeros(DRAWS + 1)

    def _wall_s(self, phase: str, cpu_s: Floats, gpu_s: Floats) -> Floats:
        """All slots busy to the end, but never less than the longest film takes."""
        slots = self._slots(phase)
        if gpu_s.any():
            return gpu_s / slots
        waited = self._over(lambda source: _waited(source, phase, self._elsewhere))
        films = self._all.kinds[0]
        longest = self._all.longest_s * films.rate(lambda source: source.cpu_s.get(phase))
        if phase == "split" and self._recipe.split.segment_s:
            longest /= max(1.0, min(slots, self._all.longest_s / self._recipe.split.segment_s))
        return np.maximum((cpu_s + waited) / slots, self._timing * longest)

    def _busy(self) -> float:
        """How many times longer than it should this machine takes for things, for what else it does."""
        if self._elsewhere:
            return 1.0
        local = [source for source in self._measured.sources if not is_url(source.probed.row["uri"])]
        cpu_s, wall_s = (sum(sum(costs.values()) for costs in each) for each in _costs(local))
        return max(1.0, wall_s / cpu_s) if cpu_s else 1.0

    def _slots(self, phase: str) -> float:
        """Units that are done at the same time."""
        needs = PHASES[phase](self._recipe).takes()
        measured = phase in self._measured.on_gpu or self._cluster.gpu_speed
        if needs.gpus and measured and self._cluster.gpus:
            return max(1.0, self._cluster.gpus / needs.gpus)
        return max(1.0, self._cluster.cpus / max(needs.cpus, 0.1))

    def _takes_gpu(self, phase: str) -> bool:
        return phase in ("score", "caption") and bool(PHASES[phase](self._recipe).takes().gpus)

    def _there(self) -> dict[str, Floats]:
        """Bytes in the output at the end of each phase; cuts stay until the shards are complete."""
        there, total = {}, np.zeros(DRAWS + 1)
        for phase, tables in _AFTER.items():
            total = total + sum((self._table(name) for name in tables), np.zeros(DRAWS + 1))
            there[phase] = total
        there["cut"] = total + self._sum("media_bytes")
        there["shard"] = there["cut"] + self._tars()
        return there

    def _table(self, name: str) -> Floats:
        """A part has a footer however few rows it has, so that many small parts take more than their rows."""
        schema: pa.Schema = PHASES["score"](self._recipe).schema("scores") if name == "scores" else _SCHEMAS[name]
        empty = len(parquet(schema.empty_table())) + _FOOTER_BYTES
        of = [kind.of_each if name in _BY_SOURCE else kind.of for kind in self._all.kinds]
        rows = sum((total(lambda s: max(0.0, s.gave[f"{name}_bytes"] - empty)) for total in of), np.zeros(DRAWS + 1))
        return np.asarray(rows + empty * self._units)

    def _scratch(self) -> int:
        """Room in the temporary folder of each worker: the copy of a remote source, and the clips cut from it."""
        remote = any(is_url(source.probed.row["uri"]) for source in self._measured.sources)
        clips = self._all.kinds[0].rate(lambda source: source.gave["media_bytes"]) * self._all.longest_s
        return int(clips + (self._all.largest if remote else 0))


def _costs(sources: list[Source]) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    return [source.cpu_s for source in sources], [source.wall_s for source in sources]


def _waited(source: Source, phase: str, elsewhere: bool) -> float | None:
    """Seconds in which a server was waited for, or this machine did other things; elsewhere these are no reason."""
    if phase not in source.wall_s or (elsewhere and not is_url(source.probed.row["uri"])):
        return 0.0
    return max(0.0, source.wall_s[phase] - source.cpu_s[phase])


assert set(TABLES) == {name for names in _AFTER.values() for name in names}
