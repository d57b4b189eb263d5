"""What other thresholds would keep of an output: reads its tables and changes nothing.

from curation.whatif import what_if

[sweep] = what_if("OUT", "signal")            # or "motion.max=p90,p95,0.5", "frames=16:64:8"
sweep.rows.to_pandas()
"""

from __future__ import annotations

import math

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
from curation.phases.select.what_if import End, Sweep, ends, sweep
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
    place = Place(out)
    if recipe is None:
        recipe = of_output(place)
    plan, chosen = Plan(recipe, place), recipe.select
    known = plan.clip_schema()
    select.check(chosen, known)
    name, _, text = asked.partition("=")
    field, _, end = name.partition(".")
    checked(field, known, "--what-if")
    if end not in ("", "min", "max"):
        raise UserError(f"--what-if {asked}: {end!r} is no bound; say {field}.min or {field}.max")
    values = _values(text, asked) if "=" in asked else None
    clips = plan.clips(list(dict.fromkeys([field, "duration_s", "caption_words", *select.columns(chosen, known)])))
    keep_by = select.kept_by(chosen, known)
    search = _as_it_stands(place, clips["clip_id"]) if chosen.duplicates else None

    def limit(rows: Bools) -> Verdict:
        assert chosen.balance is not None
        return select.balanced(clips, chosen.balance, keep_by, rows)

    def flags(rows: Bools) -> list[Verdict]:
        return select.flagged(clips, chosen.caption_flags, chosen.max_same_caption, rows)

    wanted: list[End] = [end] if end in ("min", "max") else ends(chosen.every_rule, field)  # type: ignore[list-item]
    return [
        sweep(
            clips,
            chosen.every_rule,
            field,
            one,
            values,
            captioned=bool(parts.units(place, "captions")),
            search=search,
            flags=flags if chosen.caption_flags else None,
            limit=limit if chosen.balance else None,
        )
        for one in wanted
    ]


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
