"""Frames by PyAV: from the key frame before the first wanted frame to the last, without what nobody needs.

The index says where frames and key frames are, so nothing is scanned: seek to a key frame, jump over gaps that hold
one, leave out frames between the wanted ones that no other frame refers to, and scale only the wanted ones.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, fitted

# Media of our own shards is mp4; tars of others hold these too. No format that could name other files.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"


def frames(
    media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], native: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """See `decode.Decoder`."""
    try:
        with av.open(io.BytesIO(media), "r", options={"format_whitelist": _FORMATS}) as container:
            yield from _scaled(container, wanted, index, size, native)
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise DecodeError(" ".join(str(error).split()) or type(error).__name__) from error


def _scaled(
    container: InputContainer, wanted: Sequence[int], index: FrameIndex, size: tuple[int, int], native: bool
) -> Iterator[NDArray[np.uint8]]:
    if not container.streams.video:
        raise DecodeError("it has no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # samples are decoded side by side
    fitted(stream.codec_context.height, stream.codec_context.width, size, native)
    reformatter = VideoReformatter()
    first: tuple[int, int] | None = None
    for frame in _Frames(container, stream, index).at(wanted):
        first = first or (frame.height, frame.width)
        if first != (frame.height, frame.width):
            raise DecodeError("the size of its frames changes")
        height, width = fitted(frame.height, frame.width, size, native)
        scaled = reformatter.reformat(frame, width=width, height=height, format="rgb24", interpolation="BILINEAR")
        plane = scaled.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        yield rows[:, : width * 3].reshape(height, width, 3)


class _Frames:
    """Finds frames by their timestamps."""

    def __init__(self, container: InputContainer, stream: av.VideoStream, index: FrameIndex):
        if stream.time_base is None:
            raise DecodeError("its video stream has no time base")
        self._container = container
        self._stream = stream
        self._index = index
        self._unit = index.time_base / stream.time_base

    def at(self, wanted: Sequence[int]) -> Iterator[av.VideoFrame]:
        """The wanted frames in order."""
        targets = {self._pts(number) for number in wanted}
        keyframes = self._index.keyframes
        decoded: Iterator[av.VideoFrame] = iter(())
        reached = -2  # the last frame that was found, before any key frame
        for number in wanted:
            start = keyframes[bisect.bisect_right(keyframes, number) - 1]
            if start > reached + 1:
                decoded = self._from(start, targets)
            frame = _find(decoded, self._pts(number))
            if frame is None:  # the container's own index led past it, or it was left out: take every frame
                decoded = self._from(0, None)
                frame = _find(decoded, self._pts(number))
            if frame is None:
                raise DecodeError(f"frame {number} at {self._index.pts[number]} is missing")
            reached = number
            yield frame

    def _pts(self, number: int) -> float:
        """The timestamp of a frame in the stream's own time base; whole, unless the index is of another file."""
        pts = self._index.pts[number] * self._unit
        return int(pts) if pts.denominator == 1 else float(pts)

    def _from(self, number: int, targets: set[float] | None) -> Iterator[av.VideoFrame]:
        """Decode on from a key frame; of frames that are no targets, only what others refer to."""
        self._container.seek(int(self._pts(number)), stream=self._stream)
        context = self._stream.codec_context
        for packet in self._container.demux(self._stream):
            needed = targets is None or packet.pts is None or packet.pts in targets
            context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield from packet.decode()


def _find(frames: Iterator[av.VideoFrame], pts: float) -> av.VideoFrame | None:
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
