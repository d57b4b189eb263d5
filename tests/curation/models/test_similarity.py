"""The likeness of captions to clips: a cosine of each pair, whoever else is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.models.clip import loaded
from curation.models.similarity import similarities
from curation.recipe_score import Clip
from tests.tiny_clip import NUMBERS


def test_similarity_is_the_cosine_of_caption_and_clip_in_any_company(tiny_clip: Path) -> None:
    clip, chance = Clip(model=str(tiny_clip)), np.random.default_rng(3)
    captions = {f"{number:016x}": f"caption number {number}" for number in range(9)}
    rows = chance.normal(size=(9, NUMBERS))
    stored = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    embeddings = dict(zip(captions, stored.tolist(), strict=True)) | {"0" * 15 + "3": None}
    found = similarities(clip, captions, embeddings)
    assert found.keys() == captions.keys() - {"0" * 15 + "3"}
    for number, clip_id in enumerate(captions):
        if clip_id in found:
            text = loaded(clip).texts([captions[clip_id]])[0]
            wide = stored[number].astype(float)
            assert found[clip_id] == pytest.approx(text @ wide / np.linalg.norm(wide), abs=1e-6)
            assert similarities(clip, {clip_id: captions[clip_id]}, embeddings) == {clip_id: found[clip_id]}
    assert similarities(clip, {}, {}) == {}
