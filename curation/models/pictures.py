"""Stored pictures as arrays."""

from __future__ import annotations

import cv2
import numpy as np


def decoded(jpeg: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a thumbnail is not a picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
