"""A second output with the tables of a first one, to be cut by other rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from curation.errors import UserError
from curation.plan import SELECTION
from curation.store import Place

_TABLES = ("inputs", "sources", "clips", "scores", "captions", "answers")
_FILES = (SELECTION, "recipe.yaml")
_THREADS = 8


def fork(out: Place, into: Place) -> None:
    """Copy everything that was found out about the sources, but no shards. Done again, it copies what has changed.

    Raises:
        UserError: the second place is the first, or holds anything else than such a copy.
    """
    if out.root == into.root:
        raise UserError(f"{into.url()} is the output itself; name another place for its copy")
    if there := into.names("inputs"):
        if there != out.names("inputs") or any(out.read(path) != into.read(path) for path in _paths(out, "inputs")):
            raise UserError(f"{into.url()} holds tables of other sources; remove it, or name another place")
    elif into.names(""):
        raise UserError(f"{into.url()} holds other files; name another place")

    def copy(path: str) -> None:
        content = out.read(path)
        if not into.exists(path) or into.read(path) != content:
            into.commit(path, content)

    with ThreadPoolExecutor(_THREADS) as pool:
        for table in _TABLES:
            list(pool.map(copy, _paths(out, table)))
    for path in _FILES:
        if out.exists(path) and not into.exists(path):
            copy(path)


def _paths(place: Place, table: str) -> list[str]:
    return [f"{table}/{name}" for name in place.names(table)]
