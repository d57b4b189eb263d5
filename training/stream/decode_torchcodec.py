"""Frames by torchcodec, which is told where they are and scans nothing.

Its wheel brings no FFmpeg: shared libraries of the system are needed, on Debian and Ubuntu those of the package ffmpeg.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torchcodec.decoders import VideoDecoder

from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, fitted

try:
    VideoDecoder(b"no media")
except RuntimeError as error:  # the library itself is loaded when it is first used
    if "libtorchcodec" in str(error):
        raise ImportError("FFmpeg's shared libraries, which it needs, were not found") from error
except ValueError:
    pass


def frames(
    media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], native: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """See `decode.Decoder`."""
    try:
        decoder = VideoDecoder(
            media, dimension_order="NHWC", num_ffmpeg_threads=1, custom_frame_mappings=_mappings(index)
        )
        pictures = decoder.get_frames_at(list(wanted))
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        raise DecodeError(" ".join(str(error).split())[:300] or type(error).__name__) from error
    unit = float(index.time_base)
    told = pictures.pts_seconds.numpy()
    for place, (number, picture) in enumerate(zip(wanted, pictures.data.numpy())):
        if abs(told[place] - index.pts[number] * unit) > unit:
            raise DecodeError(f"frame {number} at {index.pts[number]} is missing")
        height, width = fitted(picture.shape[0], picture.shape[1], size, native)
        yield scaled(picture, height, width)


def scaled(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A whole picture made larger or smaller."""
    if picture.shape[:2] == (height, width):
        return picture
    way = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_LINEAR
    out = np.empty((height, width, 3), np.uint8)
    cv2.resize(picture, (width, height), out, interpolation=way)
    return out


def _mappings(index: FrameIndex) -> str:
    """Our index as torchcodec reads it, in the shape of ffprobe's."""
    keys = set(index.keyframes)
    last = index.pts[-1] - index.pts[-2] if len(index.pts) > 1 else 1
    ends = [*index.pts[1:], index.pts[-1] + last]
    rows = [
        {"pts": pts, "duration": end - pts, "key_frame": int(number in keys)}
        for number, (pts, end) in enumerate(zip(index.pts, ends))
    ]
    return json.dumps({"frames": rows})
