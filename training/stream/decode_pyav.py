"""Frames by PyAV: from the key frame before the first wanted frame to the last, without what nobody needs.

The index says where frames and key frames are, so nothing is scanned: open without looking into the stream, seek to a
key frame, jump over gaps that hold one, leave out frames between the wanted ones that no other frame refers to, and
scale only the wanted ones. Where a frame does not come that way, the media is opened and decoded in full.
"""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, fitted

# Media of our own shards is mp4; tars of others hold these too. No format that could name other files.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
# FFmpeg decodes the first frames only to guess what the header says anyway, and again when it is asked for them.
_LEAN = {"probesize": "32", "analyzeduration": "0"}
_NO_FRAMES = {"skip_frame": "all", "threads": "1"}


def frames(
    media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], native: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """See `decode.Decoder`."""
    try:
        with contextlib.ExitStack() as stack:
            shape: tuple[int, int] | None = None
            scaler = VideoReformatter()
            for frame in _found(media, wanted, index, stack):
                shape = shape or (frame.height, frame.width)
                if shape != (frame.height, frame.width):
                    raise DecodeError("the size of its frames changes")
                yield _scaled(scaler, frame, fitted(*shape, size, native))
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise DecodeError(" ".join(str(error).split()) or type(error).__name__) from error


def _scaled(scaler: VideoReformatter, frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    # Scaled to packed RGB, pictures take three times as long and lose half of their colour's width. Without scaling
    # packed RGB is the fast one, and FFmpeg leaves out the last columns of planar RGB at some widths.
    packed = size == (frame.height, frame.width)
    form = "rgb24" if packed else "gbrp"
    shown = scaler.reformat(frame, width=width, height=height, format=form, interpolation="BILINEAR", threads=1)
    planes = [np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size) for plane in shown.planes]
    if packed:
        return planes[0][:, : width * 3].reshape(height, width, 3).copy()
    green, blue, red = (plane[:, :width] for plane in planes)
    picture = np.empty((height, width, 3), np.uint8)
    cv2.merge([red, green, blue], picture)
    return picture


def _found(
    media: bytes, wanted: Sequence[int], index: FrameIndex, stack: contextlib.ExitStack
) -> Iterator[av.VideoFrame]:
    """The wanted frames in order."""
    stream = _Stream(stack, media, index, lean=True)
    targets = {stream.pts(number) for number in wanted}
    decoded: Iterator[av.VideoFrame] = iter(())
    reached = -2  # the last frame that was found, before any key frame
    for number in wanted:
        start = index.keyframes[bisect.bisect_right(index.keyframes, number) - 1]
        if start > reached + 1:
            decoded = stream.decode(start, targets)
        frame = _next(decoded, stream.pts(number))
        if frame is None:
            stream = _Stream(stack, media, index, lean=False)
            decoded = stream.decode(0, None)
            frame = _next(decoded, stream.pts(number))
        if frame is None:
            raise DecodeError(f"frame {number} at {index.pts[number]} is missing")
        reached = number
        yield frame


class _Stream:
    """The video of a media file, to be decoded from one of its key frames."""

    def __init__(self, stack: contextlib.ExitStack, media: bytes, index: FrameIndex, *, lean: bool):
        more: Any = {"stream_options": [_NO_FRAMES]} if lean else {}  # its stub says a list of words
        options = {"format_whitelist": _FORMATS, **(_LEAN if lean else {})}
        self._container: InputContainer = stack.enter_context(av.open(io.BytesIO(media), "r", options=options, **more))
        if not self._container.streams.video:
            raise DecodeError("it has no video stream")
        self._stream = self._container.streams.video[0]
        if self._stream.time_base is None:
            raise DecodeError("its video stream has no time base")
        context = self._stream.codec_context
        context.thread_count = 1  # samples are decoded side by side
        if context.height and context.width:
            fitted(context.height, context.width, (1, 1), False)
        self._index = index
        self._unit = index.time_base / self._stream.time_base

    def pts(self, number: int) -> float:
        """The timestamp of a frame in the stream's own time base; whole, unless the index is of another file."""
        pts = self._index.pts[number] * self._unit
        return int(pts) if pts.denominator == 1 else float(pts)

    def decode(self, number: int, targets: set[float] | None) -> Iterator[av.VideoFrame]:
        """Decode on from a key frame: all frames, or of those that are no targets only what others refer to."""
        self._container.seek(int(self.pts(number)), stream=self._stream)
        context = self._stream.codec_context
        for packet in self._container.demux(self._stream):
            needed = targets is None or packet.pts is None or packet.pts in targets
            context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield from packet.decode()


def _next(frames: Iterator[av.VideoFrame], pts: float) -> av.VideoFrame | None:
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
