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
from collections.abc import Iterator

from curation.recipe import Recipe, hash_of, published
from curation.store import Place
from curation.validate import fingerprint

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


def made_of(out: Place, recipe: Recipe) -> str:
    """What a page of this output would be made of, as a fingerprint. The log does not count."""
    decides = out.text("ledger.json"), out.text("manifest.json"), hash_of(recipe), published(recipe)["report"]
    return fingerprint(VERSION, *decides)


def write(out: Place, recipe: Recipe, made_of: str) -> None:
    """Write the pictures, and then the page.

    Raises:
        UserError: a table is missing, or the place cannot be written.
    """
    for name, content in files(out, recipe, made_of):
        out.commit(name, content)


def files(out: Place, recipe: Recipe, made_of: str, *, pictures: bool = True) -> Iterator[tuple[str, bytes]]:
    """The pictures and then the page, by their names in an output.

    Args:
        pictures: also the PNG files, which the page does without.

    Raises:
        UserError: a table is missing.
    """
    from curation import prediction
    from curation.phases.report.drawn import figures
    from curation.phases.report.numbers import facts, journal
    from curation.phases.report.page import page, sheets

    with facts.gather(out, recipe) as found:
        charts = found.distributions
        shown = sheets.shown(out, found)
        if pictures:
            for name, png in figures.figures(found, charts, shown):
                yield f"report/{name}.png", png
        run = journal.journal(out)
        predicted = prediction.compared(out) if run else []
        html = page.render(found, charts, shown, run, predicted, made_of, recipe.report.max_mb * 1e6)
    yield PAGE, html.encode()


def of_tables(page: bytes) -> bytes:
    """The part of a page that is made from the tables: all but how the run went."""
    return page.partition(RUN_MARK.encode())[0]
