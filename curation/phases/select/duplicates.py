"""Near-duplicates: of clips that are alike the best one stays, and the others say which that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from curation.errors import UserError
from curation.phases.select.embeddings_alike import EmbeddingsAlike
from curation.phases.select.order import best_first
from curation.phases.select.percentiles import Bools, Ints
from curation.phases.select.pictures_alike import Pairs, PicturesAlike
from curation.phases.select.rules import OF_CAPTION, is_image
from curation.recipe_select import Duplicates

VERSION = 1
"""Raised when the same clips would now give other duplicates."""
EMBEDDING = "clip_embedding"

_BLOCK = 4096


class Alike(Protocol):
    """A way to find clips that are alike among those that were added to it. Clips are numbered by their rows."""

    def known(self, rows: Ints) -> Pairs: ...
    def among(self, rows: Ints) -> Pairs: ...
    def add(self, rows: Ints) -> None: ...


def columns(settings: Duplicates, keep_by: Sequence[str], known: pa.Schema) -> list[str]:
    """The columns that the search looks at.

    Raises:
        UserError: embeddings are asked for and no scorer writes them, or clips are ranked by what only captions tell.
    """
    if late := [name for name in keep_by if name in OF_CAPTION]:
        raise UserError(
            f"select.keep_by: {late[0]!r} is not known yet when near-duplicates are dropped, before captioning; "
            "rank by another column, or leave out select.duplicates"
        )
    names = ["kind", *keep_by, *(["phash"] if settings.phash else []), *([EMBEDDING] if settings.embedding else [])]
    if settings.embedding and EMBEDDING not in known.names:
        raise UserError(
            f"select.duplicates.embedding: no scorer of this recipe writes {EMBEDDING}; "
            "add one under score, or use select.duplicates.phash"
        )
    return list(dict.fromkeys(names))


def search(clips: pa.Table, settings: Duplicates, keep_by: Sequence[str], rows: Bools) -> Ints:
    """For every clip the row of the better one that it repeats, -1 for none; only `rows` take part.

    The search sees those rows alone, so that what was dropped before takes no time and no memory.
    """
    chosen = np.flatnonzero(rows)
    part = clips.take(pa.array(chosen))
    image = is_image(part)
    ways: list[Alike] = []
    if settings.phash is not None:
        ways.append(PicturesAlike(part["phash"], image, settings.phash.distance))
    if settings.embedding is not None:
        ways.append(EmbeddingsAlike(part[EMBEDDING], image, settings.embedding.similarity))
    found = repeated(best_first(part, keep_by, np.arange(len(chosen))), ways)
    of = np.full(clips.num_rows, -1, np.int64)
    of[chosen] = np.where(found < 0, -1, chosen[found])
    return of


def repeated(order: Ints, ways: Sequence[Alike]) -> Ints:
    """For every clip the one that it repeats, -1 for none.

    Clips are taken in their order, best first. One that is alike, in any of the ways, to a clip that stays is a
    duplicate of the best such clip; any other stays. So every duplicate is alike to the clip that it names, none
    names a duplicate, and no two clips that stay are alike. It is the leader algorithm (Hartigan 1975), and not a
    union of all that touch, which would join unlike clips over others between them.

    Args:
        order: all rows, the best first.
    """
    of = np.full(len(order), -1, np.int64)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        repeated, leader = _all(way.known(rows) for way in ways)
        best = np.lexsort((place[leader], repeated))
        repeated, first = np.unique(repeated[best], return_index=True)
        of[repeated] = leader[best][first]
        left = rows[of[rows] < 0]
        _lead(of, place, *_all(way.among(left) for way in ways))
        stays = left[of[left] < 0]
        for way in ways:
            way.add(stays)
    return of


def _lead(of: Ints, place: Ints, one: Ints, other: Ints) -> None:
    """Decide among clips of which none is decided yet."""
    better = place[one] < place[other]
    ahead, behind = np.where(better, one, other), np.where(better, other, one)
    turn = np.lexsort((place[behind], place[ahead]))
    for leader, follower in zip(ahead[turn].tolist(), behind[turn].tolist()):
        if of[leader] < 0 and of[follower] < 0:
            of[follower] = leader


def _all(found: Iterable[Pairs]) -> Pairs:
    pairs = list(found)
    return np.concatenate([one for one, _ in pairs]), np.concatenate([other for _, other in pairs])
