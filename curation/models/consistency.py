"""Temporal consistency: how alike the pictures of a clip are, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from curation.models.scorers import EmbeddingScorer, Measure


class ConsistencyScorer(EmbeddingScorer):
    """Cosine of neighbouring pictures' CLIP embeddings, as OpenVid-1M (arXiv 2407.02371) filters by.

    Both tails are of no use: near 1 hardly anything happens, and low values are missed cuts or flicker. So the rule is
    `{field: consistency, between: [p5, p95]}`; there is no bound by default, since it depends on the model and on
    how far apart the pictures are. A clip with one picture has none.
    """

    name = "consistency"
    measures = (
        Measure("consistency", "Mean cosine of neighbouring pictures' CLIP embeddings (OpenVid-1M).", "-1 to 1"),
        Measure("consistency_min", "The least of these cosines.", "-1 to 1"),
    )

    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        if len(embeddings) < 2:
            return {"consistency": None, "consistency_min": None}
        cosines = np.einsum("ij,ij->i", embeddings[:-1], embeddings[1:])
        return {"consistency": float(cosines.mean()), "consistency_min": float(cosines.min())}
