"""Images as clips: a window that wanders over the picture, as a camera held by hand would.

So LaVie (arXiv 2309.15103) trains its super resolution on LAION; it says "random translations" and no more. Here the
window's speed is a random walk with memory, so that it drifts and turns and does not jump.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.stream.clips import Window

_MEMORY = 0.9
"""How much of its speed the window keeps from one frame to the next; ours."""


def wander(
    picture: NDArray[np.uint8], out: NDArray[np.uint8], window: Window, *, speed: float, rng: np.random.Generator
) -> None:
    """Cut a clip out of a picture.

    Args:
        picture: RGB, (height, width, 3).
        out: where the frames go, (frames, h, w, 3), no larger than the picture.
        window: where the first frame is cut, and whether all are mirrored.
        speed: pixels from one frame to the next, the standard deviation in each direction.
    """
    room = np.array(picture.shape[:2]) - out.shape[1:3]
    start = np.array([window.top, window.left]) * (room + 1)
    steps = rng.standard_normal((len(out), 2))
    moving = np.empty_like(steps)
    moving[0] = steps[0]
    for number in range(1, len(out)):
        moving[number] = _MEMORY * moving[number - 1] + np.sqrt(1 - _MEMORY**2) * steps[number]
    moved = np.concatenate([np.zeros((1, 2)), np.cumsum(speed * moving[1:], axis=0)])
    for (top, left), frame in zip(_inside(start + moved, room), out):
        part = picture[top : top + frame.shape[0], left : left + frame.shape[1]]
        frame[:] = part[:, ::-1] if window.mirrored else part


def _inside(places: NDArray[np.float64], room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole places from 0 to `room`, both included: what would leave the picture turns back at its border."""
    around = np.maximum(2 * room, 1)
    folded = np.floor(places).astype(np.int64) % around
    return np.minimum(folded, around - folded) * (room > 0)
