"""Zero-shot categories: which of some texts a clip is most like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curation.models.clip import loaded
from curation.models.prompts import direction, softmax
from curation.models.scorers import EmbeddingScorer, Measure
from curation.recipe_score import Categories, Clip


class CategoryScorer(EmbeddingScorer):
    """CLIP's zero-shot classifier (arXiv 2103.00020, section 3.1) over the clip's embedding.

    By default the ten categories of Vimeo25M (LaVie, arXiv 2309.15103), in texts of ours. The share is the softmax's
    and no measured certainty. Text for `one_of` and `by` in rules; there is no bound by default.
    """

    name = "categories"
    measures = (
        Measure("zero_shot", "The category whose texts the clip is most like by CLIP.", "", pa.string()),
        Measure("zero_shot_share", "Softmax over the categories for this one.", "0 to 1"),
    )

    def __init__(self, clip: Clip, categories: Categories):
        self._clip, self._texts = clip, dict(categories.texts)

    def settings(self) -> Any:
        return self._texts

    def setup(self) -> None:
        model = loaded(self._clip)
        self._scale = model.scale
        self._names = list(self._texts)
        self._directions = np.stack([direction(model, texts) for texts in self._texts.values()])

    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        mean = embeddings.mean(axis=0)
        cosines = self._directions @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
        shares = softmax(self._scale * cosines)
        best = int(shares.argmax())
        return {"zero_shot": self._names[best], "zero_shot_share": float(shares[best])}
