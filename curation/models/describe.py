"""The built-in describer: a sentence of measured facts. It names no objects, since it sees none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from curation.models.captioners import Answer, Captioner, Shown
from curation.recipe_caption import Style

# Hue names by their upper end on OpenCV's scale of 0 to 180 (two degrees a step).
_HUES = (
    (8, "red"),
    (20, "orange"),
    (34, "yellow"),
    (85, "green"),
    (98, "turquoise"),
    (130, "blue"),
    (150, "purple"),
    (170, "pink"),
    (181, "red"),
)
# Mean luma below which a scene is called so. Ours.
_LIGHTS = ((0.12, "very dark"), (0.3, "dark"), (0.55, "evenly lit"), (math.inf, "bright"))
# Flow below which motion is called so, in frame widths per second. Ours.
_STILL = 0.004
_MOTIONS = ((0.04, "slow"), (0.15, "steady"), (math.inf, "fast"))
# A colour is named when it covers at least this share of the pixels.
_SHARE = 0.15
# Mean flow over mean length of flow: above this the motion has a direction of its own.
_DIRECTED = 0.5


class Describer(Captioner):
    """Brightness, dominant colours, amount and direction of motion."""

    name = "describe"

    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        return ((clip.clip_id, Answer(describe(clip))) for clip in clips if clip.jpegs)


def describe(clip: Shown) -> str:
    """For instance: "A dark scene in blue and black with slow motion to the left."."""
    names = colours(clip.pictures)
    light = _light(clip.brightness)
    sentence = f"{'An' if light[0] in 'aeiou' else 'A'} {light} scene"
    if names:
        sentence += " in " + " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{sentence} {_motion(clip)}."


def colours(pictures: Sequence[np.ndarray], most: int = 3) -> list[str]:
    """Names of the colours that cover most of the pictures, the largest first."""
    pixels = np.concatenate([cv2.resize(p, (48, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3) for p in pictures])
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV)[0].astype(int)
    hue, saturation, value = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    edges, names = zip(*_HUES)
    named = np.array(names, dtype=object)[np.searchsorted(edges, hue, side="right")]
    brown = np.isin(named, ("orange", "red", "yellow")) & (value < 150) & (hue > 3) & (hue < 28)
    named[brown] = "brown"
    grey = saturation < 45
    named[grey & (value >= 190)] = "white"
    named[grey & (value < 190)] = "grey"
    named[value < 45] = "black"
    unique, counts = np.unique(named.astype(str), return_counts=True)
    order = sorted(zip(-counts, unique))
    return [name for count, name in order if -count >= _SHARE * len(named)][:most]


def _light(brightness: float | None) -> str:
    if brightness is None:
        return "short"
    return next(word for edge, word in _LIGHTS if brightness < edge)


def _motion(clip: Shown) -> str:
    if clip.motion is None or clip.motion_x is None or clip.motion_y is None:
        return "of a single moment"
    if clip.motion < _STILL:
        return "without motion"
    amount = next(word for edge, word in _MOTIONS if clip.motion < edge)
    if math.hypot(clip.motion_x, clip.motion_y) < _DIRECTED * clip.motion:
        return f"with {amount} motion"
    if abs(clip.motion_x) >= abs(clip.motion_y):
        direction = "to the right" if clip.motion_x > 0 else "to the left"
    else:
        direction = "downwards" if clip.motion_y > 0 else "upwards"
    return f"with {amount} motion {direction}"
