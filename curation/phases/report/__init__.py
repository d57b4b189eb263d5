"""A finished output to something a person can look at: one HTML page and a few pictures.

Everything is drawn from the tables alone, so the same output gives the same bytes. The page is
written last; it says which ledger, manifest and recipe it was made of.
"""

from __future__ import annotations

import re

from curation.recipe import Recipe
from curation.store import Place

PAGE = "report/index.html"
VERSION = 1
"""Raised when the same tables would now give another page; old pages are then written anew."""

_MADE_OF = re.compile(r'<meta name="reelmill-made-of" content="([^"]*)">')
_HEAD = 1024  # bytes at the front of the page that hold it


def fingerprint_of(out: Place) -> str | None:
    """The fingerprint that the existing page was made of; None if there is no page."""
    if not out.exists(PAGE):
        return None
    with out.open(PAGE) as file:
        found = _MADE_OF.search(file.read(_HEAD).decode("utf-8", "replace"))
    return found[1] if found else None


def write(out: Place, recipe: Recipe, made_of: str) -> None:
    """Write the pictures, and then the page.

    Raises:
        UserError: a table is missing, or the place cannot be written.
    """
    from curation.phases.report import facts, figures, page, sheets

    found = facts.gather(out, recipe)
    shown = sheets.sheets(out, found, recipe.report.clips)
    for name, png in figures.figures(found, recipe.name, shown):
        out.commit(f"report/{name}.png", png)
    out.commit(PAGE, page.render(found, recipe, shown, made_of).encode())
