"""What an edit list is made of: shots, how one gives way to the next, and the files that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from demo.footage.painting import Scene, Size

Transition = Literal["cut", "dissolve", "fade"]
CATALOGUE, CAMERA = "catalogue", "camera"


@dataclass(frozen=True)
class Shot:
    """A scene in a film; `into` says how the next shot follows."""

    name: str
    text: str
    factory: Callable[..., Scene]
    seconds: float
    sound: str
    seed: int = 7
    style: dict[str, str | int | float] = field(default_factory=dict)
    into: Transition = "cut"
    starts_at: float = 0.4
    pace: float = 1.0

    def build(self, size: Size) -> Scene:
        return self.factory(size, self.seed, **self.style)

    def moment(self, seconds: float) -> float:
        """The time on the scene's own clock, `seconds` after the shot begins; a pace of 0 freezes it."""
        return self.starts_at + self.pace * seconds


@dataclass(frozen=True)
class Film:
    """One file of raw footage."""

    name: str
    title: str
    category: str
    shots: tuple[Shot, ...]
    size: Size = (640, 360)
    fps: int = 25
    video: str = "libx264"
    audio: str = "aac"
    folder: str = CAMERA
    """What a table lists lies in one folder, what only lies around in another."""
    cut_off: float = 0.0
    """The share of the finished file's bytes that is lost at its end."""

    @property
    def path(self) -> str:
        """Below the folder of all footage."""
        return f"{self.folder}/{self.name}"
