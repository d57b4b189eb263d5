"""The interface of everything that gives a clip scores, and which scorers a recipe asks for.

A scorer is one file with a class: of `Scorer` where it looks at pictures, of `EmbeddingScorer` where CLIP's
embeddings are enough, which are stored, so that no picture is looked at again when its settings change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from curation.recipe_score import Score

Pictures = Sequence[np.ndarray]
"""The pictures of one clip in time order, each (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class Measure:
    """One column that a scorer writes."""

    name: str
    doc: str
    unit: str
    type: pa.DataType = pa.float32()


class AnyScorer(ABC):
    """What scorers have in common.

    A scorer that needs weights loads them in `setup` and raises a `UserError` there which names the
    missing file, the recipe's key and where to get it.
    """

    name: ClassVar[str]
    """Its key below `score` in the recipe."""
    version: ClassVar[int] = 1
    """Raised when the same pictures and settings would now give other scores."""
    measures: tuple[Measure, ...]
    uses_gpu: ClassVar[bool] = False

    def settings(self) -> Any:
        """All that its scores depend on beside the clips, as plain values."""
        return None

    def fetch(self) -> list[Path]:
        """The files of weights that `setup` reads, fetched to this machine where they come from elsewhere.

        Raises:
            UserError: a file or a library is missing here.
        """
        return []

    def setup(self) -> None:  # noqa: B027  (most need no set-up)
        """Once a worker, before the first clips that it scores."""


class Scorer(AnyScorer):
    """Turns the pictures of clips into scores, many clips at a time."""

    @abstractmethod
    def score(self, clips: Sequence[Pictures]) -> Sequence[Mapping[str, Any]]:
        """For each clip, in order, a value or None for every measure. Every clip has at least one picture.

        What a clip gets must not depend on the others.
        """


class EmbeddingScorer(AnyScorer):
    """Turns the embeddings of a clip's pictures into scores."""

    @abstractmethod
    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        """A value or None for every measure, from (pictures, numbers) float64, each row of length one."""


def scorers(score: Score) -> list[AnyScorer]:
    """The scorers that a recipe names, in the schema's order."""
    from curation.models.signal import SignalScorer

    chosen: list[AnyScorer] = []
    if score.signal is not None:
        chosen.append(SignalScorer())
    if score.technical is not None:
        from curation.models.technical import TechnicalScorer

        chosen.append(TechnicalScorer())
    if score.text_overlay is not None:
        from curation.models.text_overlay import TextOverlayScorer

        chosen.append(TextOverlayScorer(score.text_overlay))
    if score.clip is not None:
        chosen += _on_clip(score)
    return chosen


def fetch(score: Score) -> list[Path]:
    """All files of weights that the scorers will read, on this machine.

    Raises:
        UserError: a file or a library is missing here; says which, and how to get it.
    """
    return [file for scorer in scorers(score) for file in scorer.fetch()]


def _on_clip(score: Score) -> list[AnyScorer]:
    from curation.models.aesthetic import AestheticScorer
    from curation.models.categories import CategoryScorer
    from curation.models.classifiers import ClassifierScorer
    from curation.models.consistency import ConsistencyScorer
    from curation.models.embeddings import Embedder
    from curation.models.prompts import PromptScorer

    assert score.clip is not None
    chosen: list[AnyScorer] = [Embedder(score.clip), ConsistencyScorer()]
    if score.aesthetic is not None:
        chosen.append(AestheticScorer(score.clip, score.aesthetic))
    if score.categories is not None:
        chosen.append(CategoryScorer(score.clip, score.categories))
    if score.prompts:
        chosen.append(PromptScorer(score.clip, score.prompts))
    if score.classifiers:
        chosen.append(ClassifierScorer(score.clip, score.classifiers))
    return chosen
