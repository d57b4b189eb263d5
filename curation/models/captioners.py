"""The interface of everything that gives a clip words, and which captioners a recipe asks for.

A captioner gets clips by id and answers by id: a caption can never reach another clip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curation.recipe import Caption


@dataclass(frozen=True)
class Shown:
    """What a captioner may look at."""

    clip_id: str
    pictures: Sequence[np.ndarray]
    """In time order, each (H, W, 3) uint8 RGB."""
    source_caption: str | None
    """The caption that came with the source."""
    brightness: float | None
    """Mean luma from 0 to 1."""
    motion: float | None
    """Mean length of the optical flow, in frame widths per second."""
    motion_x: float | None
    motion_y: float | None


class Captioner(ABC):
    name: str

    def setup(self) -> None:  # noqa: B027  (most need no set-up)
        """Once a worker: load weights, open connections."""

    @abstractmethod
    def caption(self, clips: Sequence[Shown]) -> Mapping[str, str]:
        """Captions by clip id; a clip without an answer is left out."""


class SourceCaptioner(Captioner):
    """The caption that came with the source, for every clip of it."""

    name = "source"

    def caption(self, clips: Sequence[Shown]) -> Mapping[str, str]:
        return {clip.clip_id: clip.source_caption for clip in clips if clip.source_caption}


def captioners(caption: Caption) -> list[Captioner]:
    """The captioners that a recipe names, in the order in which they are asked."""
    from curation.models.describe import Describer

    known: dict[str, type[Captioner]] = {"source": SourceCaptioner, "describe": Describer}
    return [known[name]() for name in caption.captioners]
