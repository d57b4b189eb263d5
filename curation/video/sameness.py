"""Whether a file holds the packets of another one, to the byte."""

from __future__ import annotations

import hashlib

import av
import av.video.stream

from curation.video.parameters import Layout, is_set, nal_units


class Digest:
    """A hash of packets that does not depend on how their container divides them.

    Of H.264 and H.265 it is one of their NAL units without parameter sets, which containers move between header and
    packets; of other codecs one of the packets as they are.
    """

    def __init__(self, stream: av.video.stream.VideoStream):
        self._codec = stream.codec_context.name
        self._hash = hashlib.sha256()
        self._layout: Layout | None = None
        if self._codec in ("h264", "hevc"):
            self._layout = Layout.of(self._codec, stream.codec_context.extradata or b"")

    def add(self, packet: av.Packet) -> None:
        data = bytes(packet)
        if self._layout is not None:
            units = nal_units(data, self._layout.length_bytes)
            data = b"".join(
                piece
                for unit in units
                if not is_set(self._codec, unit)
                for piece in (len(unit).to_bytes(8, "big"), unit)
            )
        self._hash.update(len(data).to_bytes(8, "big"))
        self._hash.update(data)

    def value(self) -> bytes:
        return self._hash.digest()
