"""Scores by text: how much a clip looks like what words say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation.models.clip import ClipModel, loaded
from curation.models.scorers import EmbeddingScorer, Measure
from curation.recipe_score import Clip, Prompt


class PromptScorer(EmbeddingScorer):
    """The cosine of picture and text; or, with `against`, which of the two the picture fits, as a probability.

    Source: CLIP's zero-shot classifier (arXiv 2103.00020, section 3.1): texts of one side are averaged as embeddings,
    and cosines times the model's scale go through a softmax, as in CLIP-IQA's pairs of prompts (arXiv 2207.12396).
    There is no bound by default; a pair leans to neither side at 0.5. watermark and nsfw have texts of their own.
    """

    name = "prompts"

    def __init__(self, clip: Clip, prompts: Mapping[str, Prompt]):
        self._clip, self._prompts = clip, dict(prompts)
        self.measures = tuple(measure for name, prompt in self._prompts.items() for measure in _measures(name, prompt))

    def settings(self) -> Any:
        return {name: prompt.model_dump(mode="json", by_alias=True) for name, prompt in self._prompts.items()}

    def setup(self) -> None:
        model = loaded(self._clip)
        self._scale = model.scale
        self._sides = {
            name: np.stack([direction(model, texts) for texts in (prompt.texts, prompt.against) if texts is not None])
            for name, prompt in self._prompts.items()
        }

    def score(self, embeddings: np.ndarray) -> Mapping[str, Any]:
        scores: dict[str, float] = {}
        for name, sides in self._sides.items():
            cosines = embeddings @ sides.T
            values = softmax(self._scale * cosines)[:, 0] if len(sides) == 2 else cosines[:, 0]
            scores |= {name: float(values.mean()), f"{name}_max": float(values.max())}
        return scores


def direction(model: ClipModel, texts: Sequence[str]) -> np.ndarray:
    """One embedding of length one for several texts: their mean."""
    mean = model.texts(texts).mean(axis=0)
    one: np.ndarray = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return one


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _measures(name: str, prompt: Prompt) -> tuple[Measure, Measure]:
    unit = "-1 to 1" if prompt.against is None else "0 to 1"
    doc = f"Likeness to the texts of score.prompts.{name} by CLIP, mean over pictures."
    return Measure(name, doc, unit), Measure(f"{name}_max", "The same for the picture that is most like them.", unit)
