"""One output of `reelmill curate`, opened to look at and to try other rules on."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from curation import generations, ledger, parts, stats, validate
from curation.errors import UserError
from curation.explore.correlations import correlated
from curation.explore.drawing import Drawing
from curation.explore.edge import drawn, edge
from curation.explore.fork import fork
from curation.explore.rules import moved
from curation.explore.sweeps import gridded, swept
from curation.phases.report.numbers.facts import Facts
from curation.phases.report.numbers.journal import Phase
from curation.phases.report.numbers.published import Comparison
from curation.phases.select.what_if import End, Grid, Sweep
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe, of_output
from curation.recipe_select import Bound
from curation.store import Place
from curation.whatif import Grounds, joint, what_if

RUNS = pa.schema(
    [
        ("phase", pa.string()),
        ("wall_s", pa.float64()),
        ("cpu_s", pa.float64()),  # of its units
        ("units", pa.int64()),
        ("slowest_s", pa.float64()),  # wall time of one unit
        ("retries", pa.int64()),
        ("failed", pa.int64()),  # units that failed every time
    ]
)

COMPARED = pa.schema(
    [
        ("label", pa.string()),
        ("ours", pa.int64()),  # kept clips
        ("share", pa.float64()),  # of 1, as the published ones
        ("vimeo25m", pa.float64()),
        ("webvid10m", pa.float64()),
    ]
)


class Output:
    """A finished output: tables, figures, other thresholds.

    Args:
        out: a folder, or an address such as s3://…

    Raises:
        UserError: it is no output.
    """

    def __init__(self, out: str | Path):
        self.place = Place(str(out))
        self.recipe: Recipe = of_output(self.place)

    @property
    def name(self) -> str:
        return self.recipe.name

    def clips(self, *columns: str) -> pa.Table:
        """These columns of all clips, with `kept` and `drop_reasons`; columns of clips/, scores/ and captions/."""
        known = Plan(self.recipe, self.place).clip_schema().names
        if unknown := [name for name in columns if name not in known]:
            raise UserError(f"there is no column {unknown[0]!r}; there are {', '.join(known)}")
        table = Plan(self.recipe, self.place).clips(columns)
        return parts.joined(table, self.place.table(SELECTION))

    def sources(self) -> pa.Table:
        """All sources, with what was found in each, or why it failed."""
        return parts.read(self.place, "sources")

    def samples(self, *columns: str) -> pa.Table:
        """These columns of the index of all shards of the newest generation; by default all but frame_pts."""
        shards = generations.read(self.place)["shards"]
        wanted = list(columns) or [name for name in self.place.schema(shards[0]["index"]).names if name != "frame_pts"]
        return pa.concat_tables(self.place.table(shard["index"], wanted) for shard in shards)

    @cached_property
    def facts(self) -> Facts:
        """All numbers that the report shows; read once."""
        return stats.read(self.place.root, self.recipe)

    def figure(self, column: str) -> Drawing:
        """How the clips are spread over one column of numbers, with the thresholds on it."""
        return Drawing(partial(stats.draw.histogram, stats.column(self.facts, column)))

    def comparison(self, name: str) -> Drawing:
        """One of LaVie's figures beside what it published: category, duration, caption, aesthetic or height."""
        return Drawing(partial(stats.draw.comparison, self._compared(name), self.name))

    def compared(self, name: str) -> pa.Table:
        """The numbers of such a figure; its metadata holds what was published in another form, or not at all."""
        found = self._compared(name)
        table = pa.Table.from_pylist([asdict(row) for row in found.bins], schema=COMPARED)
        return table.replace_schema_metadata({"notes": "\n".join(found.notes)})

    def _compared(self, name: str) -> Comparison:
        found = {one.name: one for one in self.facts.comparisons}
        if name not in found:
            raise UserError(f"{name!r} is none of LaVie's figures; there are {', '.join(found)}")
        return found[name]

    def words(self) -> pa.Table:
        """The most frequent words of the kept clips' captions, and how often each occurs."""
        frequent = self.facts.words.frequent
        return pa.table({"word": [word for word, _ in frequent], "count": [count for _, count in frequent]})

    def funnel_figure(self) -> Drawing:
        """From sources to samples, with every reason."""
        return Drawing(partial(stats.draw.funnel, stats.funnel(self.facts)))

    def costs_figure(self) -> Drawing:
        """What every rule is against, what it takes of what is left, and what it is alone against."""
        return Drawing(partial(stats.draw.costs, stats.costs(self.facts)))

    def correlations(self, *columns: str) -> Drawing:
        """How columns of numbers move together, by rank (Spearman), over the kept clips."""
        table = self.clips(*columns)
        table = table.filter(table["kept"]).select(list(columns))
        return Drawing(partial(correlated, {name: table[name].cast("float64").to_numpy() for name in columns}))

    def runs(self) -> pa.Table:
        """What every phase took over all runs: time, CPU, units, what was tried again; empty without a log."""
        journal = stats.run(self.place.root)
        return pa.Table.from_pylist([_told(phase) for phase in journal.phases.values()] if journal else [], schema=RUNS)

    @cached_property
    def sums(self) -> dict:
        """The ledger: sources, clips, samples, and what became of them."""
        return ledger.balance(self.place)

    def funnel(self) -> str:
        """What was there and what is left, as the command prints it."""
        return ledger.as_text(ledger.funnel(self.sums))

    def sweep(self, asked: str) -> list[Sweep]:
        """What other values of a threshold keep; see `curation.whatif.what_if`."""
        return what_if(self.place.root, asked, self.recipe)

    def sweep_figures(self, asked: str) -> list[Drawing]:
        """The same, drawn."""
        return [Drawing(partial(swept, found)) for found in self.sweep(asked)]

    def joint(self, first: str, second: str) -> Grid:
        """What two thresholds keep together; see `curation.whatif.joint`."""
        return joint(self.place.root, first, second, self.recipe)

    def joint_figure(self, first: str, second: str) -> Drawing:
        """The same, drawn."""
        found = self.joint(first, second)
        return Drawing(partial(gridded, found))

    def edge_figure(self, threshold: str, bound: Bound | None = None, *, most: int = 6) -> Drawing:
        """Clips just inside and just outside of a threshold (`signal.min`) that pass everything else."""
        field, end = _named(threshold)
        found = edge(Grounds.of(self.place.root, self.recipe), field, end, bound, most)
        return Drawing(partial(drawn, found))

    def with_threshold(
        self, threshold: str, bound: Bound | None, *, write: str | Path, manifest: str | Path | None = None
    ) -> Path:
        """Write a manifest with one threshold moved (`signal.min` to 3.5, or to p25; None takes it away).

        Args:
            write: the new manifest; may be the old one.
            manifest: what to start from, its comments are kept; by default the recipe of this output.
        """
        field, end = _named(threshold)
        text = Path(manifest).read_text() if manifest else self.place.text("recipe.yaml")
        name = str(manifest) if manifest else self.place.url("recipe.yaml")
        Path(write).write_text(moved(text, field, end, bound, name=name))
        return Path(write)

    def fork(self, into: str | Path) -> Output:
        """An output with the tables of this one and no shards, to try other rules on; nothing is decoded again."""
        fork(self.place, Place(str(into)))
        return Output(into)

    def curate(self, manifest: str | Path) -> Output:
        """Do what another manifest changes, and only that: `reelmill curate MANIFEST --out OUT --update`."""
        from curation.run import Run

        recipe = validate.load(str(manifest), Recipe)
        Run(
            recipe,
            self.place.root,
            update=True,
            console=Console(stderr=True, force_jupyter=False, force_terminal=False),
        ).curate()
        return Output(self.place.root)


def _told(phase: Phase) -> dict[str, object]:
    return {"phase": phase.name} | {name: getattr(phase, name) for name in RUNS.names[1:]}


def _named(threshold: str) -> tuple[str, End]:
    field, _, end = threshold.partition(".")
    if end == "min":
        return field, "min"
    if end == "max":
        return field, "max"
    raise UserError(f"{threshold!r} names no threshold; say {field}.min or {field}.max")
