"""The interface of everything that gives a clip words, and which captioners a recipe asks for.

A captioner gets clips by id and answers by id: a caption can never reach another clip.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from curation.models.pictures import decoded
from curation.recipe_caption import Caption, CaptionerName, Style


@dataclass(frozen=True)
class Shown:
    """What a captioner may look at."""

    clip_id: str
    jpegs: Sequence[bytes]
    """The pictures of the clip in time order, as they are stored."""
    source_caption: str | None
    """The caption that came with the source."""
    brightness: float | None
    """Mean luma from 0 to 1."""
    motion: float | None
    """Mean length of the optical flow, in frame widths per second."""
    motion_x: float | None
    motion_y: float | None

    @cached_property
    def pictures(self) -> Sequence[np.ndarray]:
        """In time order, each (H, W, 3) uint8 RGB."""
        return [decoded(jpeg) for jpeg in self.jpegs]


@dataclass(frozen=True)
class Answer:
    """What a captioner says of one clip: a text, or why there is none."""

    text: str | None = None
    truncated: bool = False
    """Whether the text ends at the limit of tokens."""
    refused: bool = False
    """Whether the server says that the model declined."""
    error: str | None = None
    """Why there is no text."""
    passing: bool = False
    """Whether the same question may well be answered later."""
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0


@dataclass(frozen=True)
class Spent:
    """What answers have cost so far."""

    requests: int = 0
    tokens: int = 0
    dollars: float = 0.0


class Captioner(ABC):
    """Answers for clips, in any order.

    A captioner that needs weights or a key gets them in `setup` and raises a `UserError` there which names
    what is missing, the recipe's key and what to do.
    """

    name: ClassVar[CaptionerName]
    model: str | None = None
    """The model that answers; captioners without one say what is known, and are not asked with a prompt."""
    remembered: ClassVar[bool] = False
    """Whether an answer costs so much that it is kept, and never asked for again."""

    def setup(self) -> None:  # noqa: B027  (most need no set-up)
        """Once a worker: load weights, open connections."""

    def resume(self, spent: Spent) -> None:  # noqa: B027  (most cost nothing)
        """Once a worker: what earlier runs have spent on this output."""

    def identity(self, style: Style) -> Any:
        """All that decides an answer beside the clip, as plain values."""
        return [self.name]

    @abstractmethod
    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        """Answers with the id of their clip, as they come; a clip of which nothing is known is left out."""


class SourceCaptioner(Captioner):
    """The caption that came with the source, for every clip of it."""

    name = "source"

    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        return ((clip.clip_id, Answer(clip.source_caption)) for clip in clips if clip.source_caption)


def prompt_hash(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def captioners(caption: Caption) -> dict[CaptionerName, Captioner]:
    """The captioners that a recipe names anywhere, by their names."""
    from curation.models.describe import Describer
    from curation.models.endpoint import EndpointCaptioner
    from curation.models.vision_language import LocalCaptioner

    known: dict[CaptionerName, Captioner] = {"source": SourceCaptioner(), "describe": Describer()}
    if caption.endpoint:
        known["endpoint"] = EndpointCaptioner(caption.endpoint)
    if caption.transformers:
        known["transformers"] = LocalCaptioner(caption.transformers)
    asked = {name for style in caption.styles.values() for name in style.captioners or caption.captioners}
    return {name: captioner for name, captioner in known.items() if name in asked}
