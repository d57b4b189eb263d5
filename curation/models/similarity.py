"""How well a caption fits its clip, by CLIP."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from curation.models.clip import ClipModel
from curation.models.embeddings import wide
from curation.recipe_score import Clip


def similarities(clip: Clip, captions: Mapping[str, str], embeddings: Mapping[str, Any]) -> dict[str, float]:
    """The cosine of each caption and its clip's stored embedding, from -1 to 1, by clip id.

    Source: CLIPScore (arXiv 2104.08718) without its factor of 2.5. LAION kept pairs above 0.3 (ViT-B/32, English), and
    SVD drops the lower half; there is no bound by default. A text longer than the model's context (77 tokens)
    is judged by its beginning. A clip without embedding is left out.
    """
    ids = [clip_id for clip_id in captions if embeddings.get(clip_id) is not None]
    texts = _towers(clip).texts([captions[clip_id] for clip_id in ids])
    pictures = wide(np.array([embeddings[clip_id] for clip_id in ids])) if ids else texts
    return {clip_id: float(text @ picture) for clip_id, text, picture in zip(ids, texts, pictures)}


@functools.lru_cache(maxsize=1)
def _towers(clip: Clip) -> ClipModel:
    """On the CPU, since captions come slower than it reads them; a GPU would be held by every worker of the node."""
    return ClipModel(clip, device="cpu")
