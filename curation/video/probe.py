"""Opening a media file that a stranger made, and what its header says.

Only demuxers of self-contained media are allowed, and only local files are read: playlists,
concat scripts and nested protocols, which could reach other files or hosts, are refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.video.stream

# FFmpeg's names of demuxers that hold their media in the one file.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,ivf,obu,"
    "ogg,asf,gif,mxf,nut,rm,wtv,dv,apng,yuv4mpegpipe,vob,swf,nsv,mjpeg"
)
OPEN_OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}


class MediaError(Exception):
    """A media file cannot be used; the text is the reason that goes into its row."""


@dataclass(frozen=True)
class Header:
    """What a file says of its video stream; `width` and `height` are as displayed."""

    codec: str
    width: int
    height: int
    rotation: int
    time_base: Fraction
    rate: Fraction
    stream: int


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """The container of a file and its first video stream that is not a cover picture.

    Raises:
        MediaError: the file is not media, of a refused kind, or has no video.
    """
    try:
        container = av.open(f"file:{path}", mode="r", options=dict(OPEN_OPTIONS), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise MediaError(_why_unreadable(path, error)) from None
    with container:
        for stream in container.streams.video:
            if not _is_cover(stream) and stream.codec_context is not None:
                yield container, stream
                return
        raise MediaError("no video stream")


def header(stream: av.video.stream.VideoStream, first: av.VideoFrame) -> Header:
    """The header of a stream, corrected by its first decoded frame."""
    rotation = int(getattr(first, "rotation", 0) or 0) % 360
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 16) <= aspect <= 16:
        aspect = Fraction(1)
    width, height = round(first.width * aspect), first.height
    if rotation in (90, 270):
        width, height = height, width
    rate = next((Fraction(r) for r in (stream.average_rate, stream.guessed_rate) if r and 1 <= r <= 480), Fraction(25))
    if stream.time_base is None:
        raise MediaError("the video stream has no time base")
    return Header(
        codec=stream.codec_context.name,
        width=max(1, width),
        height=max(1, height),
        rotation=rotation,
        time_base=Fraction(stream.time_base),
        rate=rate,
        stream=stream.index,
    )


def _is_cover(stream: av.video.stream.VideoStream) -> bool:
    disposition: Any = getattr(stream, "disposition", None)
    return disposition is not None and bool(disposition & type(disposition).attached_pic)


def _why_unreadable(path: Path, error: av.error.FFmpegError) -> str:
    try:
        if path.stat().st_size == 0:
            return "the file is empty"
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as failure:
        return f"cannot be read: {failure.strerror or failure}"
    if start.lstrip().startswith((b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")):
        return "a playlist or script that points to other files; only self-contained media are read"
    return f"not a media file that can be read ({error.strerror or error})"
