"""The fast pass: only frames that matter are decoded, and only those among them are looked at.

The size of its packets tells where a file may change. There every frame is decoded; elsewhere those
to which no other frame refers are left out, and the loop filter, which smooths blocks that no
tiny picture shows, everywhere. Where decoded neighbours differ as two shots do after all, the frames
between them are decoded in a second visit. So a cut is always found between two frames that follow
each other in the film. What was left out is filled in evenly between its neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import av.container
import av.error
import av.video.stream
import numpy as np

from curation.video.bridge import SHOT_CONTENT, BridgingMeasurer
from curation.video.clock import Clock
from curation.video.decode import MAX_PIXELS, Unseekable, check_format, make_convertible, max_gap
from curation.video.decode import packets as packets_of
from curation.video.measure import Step
from curation.video.probe import rate
from curation.video.segments import Segment

# A packet so many times as large as its neighbours of the same sort may hold a change.
_LARGE = 1.8
_NEIGHBOURS = 6
# Of frames that were decoded, one of so many is looked at while nothing changes.
_STRIDE = 3
# Neighbours that differ as two shots do: by content score, by pattern, and more than the steps beside them.
_SHOT_ALIKE = 0.85
_SHOT_RATIO = 1.3
# A cut is judged by the frames beside it, which must not have been made up where they change.
_BESIDE = 3
_STIR = 5.0


@dataclass(frozen=True)
class _Packet:
    pts: int
    size: int
    key: bool
    shown: bool
    """Not hidden by an edit list."""
    droppable: bool
    """Shown before a packet that came earlier: a B-frame."""


@dataclass(frozen=True)
class Plan:
    """What the packets of a file tell, in the order of decoding, and which of its frames are wanted."""

    packets: list[_Packet]
    pts: list[int]
    """Of every wanted frame, rising."""
    end_pts: int
    eventful: frozenset[int]
    """Places of packets where something may change."""
    warm_pts: int | None = None
    """Where decoding begins; None is the beginning of the file."""

    def within(self, segment: Segment) -> Plan:
        """The same for one segment of the file."""
        start, end = segment.start_pts, segment.end_pts
        pts = [one for one in self.pts if (start is None or one >= start) and (end is None or one < end)]
        return replace(self, pts=pts, end_pts=self.end_pts if end is None else end, warm_pts=segment.warm_pts)


def plan(container: av.container.InputContainer, stream: av.video.stream.VideoStream, segment: Segment) -> Plan:
    """Read the packets of a file or one segment of it once; decodes nothing.

    Raises:
        Unseekable: the timestamps of the packets do not say surely which frames there are.
    """
    check_format(container)
    packets: list[_Packet] = []
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
            packets.append(_Packet(packet.pts, packet.size, bool(packet.is_keyframe), not packet.is_discard, droppable))
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
    if any(later - earlier > gap for earlier, later in zip(pts, pts[1:])):
        raise Unseekable("time leaps")
    clock = Clock(max(1, round(1 / (rate(stream) * Fraction(stream.time_base or 1)))), gap)
    for shown, duration in sorted(lasting)[-_NEIGHBOURS:]:
        clock.place(shown, None, duration)
    whole = Plan(packets, pts, clock.end(), frozenset(_eventful(packets)))
    return whole.within(segment)


def _eventful(packets: Sequence[_Packet]) -> Iterator[int]:
    """Key frames and packets that stand out, with the group of frames before and after them."""
    anchors = [place for place, packet in enumerate(packets) if not packet.droppable]
    predicted = [place for place in anchors if not packets[place].key]
    sizes = np.array([packets[place].size for place in predicted], float)
    order = {place: number for number, place in enumerate(predicted)}
    for number, place in enumerate(anchors):
        stands_out = packets[place].key
        if not stands_out:
            at = order[place]
            near = np.concatenate([sizes[max(0, at - _NEIGHBOURS) : at], sizes[at + 1 : at + 1 + _NEIGHBOURS]])
            stands_out = bool(len(near)) and sizes[at] > _LARGE * max(1.0, float(np.median(near)))
        if stands_out:
            # B-frames follow, in decoding order, the frame that is shown after them.
            yield from range(anchors[max(0, number - 2)], anchors[min(len(anchors) - 1, number + 3)])
            yield place


class Skimmer:
    """Decodes by a plan into a `BridgingMeasurer`.

    Raises:
        Unseekable: the decoder gave other frames than the packets promise; the file has to be decoded
            in full.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._number = {pts: number for number, pts in enumerate(plan.pts)}
        self._place = {packet.pts: place for place, packet in enumerate(plan.packets)}
        self._held: list[tuple[int, av.VideoFrame]] = []
        eventful = {plan.packets[place].pts for place in plan.eventful}
        self._eventful = {number for pts, number in self._number.items() if pts in eventful}
        left_out = {packet.pts for packet in plan.packets if packet.droppable} - eventful
        self._left_out = {number for pts, number in self._number.items() if pts in left_out}

    def frames(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """(number, frame) of what is decoded; frames before the wanted ones have the number -1."""
        if self._plan.warm_pts is not None:
            self._seek(container, stream, self._plan.warm_pts)
        missing = {
            self._number[packet.pts]
            for place, packet in enumerate(self._plan.packets)
            if packet.pts in self._number and (not packet.droppable or place in self._plan.eventful)
        }
        latest = -1
        for number, frame in self._decoded(container, stream, self._plan.eventful):
            if 0 <= number <= latest:
                raise Unseekable("frames are not in the order of their times")
            latest = max(latest, number)
            missing.discard(number)
            yield number, frame
        if missing:
            raise Unseekable(f"{len(missing)} frames did not come")

    def skim(self, number: int, frame: av.VideoFrame, measurer: BridgingMeasurer) -> None:
        """Look at the next frame, or only hold it until something changes."""
        self._held.append((number, frame))
        if len(self._held) < _STRIDE and number not in self._eventful and not measurer.waiting:
            return
        self.settle(measurer)

    @property
    def holding(self) -> bool:
        """Whether frames wait to be looked at."""
        return bool(self._held)

    def settle(self, measurer: BridgingMeasurer) -> None:
        """Look at the last of the held frames, and at the others if it differs from what came before them."""
        if not self._held:
            return
        *between, (number, frame) = self._held
        self._held = []
        if between and measurer.content_since(frame) >= SHOT_CONTENT:
            for held, other in between:
                measurer.feed(held, self._plan.pts[held], other)
        measurer.feed(number, self._plan.pts[number], frame)

    def doubtful(self, steps: Sequence[Step], cuts: Sequence[int] = ()) -> list[Step]:
        """Gaps that hide more than an even change.

        Their ends differ as two shots do, and more than the frames beside them; or a cut is near, which is
        judged by the frames beside it, and something moves.
        """
        found = []
        for before, step, after in zip([None, *steps], steps, [*steps[1:], None]):
            if not any(number in self._left_out for number in range(step.before + 1, step.number)):
                continue
            beside = max(other.content if other else 0.0 for other in (before, after))
            at = bisect_right(cuts, step.before - _BESIDE)
            near = at < len(cuts) and cuts[at] <= step.number + _BESIDE
            shot = step.content >= SHOT_CONTENT and step.alike < _SHOT_ALIKE and step.content >= _SHOT_RATIO * beside
            if shot or (near and step.content >= _STIR):
                found.append(step)
        return found

    def revisit(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        gaps: Sequence[Step],
        measurer: BridgingMeasurer,
    ) -> None:
        """Decode what was left out in these gaps, and replace its records."""
        keys = sorted(packet.pts for packet in self._plan.packets if packet.key)
        groups: dict[int, list[Step]] = {}
        for gap in sorted(gaps):
            groups.setdefault(bisect_right(keys, self._plan.pts[gap.before]) - 1, []).append(gap)
        for at, together in groups.items():
            # What follows the key frame of an open group needs the group before it too.
            for key in (keys[max(0, at)], keys[max(0, at - 1)]):
                self._seek(container, stream, key)
                smalls = self._seen(container, stream, together, measurer)
                if all(number in smalls for gap in together for number in range(gap.before, gap.number + 1)):
                    break
            else:
                raise Unseekable("a second visit gave other frames")
            for gap in together:
                measurer.replace(gap.before, np.stack([smalls[number] for number in range(gap.before, gap.number + 1)]))

    def _seen(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        gaps: Sequence[Step],
        measurer: BridgingMeasurer,
    ) -> dict[int, np.ndarray]:
        """Every frame of some gaps, small, in one decode from where the container stands."""
        numbers = {number for gap in gaps for number in range(gap.before, gap.number + 1)}
        wanted: set[int] = set()
        for gap in gaps:
            places = [self._place[pts] for pts in self._plan.pts[gap.before : gap.number + 1]]
            wanted.update(range(min(places), max(places) + 1))
        smalls: dict[int, np.ndarray] = {}
        for number, frame in self._decoded(container, stream, frozenset(wanted)):
            if number in numbers:
                smalls[number] = measurer.small(frame)
            if number >= gaps[-1].number:
                break
        return smalls

    def _seek(self, container: av.container.InputContainer, stream: av.video.stream.VideoStream, pts: int) -> None:
        try:
            container.seek(pts, stream=stream, backward=True, any_frame=False)
        except av.error.FFmpegError as error:
            raise Unseekable(str(error)) from None
        stream.codec_context.flush_buffers()

    def _decoded(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        wanted: frozenset[int],
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """From where the container stands to the last wanted frame of the plan."""
        codec = stream.codec_context
        packets = self._plan.packets
        try:
            for packet in packets_of(container, stream):
                if packet.size:
                    place = self._place.get(packet.pts or 0, -1)
                    if place < 0:
                        raise Unseekable("a packet that was not there before")
                    codec.skip_frame = "NONREF" if packets[place].droppable and place not in wanted else "DEFAULT"
                for frame in packet.decode():
                    pts = frame.pts
                    if frame.is_corrupt:
                        raise Unseekable("a frame is damaged")
                    if pts is None or pts not in self._place:
                        raise Unseekable("a frame has no timestamp of its packet")
                    make_convertible(frame)
                    number = self._number.get(pts, -1)
                    if number < 0 and pts >= self._plan.end_pts:
                        return
                    yield number, frame
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            raise Unseekable(str(error)) from None


def lighten(stream: av.video.stream.VideoStream) -> None:
    """Decode with one thread and without the loop filter."""
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS), "skip_loop_filter": "all"}
