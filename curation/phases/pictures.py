"""The thumbnails of a clip's row as pictures."""

from __future__ import annotations

import cv2
import numpy as np

from curation.tables import Row


def pictures(row: Row) -> list[np.ndarray]:
    """Each (H, W, 3) uint8 RGB, in time order."""
    return [cv2.cvtColor(_decoded(jpeg), cv2.COLOR_BGR2RGB) for jpeg in row["thumbnails"]]


def _decoded(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a thumbnail is not a picture")
    return picture
