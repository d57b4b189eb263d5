"""Where the frames of a video are, for samples whose shard does not say: found from its packets, without decoding."""

from __future__ import annotations

import io
from typing import BinaryIO

import av

from training.stream.dataset import FrameIndex
from training.stream.faults import SampleError

# No format that could name other files. Those of `tars.VIDEOS`.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
_MOST_FRAMES = 1_000_000


def frame_index(media: bytes | BinaryIO) -> FrameIndex:
    """Timestamps and key frames of the first video stream, in the order in which frames are shown.

    Frames that an edit list hides are left out, and those that come before the key frame that they need.

    Raises:
        SampleError: it is damaged, of another kind, or its timestamps do not tell its frames apart.
    """
    try:
        file = io.BytesIO(media) if isinstance(media, bytes) else media
        with av.open(file, "r", options={"format_whitelist": _FORMATS}) as container:
            if not container.streams.video:
                raise SampleError("undecodable", "it has no video stream")
            stream = container.streams.video[0]
            unit = stream.time_base
            shown: dict[int, bool] = {}
            count, hidden_key = 0, False
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                if packet.is_discard:
                    hidden_key = hidden_key or (packet.is_keyframe and not shown)
                    continue
                if packet.pts is None:
                    raise SampleError("undecodable", "a frame of it has no timestamp")
                if shown or hidden_key or packet.is_keyframe:
                    shown[packet.pts] = packet.is_keyframe
                    count += 1
                if count > _MOST_FRAMES:
                    raise SampleError("refused", f"it has more than {_MOST_FRAMES} frames")
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SampleError("undecodable", reason) from error
    pts = sorted(shown)
    if not hidden_key:  # what is shown before a key frame but needs it
        pts = pts[next((place for place, at in enumerate(pts) if shown[at]), len(pts)) :]
    if not pts or unit is None:
        raise SampleError("undecodable", "it has no frames that can be decoded")
    if len(shown) < count:
        raise SampleError("undecodable", "two frames of it have the same timestamp")
    keyframes = [place for place, at in enumerate(pts) if shown[at]]
    # A seek to the first frame shown finds the hidden key frame before it.
    return FrameIndex(pts, unit, keyframes if keyframes[:1] == [0] else [0, *keyframes])
