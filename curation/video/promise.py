"""What the packets of a file promise: which frames there are, where the picture may change, and where it surely stays.

Nothing is decoded for it. An encoder pays for what it cannot predict, so that the sizes of packets tell of a
film much of what its pictures would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from statistics import median

import av.container
import av.error
import av.video.stream

from curation.video.clock import Clock
from curation.video.decode import Unseekable, check_format, max_gap
from curation.video.decode import packets as packets_of
from curation.video.probe import rate
from curation.video.segments import Segment

# A packet so many times as large as its neighbours of the same sort may hold a change.
_LARGE = 1.8
_NEIGHBOURS = 6
# A cut costs about what the next key frame costs, since it shows the new shot too; so does each frame of a dissolve,
# nearly. What stays under a sixth of that goes on as it did.
_CALM = 6
# Of a calm group this much is decoded all the same: its middle stands for its end.
_SEEN = 0.5
# Fewer frames are not worth leaving out.
_WORTH = 8
# An encoder that sets its key frames evenly has groups of one length, nearly. If most are clearly shorter than the
# longest, all but those of its length end where the picture changes.
_EVEN = 0.9


@dataclass(frozen=True)
class Packet:
    pts: int
    size: int
    key: bool
    shown: bool
    """Not hidden by an edit list."""
    droppable: bool
    """Shown before a packet that came earlier: a B-frame."""


@dataclass(frozen=True)
class Tail:
    """The rest of a calm group of frames, which can be left out as a whole."""

    last: int
    """Place of the packet of the last frame before it."""
    first: int
    """Place of its first packet."""
    end: int
    """Place of the key frame that follows."""
    placed: bool
    """Whether the encoder set that key frame there because the picture changes."""


@dataclass(frozen=True)
class Plan:
    """What the packets of a file tell, in the order of decoding, and which of its frames are wanted."""

    packets: list[Packet]
    pts: list[int]
    """Of every wanted frame, rising."""
    end_pts: int
    eventful: frozenset[int]
    """Places of packets where something may change."""
    tails: tuple[Tail, ...]
    warm_pts: int | None = None
    """Where decoding begins; None is the beginning of the file."""

    def within(self, segment: Segment) -> Plan:
        """The same for one segment of the file."""
        start, end = segment.start_pts, segment.end_pts
        pts = [one for one in self.pts if (start is None or one >= start) and (end is None or one < end)]
        shown = frozenset(pts)
        tails = tuple(tail for tail in self.tails if {self.packets[at].pts for at in (tail.last, tail.end)} <= shown)
        end_pts = self.end_pts if end is None else end
        return replace(self, pts=pts, tails=tails, end_pts=end_pts, warm_pts=segment.warm_pts)


def plan(container: av.container.InputContainer, stream: av.video.stream.VideoStream, segment: Segment) -> Plan:
    """Read the packets of a file or one segment of it once; decodes nothing.

    Raises:
        Unseekable: the timestamps of the packets do not say surely which frames there are.
    """
    check_format(container)
    packets: list[Packet] = []
    latest: int | None = None
    lasting: list[tuple[int, int]] = []
    beyond = 0
    try:
        if segment.warm_pts is not None:
            container.seek(segment.warm_pts, stream=stream, backward=True, any_frame=False)
        for packet in packets_of(container, stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt:
                raise Unseekable("packets are damaged or have no timestamps")
            droppable = latest is not None and packet.pts < latest
            latest = packet.pts if latest is None else max(latest, packet.pts)
            if not packet.is_discard:
                lasting.append((packet.pts, packet.duration or 0))
            packets.append(Packet(packet.pts, packet.size, bool(packet.is_keyframe), not packet.is_discard, droppable))
            # One group of frames more than wanted, for what is shown before its key frame.
            beyond += bool(packet.is_keyframe and segment.end_pts is not None and packet.pts > segment.end_pts)
            if beyond > 1:
                break
    except av.error.FFmpegError as error:
        raise Unseekable(str(error)) from None
    pts = sorted(packet.pts for packet in packets if packet.shown)
    if not pts or len(set(pts)) != len(pts):
        raise Unseekable("timestamps do not rise")
    gap = max_gap(stream)
    if any(later - earlier > gap for earlier, later in pairwise(pts)):
        raise Unseekable("time leaps")
    clock = Clock(max(1, round(1 / (rate(stream) * Fraction(stream.time_base or 1)))), gap)
    for shown, duration in sorted(lasting)[-_NEIGHBOURS:]:
        clock.place(shown, None, duration)
    anchors = [place for place, packet in enumerate(packets) if not packet.droppable]
    eventful = frozenset(_eventful(packets, anchors))
    return Plan(packets, pts, clock.end(), eventful, tuple(_tails(packets, anchors))).within(segment)


def _eventful(packets: Sequence[Packet], anchors: Sequence[int]) -> Iterator[int]:
    """Key frames and packets that stand out, with the frames around them."""
    predicted = [place for place in anchors if not packets[place].key]
    sizes = [packets[place].size for place in predicted]
    order = {place: number for number, place in enumerate(predicted)}
    for number, place in enumerate(anchors):
        stands_out = packets[place].key
        if not stands_out:
            at = order[place]
            near = sizes[max(0, at - _NEIGHBOURS) : at] + sizes[at + 1 : at + 1 + _NEIGHBOURS]
            stands_out = bool(near) and sizes[at] > _LARGE * median(near)
        if stands_out:
            # B-frames follow, in decoding order, the frame that is shown after them.
            end = number + 2
            yield from range(anchors[max(0, number - 1)], anchors[end] if end < len(anchors) else len(packets))


def _tails(packets: Sequence[Packet], anchors: Sequence[int]) -> Iterator[Tail]:
    """What can be left out at the ends of groups of frames."""
    keys = [number for number, place in enumerate(anchors) if packets[place].key]
    lengths = [anchors[end] - anchors[first] for first, end in pairwise(keys)]
    longest = max(lengths, default=0)
    placed = bool(lengths) and median(lengths) < _EVEN * longest
    for first, end in pairwise(keys):
        key, after = anchors[first], anchors[end]
        length = after - key
        calm = packets[after].size / _CALM
        busy = [number for number in range(first + 1, end) if packets[anchors[number]].size > calm]
        halfway = next((number for number in range(first, end) if anchors[number] - key >= _SEEN * length), end)
        last = max([halfway, *busy]) + 1
        worth = last + 1 < end and after - anchors[last + 1] >= _WORTH
        if worth and _closed(packets, key, after, anchors[end + 1] if end + 1 < len(anchors) else len(packets)):
            yield Tail(anchors[last], anchors[last + 1], after, placed and length < longest)


def _closed(packets: Sequence[Packet], key: int, after: int, then: int) -> bool:
    """Whether a group is shown before the next key frame, and what follows that one, up to place `then`, behind it."""
    edge = packets[after].pts
    return (
        all(packet.shown and packet.pts < edge for packet in packets[key:after])
        and packets[after].shown
        and all(packet.pts > edge for packet in packets[after + 1 : then])
    )
