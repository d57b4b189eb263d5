"""Classifiers on embeddings, such as LAION's for NSFW: one file of weights, one column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curation.models import weights
from curation.models.clip import dimensions
from curation.models.heads import head
from curation.models.scorers import EmbeddingScorer, Measure
from curation.recipe_score import Clip


class ClassifierScorer(EmbeddingScorer):
    """The mean over pictures and the greatest value of any head that `heads` reads.

    LAION-AI/CLIP-based-NSFW-Detector gives 0 for harmless to 1 for pornographic on embeddings of openai's ViT-L/14;
    LAION calls 0.5 and more unsafe. There is no bound by default.
    """

    name = "classifiers"

    def __init__(self, clip: Clip, classifiers: Mapping[str, str]):
        self._clip, self._files = clip, dict(classifiers)
        self.measures = tuple(
            measure
            for name in self._files
            for measure in (
                Measure(name, f"By the classifier {name} on CLIP embeddings, mean over pictures.", "the classifier's"),
                Measure(f"{name}_max", "The same for the picture with the greatest value.", "the classifier's"),
            )
        )

    def settings(self) -> Any:
        return self._files

    def fetch(self) -> list[Path]:
        self.setup()
        return [weights.found(file, f"score.classifiers.{name}") for name, file in self._files.items()]

    def setup(self) -> None:
        inputs = dimensions(self._clip)
        self._heads = {name: head(file, f"score.classifiers.{name}", inputs) for name, file in self._files.items()}

    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        scores: dict[str, float] = {}
        for name, classifier in self._heads.items():
            values = classifier(embeddings)
            scores |= {name: float(values.mean()), f"{name}_max": float(values.max())}
        return scores
