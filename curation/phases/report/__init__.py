"""A finished output to something a person can look at: one HTML page and a few pictures.

    numbers/   tables to numbers: one pass over the columns, in flat memory
    drawn/     numbers to figures: PNG beside the page, and what notebooks show
    page/      numbers and pictures of clips to the page

The page is made from the tables alone, so the same output gives the same bytes, but for its last section:
that tells how the run went, from the log. The page is written last; it says which ledger, manifest and recipe it
was made of.
"""

from __future__ import annotations

import re

from curation.recipe import Recipe
from curation.store import Place

PAGE = "report/index.html"
VERSION = 2
"""Raised when the same tables would now give another page; old pages are then written anew."""

RUN_MARK = "<!-- from here on the page tells how the run went, which differs from run to run -->"

_MADE_OF = re.compile(r'<meta name="reelmill-made-of" content="([^"]*)">')
_HEAD = 1024  # bytes at the front of the page that hold it


def fingerprint_of(out: Place) -> str | None:
    """The fingerprint that the existing page was made of; None if there is no page."""
    if not out.exists(PAGE):
        return None
    with out.open(PAGE) as file:
        found = _MADE_OF.search(file.read(_HEAD).decode("utf-8", "replace"))
    return found[1] if found else None


def write(out: Place, recipe: Recipe, made_of: str, to: Place | None = None) -> None:
    """Write the pictures, and then the page.

    Args:
        to: another place than the output itself.

    Raises:
        UserError: a table is missing, or the place cannot be written.
    """
    from curation.phases.report.drawn import figures
    from curation.phases.report.numbers import facts, journal
    from curation.phases.report.page import page, sheets

    to = to or out
    with facts.gather(out, recipe) as found:
        charts = found.distributions
        shown = sheets.shown(out, found)
        for name, png in figures.figures(found, charts, shown):
            to.commit(f"report/{name}.png", png)
        html = page.render(found, charts, shown, journal.journal(out), made_of, recipe.report.max_mb * 1e6)
        to.commit(PAGE, html.encode())


def of_tables(page: bytes) -> bytes:
    """The part of a page that is made from the tables: all but how the run went."""
    return page.partition(RUN_MARK.encode())[0]
