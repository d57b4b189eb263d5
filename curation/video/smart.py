"""Cutting to the frame with as little encoding as can be: up to the first key frame, and after the last whole group.

    clip      |---------------------------------------|
    source  K . . . . . K . . . . K . . . . K . . . . . . K
    cut       E e e e e C c c c c C c c c c C c c c c E e
              encoded   the source's own packets      encoded

The encoded pictures come from x264 or x265 with the source's size, depth and colours. How their parameter sets live
beside those of the source is told in `parameters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import av.video.codeccontext
import av.video.stream
from av.video.frame import PictureType

from curation.video.copying import Stretch, members
from curation.video.cut import Encoding
from curation.video.decode import packets
from curation.video.encoders import HELD_TO
from curation.video.muxing import Muxer
from curation.video.packets import Listing
from curation.video.parameters import Layout, is_set, nal_units
from curation.video.pictures import Pictures, Timed
from curation.video.probe import MediaError, opened, rate
from curation.video.remote import Media
from curation.video.sameness import Digest

CODECS = {"h264": "libx264", "hevc": "libx265"}
"""What can be joined, and with which encoder."""


@dataclass(frozen=True)
class Joined:
    """A clip of three parts; the first and the last may be empty."""

    start_pts: int
    end_pts: int
    middle: Stretch

    def encoded(self, listed: Listing) -> tuple[list[int], list[int]]:
        """The times of the frames to encode, before and after the middle."""
        before = listed.shown(self.start_pts, self.middle.start_pts).tolist()
        after = listed.shown(self.middle.end_pts, self.end_pts).tolist()
        return before, after


def smart(
    media: Media, listed: Listing, clips: Sequence[Joined], targets: Sequence[Path], encoding: Encoding
) -> list[bytes | str]:
    """Write many clips of a file. For each: the `Digest` of what was copied, or why there is no file.

    Args:
        clips: in order and without overlap.

    Raises:
        MediaError: the file cannot be opened.
    """
    found: list[bytes | str] = []
    with opened(media) as (container, stream), opened(media) as (decoded, pictured):
        numbered = enumerate(packet for packet in packets(container, stream) if packet.size)
        pictures = Pictures(decoded, pictured, listed)
        layout = Layout.of(stream.codec_context.name, stream.codec_context.extradata or b"")
        for clip, target in zip(clips, targets):
            digest = Digest(stream)
            try:
                before, after = clip.encoded(listed)
                encoder = _Encoder(stream, layout, encoding)
                first = encoder.packets(pictures.between(clip.start_pts, clip.middle.start_pts), len(before))
                last = encoder.packets(pictures.between(clip.middle.end_pts, clip.end_pts), len(after))
                middle = clip.middle
                pts = listed.pts[middle.first : middle.end]
                order = [*before, *pts[pts >= middle.start_pts].tolist(), *after]
                with Muxer(target, stream, order, clip.end_pts, encoder.header()) as muxer:
                    for data, key in first:
                        muxer.write(av.Packet(data), key=key)
                    for number, packet in members(numbered, listed, middle):
                        key = bool(listed.opening[number])
                        told = encoder.recalled(packet) if key else packet
                        digest.add(told)
                        muxer.write(told, key=key)
                    for data, key in last:
                        muxer.write(av.Packet(data), key=key)
                found.append(digest.value())
            except MediaError as error:
                found.append(str(error))
            except (av.error.FFmpegError, ValueError) as error:
                found.append(f"it cannot be joined ({getattr(error, 'strerror', None) or error})")
    return found


class _Encoder:
    """Encodes pictures so that they fit before and after packets of a stream."""

    def __init__(self, stream: av.video.stream.VideoStream, layout: Layout, encoding: Encoding):
        self._stream, self._layout, self._encoding = stream, layout, encoding
        self._number = layout.free_number() if layout.codec == "h264" else 0
        if self._number is None:
            raise MediaError("its header has no number left for other pictures")
        self._sets: list[bytes] = []
        self._used = False

    def packets(self, pictures: Iterable[Timed], count: int) -> list[tuple[bytes, bool]]:
        """The data of each picture's packet, and whether it is a key frame; one packet a picture, in order."""
        if not count:
            return []
        context = self._opened()
        coded = []
        for pts, frame in pictures:
            frame.pts, frame.time_base, frame.pict_type = pts, self._stream.time_base, PictureType.NONE
            coded += context.encode(frame)
        coded += context.encode(None)
        if len(coded) != count:
            raise MediaError(f"{len(coded)} of {count} frames could be encoded")
        self._used = True
        if self._layout.codec == "h264":
            self._sets = [unit for unit in nal_units(context.extradata or b"", None) if is_set("h264", unit)]
        return [(self._fitted(bytes(packet)), packet.is_keyframe) for packet in coded]

    def header(self) -> bytes | None:
        """The header for the whole cut; None where the source's will do."""
        return self._layout.with_sets(self._sets) if self._sets else None

    def recalled(self, packet: av.Packet) -> av.Packet:
        """A key frame of the source, after its parameter sets where pictures of others stand between."""
        if not self._used or self._layout.codec == "h264":
            return packet
        return av.Packet(self._layout.packed(self._layout.sets()) + bytes(packet))

    def _opened(self) -> av.video.codeccontext.VideoCodecContext:
        source = self._stream.codec_context
        context: Any = av.CodecContext.create(CODECS[self._layout.codec], "w")
        context.width, context.height, context.pix_fmt = source.width, source.height, source.pix_fmt
        context.time_base, context.framerate = Fraction(self._stream.time_base or 1), rate(self._stream)
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(source, name))
        chosen = self._encoding
        # Without B-frames the order of decoding is that of showing.
        options = {"crf": str(chosen.crf), "preset": chosen.preset, "g": str(chosen.gop), "bf": "0", "threads": "1"}
        if self._layout.codec == "h264":
            context.flags |= av.codec.context.Flags.global_header.value
            options |= {"x264-params": ":".join([f"sps-id={self._number}", *HELD_TO["libx264"]]), "a53cc": "0"}
        else:
            options["x265-params"] = ":".join(["repeat-headers=1", "bframes=0", *HELD_TO["libx265"]])
        context.options = options
        context.open()
        opened_context: av.video.codeccontext.VideoCodecContext = context
        return opened_context

    def _fitted(self, data: bytes) -> bytes:
        """An encoder's packet in the layout of the source."""
        units = nal_units(data, None)
        if self._layout.codec == "h264":
            units = [unit for unit in units if not is_set("h264", unit)]
        return self._layout.packed(units)
