"""Aesthetic score: LAION's heads on CLIP's embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curation.models import weights
from curation.models.clip import dimensions
from curation.models.heads import head
from curation.models.scorers import EmbeddingScorer, Measure
from curation.recipe_score import Aesthetic, Clip


class AestheticScorer(EmbeddingScorer):
    """How pleasing a picture is, on the scale of AVA and SAC: 1 poor to 10 excellent, most films from 4 to 6.

    Source: christophschuhmann/improved-aesthetic-predictor and LAION-AI/aesthetic-predictor, both trained on
    L2-normalised embeddings of openai's ViT-L/14. There is no bound by default. In use are 3.5 on the least picture
    (NeMo Curator), 4.5 to 5 on the mean (Open-Sora), the upper three quarters (SVD) and the upper fifth (OpenVid-1M).
    """

    name = "aesthetic"
    measures = (
        Measure("aesthetic", "Aesthetic score by a head on CLIP embeddings, mean over pictures.", "1 to 10"),
        Measure("aesthetic_min", "The same for the worst picture.", "1 to 10"),
    )

    def __init__(self, clip: Clip, aesthetic: Aesthetic):
        self._clip, self._address = clip, aesthetic.head

    def settings(self) -> Any:
        return self._address

    def fetch(self) -> list[Path]:
        self.setup()
        return [weights.found(self._address, "score.aesthetic.head")]

    def setup(self) -> None:
        self._head = head(self._address, "score.aesthetic.head", dimensions(self._clip))

    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        scores = self._head(embeddings)
        return {"aesthetic": float(scores.mean()), "aesthetic_min": float(scores.min())}
