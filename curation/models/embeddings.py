"""Embeddings of pictures and clips, on which the other scores by CLIP rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.models.clip import fetched, loaded
from curation.models.scorers import Measure, Pictures, Scorer
from curation.recipe_score import Clip

OF_CLIP, OF_PICTURES = "clip_embedding", "picture_embeddings"


class Embedder(Scorer):
    """CLIP's embeddings (arXiv 2103.00020) as float16, which moves a cosine by less than 0.001."""

    name = "clip"
    uses_gpu = True
    measures = (
        Measure(
            OF_CLIP,
            "CLIP embedding: mean over pictures, of length one.",
            "1",
            pa.list_(pa.float16()),
        ),
        Measure(
            OF_PICTURES,
            "CLIP embedding of each picture, of length one.",
            "1",
            pa.list_(pa.list_(pa.float16())),
        ),
    )

    def __init__(self, clip: Clip):
        self._clip = clip

    def settings(self) -> Any:
        return self._clip.model_dump(mode="json")

    def fetch(self) -> list[Path]:
        return [fetched(self._clip)]

    def setup(self) -> None:
        self._model = loaded(self._clip)

    def score(self, clips: Sequence[Pictures]) -> Sequence[Mapping[str, Any]]:
        every = _Joined(clips)
        rows = self._model.pictures(every).astype(np.float16)
        return [{OF_PICTURES: list(some), OF_CLIP: of_clip(some)} for some in np.split(rows, every.starts[1:])]


def of_clip(pictures: np.ndarray) -> np.ndarray:
    """The embedding of a clip, float16, from those of its pictures."""
    mean = pictures.astype(np.float64).mean(axis=0)
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float16)


def wide(embeddings: Any) -> np.ndarray:
    """Stored embeddings (n, numbers) in float64, each of length one again."""
    rows = np.asarray(embeddings, np.float64)
    normalised: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return normalised


class _Joined(Sequence[np.ndarray]):
    """The pictures of many clips one after the other, each decoded when it is asked for."""

    def __init__(self, clips: Sequence[Pictures]):
        self._places = [(clip, number) for clip in clips for number in range(len(clip))]
        self.starts = np.cumsum([0, *(len(clip) for clip in clips)])[:-1]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            part = _Joined([])
            part._places = self._places[place]
            return part
        clip, number = self._places[place]
        return clip[number]
