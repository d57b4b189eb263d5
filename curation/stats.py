"""The numbers of an output, and figures of them: what the report shows, for notebooks and programs.

from curation import stats

found = stats.read("OUT")                                    # a folder, s3://…, https://…
found.sums["clips"]["kept"]                                  # the ledger
found.distributions                                          # every column in bins, with thresholds and medians
stats.draw.histogram(stats.column(found, "motion"))          # a matplotlib figure
stats.draw.comparison(found.comparisons[1])                  # LaVie's figure beside one's own clips
"""

from __future__ import annotations

from curation import recipe as of_recipe
from curation.errors import UserError
from curation.phases.report.drawn import charts as draw
from curation.phases.report.numbers.distributions import Distribution, distribution
from curation.phases.report.numbers.facts import Facts, gather
from curation.phases.report.numbers.funnel import funnel
from curation.phases.report.numbers.journal import Journal, journal
from curation.phases.report.numbers.rules import costs
from curation.published import listed
from curation.recipe import Recipe
from curation.store import Place

__all__ = ["Distribution", "Facts", "Journal", "column", "costs", "draw", "funnel", "read", "run"]


def read(out: str, recipe: Recipe | None = None) -> Facts:
    """All numbers of a finished output, by one pass over its tables. What they take lies in temporary files.

    Args:
        recipe: by default the one that the output was made by.

    Raises:
        UserError: there is no finished output.
    """
    place = listed(Place(out))
    chosen = recipe or of_recipe.of_output(place)
    if not place.exists("ledger.json"):
        raise UserError(f"{place.url()} is not finished: it has no ledger.json; run `reelmill curate` again")
    return gather(place, chosen)


def column(found: Facts, name: str) -> Distribution:
    """One column of the clips in bins.

    Raises:
        UserError: there is no such column of numbers; names those that there are.
    """
    if name not in found.fields:
        raise UserError(f"no column {name!r} of numbers; there are {', '.join(found.fields)}")
    return distribution(found.columns, found.fields[name], found.resolved)


def run(out: str) -> Journal | None:
    """How the run went, from its log."""
    return journal(Place(out))
