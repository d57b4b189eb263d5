"""The packets of a file, listed without decoding: where pictures can be cut out as they are.

A stretch of packets can stand alone if it begins with a key frame that needs nothing before it, and ends where
no later packet is shown earlier. Edit lists could hide the rest, but packet readers (decord among them) ignore
those, so a cut made of packets holds no more than it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import av.container
import av.error
import av.video.stream
import numpy as np

from curation.video.decode import Unseekable, check_format, packets
from curation.video.parameters import Layout, is_set, nal_units

# Codecs in which pictures after a key frame, but shown before it, can be left out: nothing later looks at them (H.265,
# leading pictures; B-pictures of MPEG-1, 2 and 4 are never references). In H.264 they may be.
_DROPPABLE_LEADING = ("hevc", "mpeg1video", "mpeg2video", "mpeg4")
_H264_SLICES, _H264_IDR = range(1, 6), 5
_HEVC_SLICES, _HEVC_IDR, _HEVC_KEYS = range(32), (19, 20), range(16, 22)


@dataclass(frozen=True)
class Listing:
    """Every packet of a stream in the order of decoding."""

    pts: np.ndarray
    opening: np.ndarray
    """Packets from which decoding can start: what follows, and is not shown before them, needs nothing before them."""
    resetting: np.ndarray
    """Those of them at which also the order of pictures starts anew, so that other pictures may precede them."""
    edges: np.ndarray
    """Positions where all before is shown before all after; the last one is the number of packets."""
    edge_pts: np.ndarray
    """The time of the first picture after each edge; after the last one, one tick beyond the last picture."""
    settled: bool
    """No packet brings a parameter set that the header lacks, so that from any opening on the same packets are the
    same pictures."""

    def shown(self, start_pts: int, end_pts: int) -> np.ndarray:
        """The times in a range, rising."""
        return np.sort(self.pts[(self.pts >= start_pts) & (self.pts < end_pts)])

    def opening_at(self, start_pts: int, end_pts: int, *, resetting: bool = False) -> int | None:
        """The first packet in a range from which decoding can start."""
        keys = np.flatnonzero(self.resetting if resetting else self.opening)
        inside = keys[(self.pts[keys] >= start_pts) & (self.pts[keys] < end_pts)]
        return int(inside[0]) if len(inside) else None

    def opening_before(self, pts: int) -> int | None:
        """The time of the last picture at or before `pts` from which decoding can start."""
        keys = self.pts[self.opening]
        before = keys[keys <= pts]
        return int(before[-1]) if len(before) else None

    def edge_before(self, end_pts: int) -> tuple[int, int]:
        """The last edge up to which nothing is shown at or after `end_pts`: its position, and the time after it."""
        at = int(np.searchsorted(self.edge_pts, end_pts, "right")) - 1
        return (int(self.edges[at]), int(self.edge_pts[at])) if at >= 0 else (0, int(self.pts.min()))


def listing(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Listing:
    """Reads every packet once, and leaves the container at its end.

    Raises:
        Unseekable: the packets do not tell surely which pictures there are, and when.
    """
    check_format(container)
    codec, reading = stream.codec_context.name, _Reading(stream)
    pts: list[int] = []
    opening: list[bool] = []
    resetting: list[bool] = []
    try:
        for packet in packets(container, stream):
            if not packet.size:
                continue
            if packet.pts is None:
                raise Unseekable("packets have no timestamps of their own")
            if packet.is_corrupt:
                raise Unseekable("the file is damaged")
            pts.append(packet.pts)
            opens, resets = reading.opens(packet)
            opening.append(opens)
            resetting.append(resets)
    except av.error.FFmpegError as error:
        raise Unseekable(f"the file breaks off ({error.strerror or error})") from None
    times, can_open, can_reset = np.array(pts, np.int64), np.array(opening, bool), np.array(resetting, bool)
    return _listing(codec, times, can_open, can_reset, reading.settled)


def _listing(codec: str, pts: np.ndarray, opening: np.ndarray, resetting: np.ndarray, settled: bool) -> Listing:
    if not len(pts):
        raise Unseekable("there are no packets")
    if len(np.unique(pts)) != len(pts):
        raise Unseekable("two packets have the same time")
    highest = np.maximum.accumulate(pts)
    lowest_after = np.append(np.minimum.accumulate(pts[::-1])[::-1][1:], pts.max() + 1)
    # A picture that comes later and is shown before a key frame leads it.
    led = lowest_after < pts
    if codec not in _DROPPABLE_LEADING:
        opening = opening & ~led
    at_edge = np.flatnonzero(highest < lowest_after)
    return Listing(pts, opening, resetting & ~led, at_edge + 1, lowest_after[at_edge], settled)


class _Reading:
    """What the packets of a stream say of themselves, one after the other."""

    def __init__(self, stream: av.video.stream.VideoStream):
        self._codec = stream.codec_context.name
        self._layout: Layout | None = None
        self._known: set[bytes] = set()
        self.settled = True
        """See `Listing`."""
        if self._codec in ("h264", "hevc"):
            self._layout = Layout.of(self._codec, stream.codec_context.extradata or b"")
            try:
                self._known = set(self._layout.sets())
            except ValueError:
                self.settled = False

    def opens(self, packet: av.Packet) -> tuple[bool, bool]:
        """Whether decoding can start at a packet, and whether the order of pictures starts anew there."""
        key = packet.is_keyframe and not packet.is_discard
        if self._layout is None:
            return key, key
        units = nal_units(bytes(packet), self._layout.length_bytes)
        if self.settled:
            self.settled = all(unit in self._known for unit in units if is_set(self._codec, unit))
        if not key:
            return False, False
        if self._codec == "h264":
            kind = next((unit[0] & 31 for unit in units if unit[0] & 31 in _H264_SLICES), None)
            return kind == _H264_IDR, kind == _H264_IDR
        kinds = (unit[0] >> 1 & 63 for unit in units)
        kind = next((kind for kind in kinds if kind in _HEVC_SLICES), None)
        return kind in _HEVC_KEYS, kind in _HEVC_IDR
