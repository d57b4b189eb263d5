"""What other thresholds would keep of an output: reads its tables and changes nothing.

from curation.whatif import joint, what_if

[sweep] = what_if("OUT", "signal")            # or "motion.max=p90,p95,0.5", "frames=16:64:8"
sweep.rows.to_pandas()
joint("OUT", "signal.min", "motion.max").rows.to_pandas()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import parts
from curation.errors import UserError
from curation.phases import select
from curation.phases.select.decide import Search
from curation.phases.select.percentiles import Bools, Ints
from curation.phases.select.reasons import Verdict
from curation.phases.select.rules import checked
from curation.phases.select.what_if import End, Grid, Sweep, ends, grid, sweep
from curation.plan import SELECTION, Plan
from curation.recipe import Recipe, of_output
from curation.recipe_select import Bound, Rule
from curation.store import Place

_MOST = 1000  # values of one sweep


def what_if(out: str, asked: str, recipe: Recipe | None = None) -> list[Sweep]:
    """What each value of a threshold keeps, by the rules of a recipe with that one moved.

    Rules on captions are left out where nothing is captioned yet. Near-duplicates are those that the output's
    selection names.

    Args:
        out: an output; its clips and scores must be there.
        asked: `FIELD`, `FIELD.min` or `FIELD.max`; then, if wanted, `=` and `START:STOP:STEP`, or numbers and
            percentiles with commas between. By default each bound that the rules have on the field, or else min,
            through percentiles of the column.
        recipe: by default the one that the output was made by.

    Raises:
        UserError: there is no such column or output, or the values cannot be read.
    """
    grounds = Grounds.of(out, recipe)
    field, end, values = _asked(asked, grounds.known)
    wanted: list[End] = [end] if end else ends(grounds.rules, field)
    clips = grounds.clips([field])
    return [sweep(clips, grounds.rules, field, one, values, **grounds.others(clips)) for one in wanted]


def joint(out: str, first: str, second: str, recipe: Recipe | None = None) -> Grid:
    """What two thresholds keep together, for each pair of their values.

    Args and errors as for `what_if`; an end that is not named is the first that the rules have on the field.
    """
    grounds = Grounds.of(out, recipe)
    fields, sides, values = zip(*(_asked(asked, grounds.known) for asked in (first, second)))
    chosen = [end or ends(grounds.rules, field)[0] for field, end in zip(fields, sides)]
    clips = grounds.clips(list(fields))
    pair = (chosen[0], chosen[1])
    return grid(clips, grounds.rules, (fields[0], fields[1]), pair, (values[0], values[1]), **grounds.others(clips))


@dataclass(frozen=True)
class Grounds:
    """What an output's clips are decided by."""

    place: Place
    plan: Plan
    known: pa.Schema
    """Every column that a rule may name."""

    @classmethod
    def of(cls, out: str, recipe: Recipe | None = None) -> Grounds:
        """
        Raises:
            UserError: it is no output, or its rules do not fit it.
        """
        place = Place(out)
        plan = Plan(recipe or of_output(place), place)
        known = plan.clip_schema()
        select.check(plan.recipe.select, known)
        return cls(place, plan, known)

    @property
    def rules(self) -> list[Rule]:
        return self.plan.recipe.select.every_rule

    def clips(self, fields: Sequence[str]) -> pa.Table:
        """These columns of all clips, and those that the decisions look at."""
        needed = select.columns(self.plan.recipe.select, self.known)
        return self.plan.clips(list(dict.fromkeys([*fields, "duration_s", "caption_words", *needed])))

    def others(self, clips: pa.Table) -> dict[str, Any]:
        """Everything that decides beside the rules, as arguments of `decide`."""
        chosen = self.plan.recipe.select
        keep_by = select.kept_by(chosen, self.known)

        def limit(rows: Bools) -> Verdict:
            assert chosen.balance is not None
            return select.balanced(clips, chosen.balance, keep_by, rows)

        def flags(rows: Bools) -> list[Verdict]:
            return select.flagged(clips, chosen.caption_flags, chosen.max_same_caption, rows)

        return {
            "captioned": bool(parts.units(self.place, "captions")),
            "search": _as_it_stands(self.place, clips["clip_id"]) if chosen.duplicates else None,
            "flags": flags if chosen.caption_flags else None,
            "limit": limit if chosen.balance else None,
        }


def lines(found: Sweep) -> list[str]:
    """A sweep as a table to print."""
    rows = found.rows.to_pylist()
    sign = "at least" if found.end == "min" else "at most"
    uncaptioned = any(row["uncaptioned"] for row in rows)
    head = ["", "value", "clips", "share", "hours", *(["to caption"] if uncaptioned else [])]
    table = [head]
    for row in rows:
        value = "" if row["value"] is None else f"{row['value']:.6g}"
        cells = [row["bound"], value, f"{row['clips']:,}", f"{row['share']:.1%}", f"{row['hours']:,.2f}"]
        table.append([*cells, *([f"{row['uncaptioned']:,}"] if uncaptioned else [])])
    widths = [max(len(cells[at]) for cells in table) for at in range(len(head))]
    marks = ["", *("  <- now" if row["now"] else "" for row in rows)]
    told = ["  ".join(cell.rjust(width) for cell, width in zip(cells, widths)) for cells in table]
    return [f"{found.field} {sign}", *(f"{line}{mark}" for line, mark in zip(told, marks))]


def _as_it_stands(place: Place, ids: pa.ChunkedArray) -> Search | None:
    """The near-duplicates that the selection names, where they pass."""
    if not place.exists(SELECTION):
        return None
    selection = place.table(SELECTION, ["clip_id", "duplicate_of"])
    at = pc.index_in(ids, value_set=selection["clip_id"].combine_chunks())
    better = pc.index_in(selection["duplicate_of"].take(at), value_set=ids.combine_chunks(), skip_nulls=True)
    repeats: Ints = better.fill_null(-1).to_numpy().astype(np.int64)
    return lambda rows: np.where(rows, repeats, -1)


def _asked(asked: str, known: pa.Schema) -> tuple[str, End | None, list[Bound] | None]:
    """The column, the end and the values of `FIELD.END=VALUES`, of which only the first must be there."""
    name, _, text = asked.partition("=")
    field, _, end = name.partition(".")
    checked(field, known, "--what-if")
    if end not in ("", "min", "max"):
        raise UserError(f"--what-if {asked}: {end!r} is no bound; say {field}.min or {field}.max")
    return field, cast("End", end) if end else None, _values(text, asked) if "=" in asked else None


def _values(text: str, asked: str) -> list[Bound]:
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            count = math.floor((stop - start) / step + 1e-9) + 1
            if not 1 <= count <= _MOST:
                raise ValueError
            return [start + at * step for at in range(count)]
        bounds: list[Bound] = [
            part if part.startswith("p") else float(part) for part in text.replace(" ", "").split(",")
        ]
        for bound in bounds:
            Rule(field="x", min=bound)
        return bounds
    except (ValueError, ZeroDivisionError, OverflowError):
        raise UserError(
            f"--what-if {asked}: expected START:STOP:STEP with at most {_MOST} steps, or numbers and percentiles "
            "with commas between, such as 2,2.5,p25"
        ) from None
