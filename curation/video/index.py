"""The frame index of a finished clip: what a decoder needs to reach any frame without scanning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import av.video.stream

from curation.video.decode import Decoder, packets
from curation.video.probe import MediaError, opened


def index(path: Path, decode: bool = True) -> dict[str, Any]:
    """Timestamps and key frames in display order, with every frame decoded as a check.

    Returns:
        `width`, `height` (pixels), `frames`, `frame_pts` (in `frame_time_base`), `frame_time_base`,
        `duration_s`, `keyframes` as positions in `frame_pts`, and `keyframe_bytes`, where the packet of each begins.

    Raises:
        MediaError: a packet has no timestamp, or a frame is missing or cannot be decoded.
    """
    with opened(path) as (container, stream):
        found = facts(stream, packets(container, stream))
    if decode:
        decoded = _decoded(path)
        if decoded != found["frame_pts"]:
            raise MediaError(f"{len(decoded)} frames decode where the file holds {found['frames']}")
    return found


def facts(stream: av.video.stream.VideoStream, demuxed: Iterable[av.Packet]) -> dict[str, Any]:
    """The index of a stream from all of its packets; see `index`.

    Raises:
        MediaError: there are none, or one has no timestamp.
    """
    held = sorted(_packets(demuxed))
    if not held:
        raise MediaError("no packets")
    frame_pts = [pts for pts, *_ in held]
    time_base = stream.time_base
    assert time_base is not None
    end = frame_pts[-1] + held[-1][2]
    return {
        "width": stream.codec_context.width,
        "height": stream.codec_context.height,
        "frames": len(frame_pts),
        "frame_pts": frame_pts,
        "frame_time_base": f"{time_base.numerator}/{time_base.denominator}",
        "duration_s": float((end - frame_pts[0]) * time_base),
        "keyframes": [position for position, (_, key, *_) in enumerate(held) if key],
        "keyframe_bytes": [begins for _, key, _, begins in held if key],
    }


def _packets(demuxed: Iterable[av.Packet]) -> Iterator[tuple[int, bool, int, int]]:
    """(pts, whether a key frame, duration, first byte in the file) of every packet."""
    for packet in demuxed:
        if packet.size:
            if packet.pts is None:
                raise MediaError("a packet has no timestamp")
            yield packet.pts, packet.is_keyframe, packet.duration or 0, packet.pos or 0


def _decoded(path: Path) -> list[int]:
    with opened(path) as (container, stream):
        decoder = Decoder(container, stream)
        frames = [pts for pts, _ in decoder.frames()]
        if fault := decoder.faults.sentence():
            raise MediaError(fault)
        return frames
