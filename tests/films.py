"""Small real videos for the tests, with cuts at known frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Scene:
    """Frames of one background colour with a white square that moves sideways over it."""

    frames: int
    colour: tuple[int, int, int]
    step: int = 3
    """Pixels that the square moves to the right in a frame."""


RED = (200, 40, 40)
GREEN = (40, 160, 60)
BLUE = (40, 60, 200)
GREY = (90, 90, 90)
BLACK = (4, 4, 4)


def pictures(scenes: Sequence[Scene], size: tuple[int, int]) -> list[np.ndarray]:
    """Every frame, (H, W, 3) uint8 RGB. A texture that stays in place gives the scene detail."""
    width, height = size
    texture = np.random.default_rng(7).integers(-20, 20, (height, width, 1))
    frames = []
    for scene in scenes:
        for number in range(scene.frames):
            frame = np.clip(np.array(scene.colour) + texture, 0, 255).astype(np.uint8)
            left = (number * scene.step) % max(1, width - 24)
            frame[height // 3 : height // 3 + 24, left : left + 24] = 250
            frames.append(frame)
    return frames


def write(
    path: Path,
    scenes: Sequence[Scene],
    *,
    size: tuple[int, int] = (320, 240),
    rate: int = 24,
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode the scenes; `pts` in `time_base` makes the frame rate vary."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=rate, options=options or {"crf": "18", "preset": "ultrafast", "g": "48"}
        )
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if time_base is not None:
            stream.codec_context.time_base = time_base
        for number, picture in enumerate(pictures(scenes, size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = pts[number] if pts is not None else number
            frame.time_base = time_base or Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_off(path: Path, share: float) -> Path:
    """Keep only the first part of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """Every frame of a file, (H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
