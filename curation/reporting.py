"""The report of a finished output, for its own sake: nothing of the output is checked, done or changed but the page."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Sequence

from curation import generations, validate
from curation.errors import UserError
from curation.phases import report as phase
from curation.published import listed
from curation.recipe import MANIFEST_SUFFIXES, Recipe
from curation.store import Place

_KEYS = "report."


def is_output(what: str) -> bool:
    """Whether this names an output and no manifest, folder of media or table."""
    return not what.split("?")[0].endswith(MANIFEST_SUFFIXES) and Place(what).exists("recipe.yaml")


def report(out: str, to: str | None = None, overrides: Sequence[str] = ()) -> tuple[str, int]:
    """Write the page of an output; where it is, and its bytes.

    Args:
        to: a file for the page alone, anywhere; by default page and pictures go into the output.
        overrides: `report.KEY=VALUE`.

    Raises:
        UserError: there is no finished output, or it cannot be written.
    """
    place = Place(out)
    if wrong := [one for one in overrides if not one.startswith(_KEYS)]:
        raise UserError(f"--set {wrong[0]}: of an output only keys of {_KEYS} can be set; give its manifest and --out")
    recipe = validate.loads(place.text("recipe.yaml"), Recipe, overrides, name=place.url("recipe.yaml"))
    if not place.exists("ledger.json"):
        raise UserError(f"{place.url()} is not finished: it has no ledger.json; run `reelmill curate` again")
    published = generations.read(place)
    place = listed(place, len(published["shards"]))
    made_of = phase.made_of(place, recipe)
    if to is None and place.over_http:
        raise UserError(f"{place.url()} can only be read; say where the page goes with --to FILE.html")
    target = place if to is None else Place(posixpath.dirname(to) or ".")
    size = 0
    with place.claimed() if to is None else contextlib.nullcontext():
        for name, content in phase.files(place, recipe, made_of, pictures=to is None):
            target.commit(name if to is None else posixpath.basename(to), content)
            size = len(content)
    return place.url(phase.PAGE) if to is None else to, size
