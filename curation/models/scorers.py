"""The interface of everything that gives a clip numbers, and which scorers a recipe asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from curation.recipe import Score

Pictures = Sequence[np.ndarray]
"""The pictures of one clip in time order, each (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Measure:
    """One column that a scorer writes."""

    name: str
    doc: str
    unit: str


class Scorer(ABC):
    """Turns the pictures of clips into numbers, many clips at a time.

    A scorer that needs weights loads them in `setup` and raises a `UserError` there which names the
    missing file, the recipe's key and where to get it.
    """

    measures: ClassVar[tuple[Measure, ...]]

    def setup(self) -> None:  # noqa: B027  (most need no set-up)
        """Once a worker."""

    @abstractmethod
    def score(self, clips: Sequence[Pictures]) -> list[dict[str, float]]:
        """For each clip, in order, a value for every measure. Every clip has at least one picture."""


def scorers(score: Score) -> list[Scorer]:
    """The scorers that a recipe names, in the schema's order."""
    from curation.models.signal import SignalScorer

    chosen: list[Scorer] = []
    if score.signal is not None:
        chosen.append(SignalScorer())
    return chosen
