"""Shots that look like footage, small: painted landscapes under a moving camera, and how one gives way to the next."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SIZE = (160, 96)
Pictures = list[np.ndarray]


def shot(seed: int, frames: int, *, pan: float = 0.1, zoom: float = 0.0, size: tuple[int, int] = SIZE) -> Pictures:
    """Frames (H, W, 3) uint8 RGB of one picture, with grain.

    Args:
        pan: pixels that the camera moves to the right in a frame.
        zoom: share by which the picture grows in a frame.
    """
    chance = np.random.default_rng(seed)
    width, height = size
    picture = _painted(chance, (3 * width, 2 * height))
    found = []
    for number in range(frames):
        scale = (1 + zoom) ** -number
        view = np.float32([[scale, 0, width * 0.6 + pan * number], [0, scale, height * 0.5]])
        seen = cv2.warpAffine(picture, view, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        found.append(np.clip(seen + chance.normal(0, 2, seen.shape), 0, 255).astype(np.uint8))
    return found


def _painted(chance: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A wide picture of things in front of a sky, float32."""
    sky = chance.integers(0, 256, (2, 3, 3)).astype(np.float32)
    picture = cv2.resize(sky, size, interpolation=cv2.INTER_LINEAR)
    for _ in range(300):
        colour = tuple(float(value) for value in chance.integers(0, 256, 3))
        x, y = int(chance.integers(size[0])), int(chance.integers(size[1]))
        wide, high = (int(length) for length in chance.integers(3, 20, 2))
        cv2.ellipse(picture, (x, y), (wide, high), float(chance.integers(180)), 0, 360, colour, -1)
    return picture


def dissolve(before: Pictures, after: Pictures) -> Pictures:
    """Equally many frames of both shots to as many of which none is purely of one."""
    return [
        cv2.addWeighted(one, 1 - share, other, share, 0)
        for one, other, share in zip(before, after, _shares(len(before)))
    ]


def wipe(before: Pictures, after: Pictures) -> Pictures:
    """As `dissolve`, with a line that passes from left to right."""
    found = []
    for one, other, share in zip(before, after, _shares(len(before))):
        picture, line = one.copy(), round(one.shape[1] * share)
        picture[:, :line] = other[:, :line]
        found.append(picture)
    return found


def fade(before: Pictures, after: Pictures) -> Pictures:
    """As `dissolve`, through black."""
    shares = _shares(len(before))
    return [
        cv2.convertScaleAbs(one if share < 0.5 else other, alpha=abs(1 - 2 * share))
        for one, other, share in zip(before, after, shares)
    ]


def _shares(count: int) -> list[float]:
    return [(number + 1) / (count + 1) for number in range(count)]


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    rate: int = 25,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """A film of these frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "18", "preset": "veryfast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
