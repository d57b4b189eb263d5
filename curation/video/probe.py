"""Opening a media file that a stranger made, and what its header says.

Only demuxers of self-contained media are allowed, and only the one file is read: playlists,
concat scripts and nested protocols, which could reach other files or hosts, are refused.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.video.stream
from av.sidedata.sidedata import Type

from curation.video.remote import Media

# FFmpeg's names of demuxers that hold their media in the one file.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,ivf,obu,"
    "ogg,asf,gif,mxf,nut,rm,wtv,dv,apng,yuv4mpegpipe,vob,swf,nsv,mjpeg"
)
OPEN_OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
# Bytes that are asked of the parent at once.
_REMOTE_BUFFER = 256 << 10
# FFmpeg's display matrix: nine integers.
_MATRIX = struct.Struct("<9i")
_UNSPECIFIED = 2
# How files of still images begin.
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\x00", b"MM\x00*")


OVER_LIMIT = "over the limit: "
"""How the reason begins where a bound on time or memory was met."""


class MediaError(Exception):
    """A media file cannot be used; the text is the reason that goes into its row."""


@dataclass(frozen=True)
class Header:
    """What a file says of its video stream; `width` and `height` are as displayed."""

    codec: str
    width: int
    height: int
    rotation: int
    """Counter-clockwise degrees by which frames must be turned to stand upright: 0, 90, 180 or 270."""
    time_base: Fraction
    rate: Fraction
    """Frames a second, good for tuning only: the true rate is known after decoding."""
    stream: int
    pixel_format: str = "yuv420p"
    """FFmpeg's name; it tells of alpha and of the depth of the colours."""
    depth: int = 8
    """Bits of a sample."""
    interlaced: bool = False
    """The first frame was made of two fields. They count as one frame and are not taken apart."""
    transfer: str | None = None
    """pq or hlg where brightness is coded for high dynamic range; such frames are not tone-mapped."""
    mirrored: bool = False
    """Frames are stored upside down, and must be flipped top to bottom before they are turned."""
    colours: dict[str, int] = field(default_factory=dict)
    """FFmpeg's numbers for the meaning of the colours, by the names of its options; what is unknown is absent."""


@contextlib.contextmanager
def opened(media: Media) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """The container of a file and its first video stream that is not a cover picture.

    Raises:
        MediaError: the file is not media, of a refused kind, or has no video.
    """
    options = dict(OPEN_OPTIONS)
    try:
        if isinstance(media, Path):
            container = av.open(f"file:{media}", mode="r", options=options, metadata_errors="replace")
        else:
            # Its bytes come from the parent, so that there is nothing that FFmpeg has to open by itself.
            options["protocol_whitelist"] = ""
            container = av.open(
                media.open(), mode="r", options=options, metadata_errors="replace", buffer_size=_REMOTE_BUFFER
            )
    except av.error.FFmpegError as error:
        raise MediaError(_why_unreadable(media, error)) from None
    with container:
        for stream in container.streams.video:
            if not _is_cover(stream) and stream.codec_context is not None:
                yield container, stream
                return
        raise MediaError("no video stream")


def header(stream: av.video.stream.VideoStream, first: av.VideoFrame) -> Header:
    """The header of a stream, corrected by its first decoded frame.

    Raises:
        MediaError: the stream has no time base.
    """
    if not stream.time_base:
        raise MediaError("the video stream has no time base")
    # Cameras turn by quarters; anything else is measured as the nearest.
    rotation = round(float(getattr(first, "rotation", 0) or 0) / 90) * 90 % 360
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 16) <= aspect <= 16:
        aspect = Fraction(1)
    width, height = round(first.width * aspect), first.height
    if rotation in (90, 270):
        width, height = height, width
    return Header(
        codec=stream.codec_context.name,
        width=max(1, width),
        height=max(1, height),
        rotation=rotation,
        time_base=Fraction(stream.time_base),
        rate=rate(stream),
        stream=stream.index,
        pixel_format=first.format.name,
        depth=max((component.bits for component in first.format.components), default=8),
        interlaced=bool(first.interlaced_frame),
        transfer={16: "pq", 18: "hlg"}.get(int(stream.codec_context.color_trc)),
        mirrored=_is_mirrored(first),
        colours=_colours(stream.codec_context),
    )


def claimed_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """How long the header says that the video is; the file's own length counts only without other streams."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None


def length_s(media: Media) -> float:
    """How long a file says that it is, in seconds; 0 where it does not. Decodes nothing.

    Raises:
        MediaError: the file is no media or has no video.
    """
    with opened(media) as (container, stream):
        return max(claimed_s(container, stream) or 0.0, (container.duration or 0) / av.time_base)


def rate(stream: av.video.stream.VideoStream) -> Fraction:
    """Frames a second as the header says, or 25 where it says nothing that can be."""
    said = (stream.average_rate, stream.guessed_rate)
    return next((Fraction(one) for one in said if one and 1 <= one <= 480), Fraction(25))


def _is_mirrored(frame: av.VideoFrame) -> bool:
    """Whether the display matrix turns left into right, beside its rotation."""
    try:
        held: Any = frame.side_data
        side_data = held.get(Type.DISPLAYMATRIX)
    except ValueError:  # PyAV gives up on all side data if there is a kind among it that it does not know
        return False
    if side_data is None or len(data := bytes(side_data)) < _MATRIX.size:
        return False
    a, b, _, c, d, *_ = _MATRIX.unpack(data[: _MATRIX.size])
    return bool(a * d - b * c < 0)


def _colours(codec: Any) -> dict[str, int]:
    values = {name: int(getattr(codec, name, None) or 0) for name in ("colorspace", "color_primaries", "color_trc")}
    return {name: value for name, value in values.items() if value not in (0, _UNSPECIFIED)}


def _is_cover(stream: av.video.stream.VideoStream) -> bool:
    disposition: Any = getattr(stream, "disposition", None)
    return disposition is not None and bool(disposition & type(disposition).attached_pic)


def _why_unreadable(media: Media, error: av.error.FFmpegError) -> str:
    try:
        if isinstance(media, Path):
            with open(media, "rb") as file:
                start = file.read(64)
        else:
            start = media.open().read(64)
    except OSError as failure:
        return f"cannot be read: {failure.strerror or failure}"
    if not start:
        return "the file is empty"
    if start.lstrip().startswith((b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")):
        return "a playlist or script that points to other files; only self-contained media are read"
    if (start.startswith(_IMAGES) or start[8:12] in (b"WEBP", b"avif")) and b"acTL" not in start:  # of moving PNG
        return "an image and no video; list images with `kind: image`"
    return f"not a media file that can be read ({error.strerror or error})"
