"""From frames as they are stored to pictures as they are shown: size, rotation and mirroring."""

from __future__ import annotations

import cv2
import numpy as np

from curation.video.probe import Header

_LEAST_SIDE = 8
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def stored_size(head: Header, *, width: int | None = None, short_side: int | None = None) -> tuple[int, int]:
    """(width, height) to which a stored frame is scaled so that it has this width or short side; never up.

    Pixels are square afterwards, as in the displayed size that the header gives.
    """
    shown = (head.width, head.height)
    stored = shown[::-1] if head.rotation in (90, 270) else shown
    scale = min(1.0, width / stored[0] if width else 1.0, short_side / min(stored) if short_side else 1.0)
    return max(_LEAST_SIDE, round(stored[0] * scale)), max(_LEAST_SIDE, round(stored[1] * scale))


def upright(picture: np.ndarray, head: Header) -> np.ndarray:
    """A stored picture (H, W, …) as it is shown."""
    flipped = cv2.flip(picture, 0) if head.mirrored else picture
    return cv2.rotate(flipped, _TURNS[head.rotation]) if head.rotation in _TURNS else flipped


def turned_back(picture: np.ndarray, head: Header) -> np.ndarray:
    """A picture (H, W, …) as it is shown, in the way in which it is stored: undoes `upright`."""
    back = cv2.rotate(picture, _TURNS[360 - head.rotation]) if head.rotation in _TURNS else picture
    return cv2.flip(back, 0) if head.mirrored else back


def upright_vector(x: float, y: float, head: Header) -> tuple[float, float]:
    """Movement in a stored picture, right and down positive, as it is seen after `upright`."""
    if head.mirrored:
        y = -y
    return {90: (y, -x), 180: (-x, -y), 270: (-y, x)}.get(head.rotation, (x, y))
