"""What is made, as files: h264 in mp4 or a PNG, whole or not there, with its settings inside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMMENT = "comment"
"""Key of the settings, as JSON: a tag of the mp4, a text chunk of the PNG."""


def write(path: Path, pieces: Iterable[NDArray[np.uint8]], *, fps: Fraction, settings: Mapping[str, Any]) -> None:
    """Write frames as they come, by the ending of `path`; the file is whole or not there.

    Args:
        pieces: RGB frames, uint8 (some, height, width, 3), all of one even height and width.
        settings: JSON-ready, see `settings`.

    Raises:
        UserError: it cannot be written.
    """
    import av

    part = path.with_name(f".{path.name}.part")
    comment = json.dumps(settings, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        (_png if path.suffix.lower() == ".png" else _mp4)(part, pieces, fps, comment)
        os.replace(part, path)
    except (OSError, av.error.FFmpegError) as error:
        raise UserError(f"cannot write {path}: {' '.join(str(error).split())}") from error
    finally:
        part.unlink(missing_ok=True)


def settings(path: Path) -> dict[str, Any] | None:
    """The settings inside a file that `write` wrote; None where there is none, or of others."""
    import av
    from PIL import Image

    try:
        if path.suffix.lower() == ".png":
            with Image.open(path, formats=["PNG"]) as picture:
                comment = picture.info.get(COMMENT, "")
        else:
            with av.open(str(path), format="mp4") as container:
                comment = container.metadata.get(COMMENT, "")
        found = json.loads(comment)
    except (OSError, ValueError, av.error.FFmpegError):
        return None
    return found if isinstance(found, dict) else None


def _mp4(part: Path, pieces: Iterable[NDArray[np.uint8]], fps: Fraction, comment: str) -> None:
    import av

    with av.open(str(part), "w", format="mp4") as container:
        container.metadata[COMMENT] = comment
        stream = container.add_stream("libx264", rate=fps, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        # Players take a large picture without these marks for BT.709, whatever it is; so it is, and says so.
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        for piece in pieces:
            if not context.is_open:
                stream.height, stream.width = piece.shape[1:3]
            for picture in piece:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _png(part: Path, pieces: Iterable[NDArray[np.uint8]], fps: Fraction, comment: str) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_itxt(COMMENT, comment)
    (piece,) = pieces
    Image.fromarray(piece[0]).save(part, format="PNG", pnginfo=told)
