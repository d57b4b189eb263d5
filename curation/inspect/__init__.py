"""The history of one clip or source of an output: where it came from, what was decided of it and why, where it is now.

    from curation import inspect

    history = inspect.history("OUT", "0f3a…")      # a clip id or the beginning of one, a source's id or address

Reads columns, and of pictures and shards nothing.
"""

from __future__ import annotations

from typing import Any

from curation import generations
from curation.inspect.clips import of_clip
from curation.inspect.find import Clip, named
from curation.inspect.sources import of_source
from curation.published import listed
from curation.recipe import of_output
from curation.store import Place

__all__ = ["history"]


def history(out: str, name: str) -> dict[str, Any]:
    """All that an output tells of a clip or a source, JSON-ready; `docs/data.md` lists the keys.

    Raises:
        UserError: there is no such output, or nothing of that name in it; names the nearest.
    """
    place = Place(out)
    recipe = of_output(place)
    published = generations.newest(place)
    place = listed(place, len(published["shards"]) if published else 0)
    found = named(place, name)
    if isinstance(found, Clip):
        return of_clip(place, recipe, published, found)
    return of_source(place, found)
