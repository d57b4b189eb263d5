"""Exact frames of an mp4 in memory, decoding no more than they need.

The index beside a shard says where the frames and key frames of a sample are, so nothing is
scanned: seek to the key frame before the first wanted frame, decode to the last one, skip gaps that
hold a key frame, and scale only the wanted frames.
"""

from __future__ import annotations

import bisect
import io
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from training.stream.dataset import FrameIndex
from training.stream.faults import SampleError

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2"
_MAX_PIXELS = 1 << 26


class DecodeError(SampleError):
    """A sample's media cannot give the frames that its index promises."""

    def __init__(self, message: str):
        super().__init__("undecodable", message)

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str]]:
        return DecodeError, (self.message,)


def covering(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest height and width of the same shape (to the pixel) that cover `size`."""
    scale = max(Fraction(size[0], height), Fraction(size[1], width))
    return max(size[0], round(height * scale)), max(size[1], round(width * scale))


def decode(media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames `wanted` (ascending positions) as RGB, uint8 (len(wanted), h, w, 3).

    The frames keep their shape and are scaled to cover `size` (height, width) in pixels: one side
    is equal, the other is equal or longer.

    Raises:
        DecodeError: the media is damaged, is no mp4, or lacks a frame of the index.
    """
    try:
        with av.open(io.BytesIO(media), "r", options={"format_whitelist": _FORMATS}) as container:
            return _decode(container, wanted, index, size)
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise DecodeError(" ".join(str(error).split()) or type(error).__name__) from error


def _decode(
    container: InputContainer, wanted: Sequence[int], index: FrameIndex, size: tuple[int, int]
) -> NDArray[np.uint8]:
    if not container.streams.video:
        raise DecodeError("it has no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    high, wide = stream.codec_context.height, stream.codec_context.width
    # Scaled to cover the wanted size, a very long and narrow picture would grow without bound.
    if not 0 < high * wide <= _MAX_PIXELS or math.prod(covering(high, wide, size)) > _MAX_PIXELS:
        raise DecodeError(f"frames of {wide}x{high} pixels")
    if stream.time_base is None:
        raise DecodeError("its video stream has no time base")
    unit = index.time_base / stream.time_base
    reformatter = VideoReformatter()
    pictures: NDArray[np.uint8] | None = None
    for place, frame in enumerate(_frames(container, stream, wanted, [pts * unit for pts in index.pts], index)):
        height, width = covering(frame.height, frame.width, size)
        scaled = reformatter.reformat(frame, width=width, height=height, format="rgb24", interpolation="BILINEAR")
        if pictures is None:
            pictures = np.empty((len(wanted), height, width, 3), np.uint8)
        elif pictures.shape[1:3] != (height, width):
            raise DecodeError("the size of its frames changes")
        pictures[place] = scaled.to_ndarray()
    if pictures is None:
        raise DecodeError("no frame was asked for")
    return pictures


def _frames(
    container: InputContainer,
    stream: av.VideoStream,
    wanted: Sequence[int],
    pts: Sequence[Fraction],
    index: FrameIndex,
) -> Iterator[av.VideoFrame]:
    """The wanted frames in order; `pts` is in the stream's own time base."""
    frames = container.decode(stream)
    reached = -1  # the last frame that was decoded
    for number in wanted:
        start = index.keyframes[bisect.bisect_right(index.keyframes, number) - 1]
        jumped = start > reached + 1
        if jumped:
            container.seek(int(pts[start]), stream=stream)
            frames = container.decode(stream)
        frame = _find(frames, pts[number])
        if frame is None and jumped:  # the container's own index led past the frame
            container.seek(int(pts[0]), stream=stream)
            frames = container.decode(stream)
            frame = _find(frames, pts[number])
        if frame is None:
            raise DecodeError(f"frame {number} at {index.pts[number]} is missing")
        reached = number
        yield frame


def _find(frames: Iterator[av.VideoFrame], pts: Fraction) -> av.VideoFrame | None:
    """Decode on to the frame with exactly this timestamp; None where it does not come."""
    for frame in frames:
        if frame.pts is None or frame.pts < pts:
            continue
        if frame.pts > pts:
            return None
        if frame.is_corrupt:
            raise DecodeError(f"the frame at {frame.pts} is damaged")
        return frame
    return None
