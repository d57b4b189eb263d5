"""The thumbnails of a clip's row as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from curation.models.pictures import decoded
from curation.tables import Row


def pictures(row: Row) -> list[np.ndarray]:
    """Each (H, W, 3) uint8 RGB, in time order."""
    return [decoded(jpeg) for jpeg in row["thumbnails"]]


class Lazy(Sequence[np.ndarray]):
    """The pictures of a row, each decoded once, when it is asked for."""

    def __init__(self, row: Row):
        self._jpegs: list[bytes] = row["thumbnails"]
        self._pictures: list[np.ndarray | None] = [None] * len(self._jpegs)

    def __len__(self) -> int:
        return len(self._jpegs)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        picture = self._pictures[place]
        if picture is None:
            picture = self._pictures[place] = decoded(self._jpegs[place])
        return picture
