"""The phases, one file each, in the order in which data flows.

    ingest -> split -> score -> select -> caption -> select -> shard -> report

A phase that works unit by unit is a `Phase`: a function from the rows of one unit to the rows of
another table (and, for shards, a file). It knows nothing of Ray, of retries or of what is already
done. ingest, select and report look at the whole dataset and are plain functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from curation import parts
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import Row


@dataclass(frozen=True)
class Needs:
    """What one unit of a phase takes from a machine."""

    cpus: float = 1
    gpus: float = 0
    memory_mb: int = 1024
    together: int = 0
    """For work that waits for a server: so many given rows are worked on at once, by one process for all units."""


@dataclass(frozen=True)
class Unit:
    """One piece of work, fixed up front."""

    number: int
    fingerprint: str
    """A hash of everything that decides the unit's output."""
    given: pa.Table | None = None
    """Rows that the plan chose for the unit, where they are not simply a part of `Phase.reads`."""
    tools: dict[str, str] | None = None
    """Versions of the programs that it must be done with; None for any."""
    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Whole addresses by source id, where the stored ones lack credentials. They are no part of what it gives."""

    def address(self, row: Row) -> str:
        """Where the source of a row is read."""
        return self.addresses.get(row["source_id"]) or str(row["uri"])


@dataclass
class Output:
    """What a unit gave."""

    tables: dict[str, list[Row]]
    """Rows by table; every table that the phase writes has an entry."""
    files: dict[str, Path] = field(default_factory=dict)
    """Finished files by their path in the output; committed before the tables."""
    notes: dict[str, Any] = field(default_factory=dict)
    """JSON-ready facts that go into the footer of the unit's last table."""
    counts: dict[str, int] = field(default_factory=dict)
    """For the progress line: how many sources, clips, samples, and how many failed."""


class Phase(ABC):
    """One step from rows to rows, done unit by unit in any order on any machine."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raised when the same rows and recipe would now give another output; old parts are then redone."""
    reads: ClassVar[str]
    """The table whose parts are this phase's units."""
    writes: ClassVar[tuple[str, ...]]
    """The tables that a unit writes; the last one committed marks the unit as done."""
    needs: ClassVar[Needs] = Needs()

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def setup(self) -> None:  # noqa: B027  (most need no set-up)
        """Once a worker, before its first unit: load weights, start children."""

    def child_usage(self) -> tuple[float, float]:
        """CPU seconds of a living child process, and the largest memory of any so far in MiB."""
        return 0.0, 0.0

    def takes(self) -> Needs:
        """What one unit takes under this recipe; GPUs only from a cluster that has some."""
        return self.needs

    @abstractmethod
    def schema(self, table: str) -> pa.Schema:
        """The schema of a table that this phase writes."""

    @abstractmethod
    def settings(self) -> Any:
        """The part of the recipe that decides this phase's output, as plain values."""

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The unit's input."""
        rows: list[Row] = out.table(parts.path(self.reads, unit.number)).to_pylist()
        return rows

    @abstractmethod
    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        """The work. `scratch` is an empty folder that goes away afterwards."""
