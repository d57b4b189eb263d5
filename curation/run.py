"""The order of the phases over one output: whose it is, which units are not done yet, and the ledger at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow.compute as pc
from rich.console import Console

from curation import generations, ledger, parts, validate
from curation.engine import Engine
from curation.errors import Incomplete, LedgerError, UserError
from curation.events import Events
from curation.metrics import Metrics
from curation.models.scorers import fetch
from curation.phases import Needs, Unit, card, ingest, report, select, shard
from curation.plan import Plan
from curation.prediction import PREDICTION
from curation.progress import PhaseProgress
from curation.recipe import NOTE, Recipe, deciding, hash_of, published
from curation.store import Place, parquet
from curation.watch import Watch
from curation.work import PHASES, perform

ORDER = ("ingest", "split", "score", "select", "caption", "shard", "report")
_RECIPE = "recipe.yaml"
_BY_SOURCE = ("inputs", "sources", "clips", "scores", "captions")
_PARTS = (*_BY_SOURCE, "answers", "cuts", "shards")


class Run:
    """One output directory and one recipe.

    Args:
        update: take over an output that another recipe made, redoing only what the changes touch.
        retry_failed: do those units again in which something failed because a server did not answer, or for a limit.
        address: of a Ray cluster; None starts Ray on this machine when there is work.
        metrics: where to serve Prometheus metrics while there is work, as `PORT` or `HOST:PORT`.

    Raises:
        UserError: the output cannot be written, or was made by another recipe or from other sources.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: str,
        *,
        address: str | None = None,
        update: bool = False,
        retry_failed: bool = False,
        metrics: str | None = None,
        console: Console,
    ):
        self.recipe = recipe
        self.out = Place(out)
        self._plan = Plan(recipe, self.out)
        self._console = console
        self._address = address
        self._engine = Engine(address)
        self._events = Events(self.out)
        self._metrics_at = metrics
        self._metrics: Metrics | None = None
        self._update = update
        self._retried = {"split", "caption", "shard"} if retry_failed else set()
        self._worked = False
        self._seen_done: set[str] = set()
        self._cpu_s = self._peak_mb = 0.0
        self.recipe_hash = hash_of(recipe)

    def curate(self, phases: Sequence[str] = ORDER) -> bool:
        """Run the phases, in order; whether there was anything to do.

        Raises:
            UserError, Incomplete, LedgerError.
        """
        steps: dict[str, Callable[[], None]] = {
            "ingest": self._ingest,
            "split": self._split,
            "score": self._score,
            "select": self._select,
            "caption": self._caption,
            "shard": self._shard,
            "report": self._report,
        }
        started = time.monotonic()
        self._check(phases)
        with self.out.claimed():
            self._begin()
            self._do([steps[name] for name in phases], started)
        return self._worked

    def _do(self, steps: Sequence[Callable[[], None]], started: float) -> None:
        try:
            if self._metrics_at:
                self._metrics = Metrics(self._metrics_at)
                self._say(f"metrics  {self._metrics.url}")
            for step in steps:
                step()
            if self._worked:
                cpu_s, peak_mb = self.usage
                seconds = time.monotonic() - started
                self._events.add("end", seconds=round(seconds, 3), cpu_s=round(cpu_s, 3), peak_mb=round(peak_mb, 1))
        finally:
            self._engine.close()
            if self._metrics:
                self._metrics.close()
            self._events.flush()

    @property
    def usage(self) -> tuple[float, float]:
        """CPU seconds of all units of this run, and the largest memory of one worker in MiB."""
        return self._cpu_s, self._peak_mb

    def _check(self, phases: Sequence[str]) -> None:
        """All that can be checked before the output is touched: sources, rules, cluster, whose output it is."""
        listed, self._passed_over = ingest.listing(self.recipe)
        self._listed, self._plan.addresses = ingest.withheld(listed)
        select.check(self.recipe.select, self._plan.clip_schema())
        self._found = found = self.out.text(_RECIPE) if self.out.exists(_RECIPE) else None
        self._wanted = f"{NOTE}{self.recipe_hash}\n{validate.as_yaml(published(self.recipe))}"
        if found is None:
            self._engine.knock()
            if self._address is None:
                fetch(self.recipe.score)
        if found is None and any(name != PREDICTION for name in self.out.names("")):
            raise UserError(f"{self.out.url()} holds other files and no {_RECIPE}; give another --out")
        if found is not None and not self._update and (differing := _difference(found, self.recipe)):
            raise UserError(
                f"{self.out.url()} was made by another recipe ({differing}); "
                "give another --out, or --update to redo what the change touches"
            )
        committed = ingest.committed(self.out)
        self._grown = committed is not None and committed["fingerprint"] != ingest.fingerprint_of(self._listed)
        if self._grown and not self._update:
            new, gone, other = ingest.changes(self.out, self._listed)
            told = f"{len(new)} new, {len(gone)} gone, {len(other)} changed"
            told += f", first {min(new | gone | other)}" if new | gone | other else ""
            if gone or other:
                raise UserError(
                    f"the sources are not those that {self.out.url()} was made from ({told}); "
                    "give another --out, or --update to drop what is gone and decode again what changed"
                )
            if "ingest" not in phases:
                raise UserError(f"the sources have grown ({told}); run `reelmill curate` to take them in")

    def _begin(self) -> None:
        """Say whose output this is, and clear away what killed writers left."""
        if self._found != self._wanted:
            self.out.check_writable()
            self.out.commit(_RECIPE, self._wanted.encode())
        for table in ("", *_PARTS):
            self.out.sweep(table)
        if committed := ingest.committed(self.out):
            self._remove_stale(committed["units"])

    def _ingest(self) -> None:
        if ingest.committed(self.out) and not self._grown:
            return
        ingest.commit(self.out, self.recipe, self._listed)
        self._worked = True
        note = f", {self._passed_over} other files passed over" if self._passed_over else ""
        self._say(f"ingest   {len(self._listed)} sources listed{note}")
        self._events.add("ingest", sources=len(self._listed), passed_over=self._passed_over)

    def _split(self) -> None:
        self._units("split", self._plan.split_units())

    def _score(self) -> None:
        self._complete("split", self._plan.split_units)
        if self._address is None and self._pending("score", self._plan.score_units()):
            fetch(self.recipe.score)
        self._units("score", self._plan.score_units())

    def _select(self) -> None:
        """With the captions where they are complete, without them before."""
        self._complete("split", self._plan.split_units)
        self._complete("score", self._plan.score_units)
        self._decide(captioned=not self._pending("caption", self._plan.caption_units()))

    def _caption(self) -> None:
        self._complete("split", self._plan.split_units)
        self._complete("score", self._plan.score_units)
        self._units("caption", self._plan.caption_units())
        self._decide(captioned=True)

    def _shard(self) -> None:
        self._complete("split", self._plan.split_units)
        self._complete("score", self._plan.score_units)
        self._complete("caption", self._plan.caption_units)
        self._decide(captioned=True)
        units = self._plan.shard_units(retry="shard" in self._retried)
        if pending := self._pending("shard", units):
            self._units("cut", self._plan.cut_units(units, pending))
            self._units("shard", units, self._plan.filled)
        self._retried.discard("shard")
        self._publish(units)
        self._balance()

    def _publish(self, units: list[Unit]) -> None:
        """Make the shards a generation, and clear away what none names."""
        before = generations.newest(self.out)
        content = shard.manifest(self.out, self.recipe.name, self.recipe_hash, units, before)
        manifest, new = generations.publish(self.out, content)
        if new:
            self._worked = True
            known = {entry["sha256"] for entry in before["shards"]} if before else set()
            kept = sum(entry["sha256"] in known for entry in manifest["shards"])
            number, made = manifest["generation"], len(units) - kept
            self._say(f"shard    generation {number}: {made} new shards" + (f", {kept} as before" if before else ""))
            self._events.add("generation", generation=number, new=made, kept=kept)
        for file in generations.unnamed(self.out):
            self.out.remove(file)
        for number in parts.units(self.out, "cuts"):
            self.out.remove(parts.path("cuts", number))
        for name in self.out.names("cuts", ".tar"):
            self.out.remove(f"cuts/{name}")
        self.out.remove_empty("cuts")

    def _report(self) -> None:
        if not self.out.exists("ledger.json"):
            raise UserError(f"{self.out.url('ledger.json')} is not there yet; run `reelmill shard` first")
        self._complete("shard", self._plan.shard_units)
        made_of = report.made_of(self.out, self.recipe)
        if report.fingerprint_of(self.out) == made_of:
            return
        started = time.monotonic()
        report.write(self.out, self.recipe, made_of)
        self._worked = True
        self._say(f"report   {self.out.url(report.PAGE)} written in {time.monotonic() - started:.1f} s")
        self._events.add("report", seconds=round(time.monotonic() - started, 3))

    def _pending(self, phase: str, units: list[Unit]) -> list[Unit]:
        """The units that are not committed yet, or from other inputs or settings."""
        done = parts.footers(self.out, PHASES[phase].writes[-1])
        return [
            unit
            for unit in units
            if done.get(unit.number, {}).get("fingerprint") != unit.fingerprint
            or (phase in self._retried and done[unit.number].get("unreachable"))
        ]

    def _needs(self, phase: str) -> Needs:
        """What a unit takes; who wants a GPU does without where there is none."""
        needs = PHASES[phase](self.recipe).takes()
        return needs if not needs.gpus or self._engine.gpus() >= needs.gpus else replace(needs, gpus=0)

    def _complete(self, phase: str, planned: Callable[[], list[Unit]]) -> None:
        """Raise a `UserError` if an earlier phase still has work to do. What this run saw done is not looked at."""
        if phase in self._seen_done:
            return
        units = planned()
        if pending := self._pending(phase, units):
            raise UserError(
                f"{len(pending)} of {len(units)} units of {phase} are not done; run `reelmill {phase}` first"
            )

    def _units(self, phase: str, units: list[Unit], filled: Callable[[Sequence[Unit]], Iterable[Unit]] = iter) -> None:
        """Do the units of a phase that are not done yet, filled as they are handed out."""
        pending = self._pending(phase, units)
        self._retried.discard(phase)  # once is enough
        self._seen_done.add(phase)
        if not pending:
            return
        self._worked = True
        started = time.monotonic()
        self._events.add("start", phase=phase, units=len(units), pending=len(pending))
        if self._metrics:
            self._metrics.start(phase, len(pending))
        work = partial(perform, phase, self.recipe.model_dump_json(by_alias=True), self.out.root)
        with PhaseProgress(self._console, phase, len(units), len(units) - len(pending)) as progress:
            watch = Watch(phase, progress, self._events, self._metrics)
            failures = self._engine.run(phase, self._needs(phase), work, filled(pending), watch)
        self._cpu_s += watch.cpu_s
        self._peak_mb = max(self._peak_mb, watch.peak_mb)
        seconds = round(time.monotonic() - started, 3)
        self._events.add("done", phase=phase, seconds=seconds, cpu_s=round(watch.cpu_s, 3))
        if failures:
            raise Incomplete(
                f"{len(failures)} of {len(units)} units of {phase} failed every time, first {failures[0].unit}: "
                f"{failures[0].reason}; the others are done, run again to try these"
            )

    def _decide(self, *, captioned: bool) -> None:
        selection = self._plan.selection(captioned=captioned)
        if self._commit("selection.parquet", parquet(selection)):
            kept = selection.filter(pc.field("kept")).num_rows
            rules = "all rules" if captioned else "rules that need no caption"
            self._say(f"select   {kept} of {selection.num_rows} clips kept by the {rules}")
            self._events.add("select", clips=selection.num_rows, kept=kept, captioned=captioned)

    def _balance(self) -> None:
        """Assert the sums and write them down."""
        if wrong := ledger.discrepancies(self.out):
            raise LedgerError("; ".join(wrong[:5]))
        sums = ledger.balance(self.out)
        self._commit("ledger.json", json.dumps(sums, indent=1, ensure_ascii=False).encode())
        licences = parts.read(self.out, "sources", ["licence"])["licence"].to_pylist()
        self._commit(card.CARD, card.card(self.recipe, generations.read(self.out), sums, licences).encode())

    def _commit(self, path: str, data: bytes) -> bool:
        """Write a file unless it already holds these bytes; whether it was written."""
        if self.out.exists(path) and self.out.read(path) == data:
            return False
        self.out.commit(path, data)
        self._worked = True
        return True

    def _remove_stale(self, units: int) -> None:
        """Parts beyond the last unit: of a listing that was never complete."""
        for table in _BY_SOURCE:
            for unit in parts.units(self.out, table):
                if unit >= units:
                    self.out.remove(parts.path(table, unit))

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _difference(found: str, recipe: Recipe) -> str:
    """The first keys in which an output's recipe would give another one; of its sources only what they are matters."""
    import yaml

    before = _flat(deciding(yaml.safe_load(found) or {}))
    now = _flat(deciding(recipe))
    keys = [
        key
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not key.startswith("sources.")
    ]
    told = [f"{key}: {before.get(key)} then, {now.get(key)} now" for key in keys[:2]]
    return "; ".join(told) + (f"; and {len(keys) - 2} more" if len(keys) > 2 else "")


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        items = list(enumerate(value))
    if not items:
        return {key: value}
    flat: dict[str, Any] = {}
    for name, item in items:
        flat.update(_flat(item, f"{key}.{name}" if key else str(name)))
    return flat
