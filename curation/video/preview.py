"""A few small frames of a finished clip, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from curation.video.decode import Decoder, make_convertible
from curation.video.probe import MediaError, opened


def preview(path: Path, frames: int, seconds: float, width: int, height: int) -> dict[str, Any]:
    """Frames at even steps from the first `seconds`, each as large as fits into width x height (pixels).

    Returns:
        `pictures`: RGB bytes, row by row; their `width` and `height`; and the `seconds` that they show.

    Raises:
        MediaError: nothing can be decoded.
    """
    step = seconds / frames
    pictures: list[bytes] = []
    size = (0, 0)
    with opened(path) as (container, stream):
        base = stream.time_base
        assert base is not None
        first: int | None = None
        for pts, frame in Decoder(container, stream).frames():
            first = pts if first is None else first
            at = float((pts - first) * base)
            if at >= seconds or len(pictures) == frames:
                break
            if at >= len(pictures) * step - 1e-6:
                size = size if pictures else _fitting(frame, width, height)
                make_convertible(frame)
                pictures.append(frame.reformat(*size, format="rgb24").to_ndarray().tobytes())
    if not pictures:
        raise MediaError("no frame can be decoded")
    return {"pictures": pictures, "width": size[0], "height": size[1], "seconds": len(pictures) * step}


def _fitting(frame: av.VideoFrame, width: int, height: int) -> tuple[int, int]:
    scale = min(width / frame.width, height / frame.height)
    return max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)
