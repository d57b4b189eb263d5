"""What looks like a change of shot and is none, done to the frames of one shot."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np

FRAMES = {
    "flash-1": 1,
    "flash-2": 2,
    "strobe": 18,
    "pan": 10,
    "shake": 24,
    "caption": 36,
    "exposure": 2,
    "zoom": 60,
    "object": 10,
}
_BLURRED = 4


@dataclass(frozen=True)
class View:
    """The part of a frame that is shown: its share of the width, and where it lies in what is left over (0 to 1)."""

    share: float
    x: float = 0.5
    y: float = 0.5

    def of(self, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """That part at `size` (width, height), cropped to its shape."""
        height, width = picture.shape[:2]
        wide = min(width, height * size[0] / size[1]) * self.share
        tall = wide * size[1] / size[0]
        left, top = round((width - wide) * self.x), round((height - tall) * self.y)
        part = picture[top : top + round(tall), left : left + round(wide)]
        return cv2.resize(part, size, interpolation=cv2.INTER_AREA if part.shape[1] > size[0] else cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Trap:
    """Of one kind, from frame `first` of a shot on; an exposure stays as it has become."""

    kind: str
    first: int
    seed: int

    @property
    def frames(self) -> int:
        return FRAMES[self.kind]

    def seen(self, number: int, picture: np.ndarray, view: View, size: tuple[int, int]) -> np.ndarray:
        """Frame `number` of the shot at `size`, as the camera and the cutting room leave it."""
        step = number - self.first
        views = self._views(step, view)
        shown = views[0].of(picture, size)
        if len(views) > 1:
            shown = np.mean([one.of(picture, size) for one in views], axis=0).astype(np.uint8)
        return self._painted(step, shown)

    def _views(self, step: int, view: View) -> list[View]:
        chance = random.Random(self.seed)
        if self.kind == "pan":
            direction = chance.choice((-1, 1))
            moving = 0 <= step < self.frames
            moments = [step + part / _BLURRED for part in range(_BLURRED)] if moving else [step]
            return [View(0.55, 0.5 + direction * (_eased((at + 1) / (self.frames + 1)) - 0.5)) for at in moments]
        if self.kind == "shake":
            chance = random.Random(self.seed * 1000 + step)
            strength = 0.5 if 0 <= step < self.frames else 0.0
            return [View(0.85, 0.5 + chance.uniform(-1, 1) * strength, 0.5 + chance.uniform(-1, 1) * strength)]
        if self.kind == "zoom":
            return [View(1 - 0.4 * _eased(step / self.frames))]
        return [view]

    def _painted(self, step: int, picture: np.ndarray) -> np.ndarray:
        within = 0 <= step < self.frames
        chance = random.Random(self.seed)
        if self.kind == "exposure" and step >= 0:
            light = chance.choice((0.5, 1.6))
            return cv2.convertScaleAbs(picture, alpha=1 + (light - 1) * min(1.0, (step + 1) / self.frames))
        if not within:
            return picture
        if self.kind.startswith("flash"):
            return _whitened(picture, (0.75, 0.45)[step])
        if self.kind == "strobe":
            return _whitened(picture, 0.55) if step % 3 == 0 else picture
        if self.kind == "caption":
            return _captioned(picture)
        if self.kind == "object":
            return _crossed(picture, (step + 1) / (self.frames + 1), chance)
        return picture


def _eased(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _whitened(picture: np.ndarray, white: float) -> np.ndarray:
    return cv2.convertScaleAbs(picture, alpha=1 - white, beta=255 * white)


def _captioned(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    shown = picture.copy()
    shown[int(height * 0.78) : int(height * 0.94), int(width * 0.15) : int(width * 0.85)] //= 4
    place = (int(width * 0.18), int(height * 0.89))
    text = "and then the road went on"
    cv2.putText(shown, text, place, cv2.FONT_HERSHEY_DUPLEX, height / 400, (255, 255, 255), 1, cv2.LINE_AA)
    return shown


def _crossed(picture: np.ndarray, share: float, chance: random.Random) -> np.ndarray:
    """A dark thing of a third of the width passes close to the camera."""
    height, width = picture.shape[:2]
    shown = picture.copy()
    colour = [chance.randint(10, 90) for _ in range(3)]
    centre = (round(width * (1.5 * share - 0.25)), round(height * 0.6))
    cv2.ellipse(shown, centre, (width // 6, height // 2), 12, 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.blur(shown, (9, 1)) if 0 < share < 1 else shown
