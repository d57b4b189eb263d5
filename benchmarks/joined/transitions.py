"""Frames of gradual transitions, each made from one frame of either shot."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Join:
    """How a shot gives way to the next over `frames` frames that both have; a cut has none."""

    kind: str
    frames: int

    @property
    def hard_cuts(self) -> tuple[int, ...]:
        """Hard cuts, counted from the join's first frame."""
        return {"cut": (0,), "fade-in": (0,), "fade-out": (self.frames,)}.get(self.kind, ())

    def picture(self, number: int, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Frame `number` of the transition; none of them is purely of one shot."""
        share = (number + 1) / (self.frames + 1)
        if self.kind == "dissolve":
            return cv2.addWeighted(before, 1 - share, after, share, 0)
        if self.kind.startswith("wipe"):
            height, width = before.shape[:2]
            return np.where(_wiped(self.kind, width, height) < share, after, before)
        shown = before if self.kind == "fade-out" or (self.kind != "fade-in" and share < 0.5) else after
        return cv2.convertScaleAbs(shown, alpha=(light := self._light(number)), beta=(1 - light) * self._ground)

    @property
    def _ground(self) -> int:
        return 255 if self.kind == "fade-white" else 0

    def _light(self, number: int) -> float:
        """How much of the picture is left; a tenth of the frames has nothing of it."""
        if self.kind == "fade-out":
            number, of = number + 1, self.frames * 0.9
        elif self.kind == "fade-in":
            number, of = self.frames - number, self.frames * 0.9
        else:
            number, of = min(number + 1, self.frames - number), self.frames * 0.45
        return max(0.0, 1 - number / of)


def deck(copies: int) -> list[Join]:
    """As many of each kind and length, most of them dissolves."""
    lengths = {
        "dissolve": (6, 12, 24, 48) * 4,
        "fade-black": (12, 24, 48) * 2,
        "fade-white": (12, 24, 48) * 2,
        "fade-out": (12, 24) * 2,
        "fade-in": (12, 24) * 2,
        "wipe-left": (8, 16, 32),
        "wipe-up": (8, 16, 32),
        "wipe-diagonal": (8, 16, 32),
        "wipe-radial": (8, 16, 32),
    }
    return [Join(kind, frames) for kind, each in lengths.items() for frames in each] * copies


def _wiped(kind: str, width: int, height: int) -> np.ndarray:
    """When the line passes each pixel, 0 to 1, (H, W, 1)."""
    x = np.linspace(0, 1, width)[None, :]
    y = np.linspace(0, 1, height)[:, None]
    times = {
        "wipe-left": 1 - x + 0 * y,
        "wipe-up": 1 - y + 0 * x,
        "wipe-diagonal": (x + y) / 2,
        "wipe-radial": (np.arctan2(y - 0.5, x - 0.5) / np.pi + 1) / 2,
    }
    return times[kind][:, :, None]
