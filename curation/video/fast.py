"""The fast pass: only frames that matter are decoded, and only those among them are looked at.

The packets of a file promise where it may change (`promise.py`). There every frame is decoded. Elsewhere those to
which no other frame refers are left out, and so are the ends of calm groups of frames, up to the next key frame;
and everywhere but in key frames the loop filter, which smooths blocks that no tiny picture shows. Where decoded
neighbours differ as two shots do after all, and no key frame explains it, the frames between them are decoded in a
second visit. So a cut is always found between two frames that follow each other in the film. What was left out is
filled in evenly between its neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import av
import av.container
import av.error
import av.video.stream
import numpy as np

from curation.video.bridge import SHOT_CONTENT, BridgingMeasurer, Step
from curation.video.decode import MAX_PIXELS, Unseekable, make_convertible
from curation.video.decode import packets as packets_of
from curation.video.promise import Plan

# Of frames that were decoded, one in so many of the film is looked at while nothing changes. Odd, so that what flickers
# from frame to frame changes.
_STRIDE = 5
# It does where tiny pictures differ by so many steps of 8 bits; a transition must change more. Then the frames beside
# are looked at too, by which a cut is judged.
_CHANGE = 5.0
# Neighbours that differ as two shots do: by content score, by pattern, and more than the steps beside them.
_SHOT_ALIKE = 0.85
_SHOT_RATIO = 1.3
# A cut is judged by the frames beside it, which must not have been made up where they change by such a share of it.
_BESIDE = 3
_STIR = 0.3
# A picture that changes so many times as much as in all the time before has jumped.
_JUMP = 1.5


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
        # Frames up to the one that was looked at last, and what is seen of it; whether it differs from the one that was
        # looked at before, and that one from its own.
        self._waiting: list[tuple[int, av.VideoFrame]] = []
        self._looked = -_STRIDE
        self._last: np.ndarray | None = None
        self._changes = (True, True)
        self._skipped = frozenset(place for tail in plan.tails for place in range(tail.first, tail.end))
        self._tails = {self._at(tail.end): tail for tail in plan.tails}
        # Both ends of every tail, which are compared.
        self._watched = self._tails.keys() | {self._at(tail.last) for tail in plan.tails}
        self._keys = sorted(self._at(place) for place, packet in enumerate(plan.packets) if packet.key)

    def _at(self, place: int) -> int:
        """The number of the frame of a packet; -1 before the wanted ones."""
        return self._number.get(self._plan.packets[place].pts, -1)

    def _is_promised(self, place: int) -> bool:
        """Whether a packet is decoded for sure."""
        eventful = not self._plan.packets[place].droppable or place in self._plan.eventful
        return eventful and place not in self._skipped

    def frames(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """(number, frame) of what is decoded; frames before the wanted ones have the number -1."""
        if self._plan.warm_pts is not None:
            self._seek(container, stream, self._plan.warm_pts)
        missing = {self._at(place) for place, _ in enumerate(self._plan.packets) if self._is_promised(place)} - {-1}
        latest = -1
        for number, frame in self._decoded(container, stream, self._plan.eventful, self._skipped):
            if 0 <= number <= latest:
                raise Unseekable("frames are not in the order of their times")
            latest = max(latest, number)
            missing.discard(number)
            yield number, frame
        if missing:
            raise Unseekable(f"{len(missing)} frames did not come")

    def skim(self, number: int, frame: av.VideoFrame, measurer: BridgingMeasurer) -> None:
        """Hold the next frame until it is known whether anything changes near it."""
        self._held.append((number, frame))
        if number - self._looked < _STRIDE and number not in self._watched:
            return
        small = measurer.small(frame)
        changes = self._last is None or measurer.change(self._last, small) >= _CHANGE
        self._looked, self._last = number, small
        self._settle_waiting(measurer, changes)
        self._waiting, self._held, self._changes = self._held, [], (self._changes[1], changes)

    @property
    def holding(self) -> bool:
        """Whether frames wait to be looked at."""
        return bool(self._held or self._waiting)

    def settle(self, measurer: BridgingMeasurer) -> None:
        """Look at the frames that still wait, which are the last ones."""
        self._settle_waiting(measurer, True)
        for number, frame in self._held:
            measurer.feed(number, self._plan.pts[number], frame)
        self._held = []

    def _settle_waiting(self, measurer: BridgingMeasurer, changes: bool) -> None:
        """Look at all waiting frames if the picture changes there, before or behind; else at the last of them."""
        for at, (number, frame) in enumerate(self._waiting, 1):
            if changes or any(self._changes) or at == len(self._waiting) or measurer.waiting:
                measurer.feed(number, self._plan.pts[number], frame)
        self._waiting = []

    def trust(self, measurer: BridgingMeasurer) -> None:
        """Take it that shots go on to the key frame that their encoder set at a cut.

        What is seen of it must be one: two pictures that differ as two shots do, and by far more than the same shot did
        in as many frames before. Black or white may be the end of a fade instead.
        """
        for at, step in enumerate(measurer.steps):
            tail = self._tails.get(step.number)
            if tail and tail.placed and not step.flat and step.content >= SHOT_CONTENT and step.alike < _SHOT_ALIKE:
                key = self._keys[bisect_right(self._keys, step.before) - 1]
                recently = max(key, 2 * step.before - step.number)
                if measurer.moved(step.before, step.number) >= _JUMP * measurer.moved(step.before, recently):
                    measurer.hold(at)

    def doubtful(self, steps: Sequence[Step], cuts: Mapping[int, float] | None = None) -> list[Step]:
        """Gaps that hide more than an even change.

        Their ends differ as two shots do, and more than the frames beside them; or a cut is near, which is
        judged by the frames beside it, and they may have changed nearly as much.

        Args:
            cuts: numbers of frames and their content scores.
        """
        found = []
        for before, step, after in zip([None, *steps], steps, [*steps[1:], None]):
            if step.number - step.before == 1:
                continue
            beside = max(other.content if other else 0.0 for other in (before, after))
            shot = step.content >= SHOT_CONTENT and step.alike < _SHOT_ALIKE and step.content >= _SHOT_RATIO * beside
            near = range(step.before - _BESIDE, step.number + _BESIDE + 1)
            if shot or any(step.content >= _STIR * cuts[number] for number in near if cuts and number in cuts):
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
        skipped: frozenset[int] = frozenset(),
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """From where the container stands to the last wanted frame of the plan.

        Args:
            wanted: places of packets that are decoded although no other frame refers to theirs.
            skipped: those that are not decoded at all.
        """
        for frame in self._frames(container, stream, wanted, skipped):
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

    def _frames(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        wanted: frozenset[int],
        skipped: frozenset[int],
    ) -> Iterator[av.VideoFrame]:
        codec, packets = stream.codec_context, self._plan.packets
        fed = False
        try:
            for packet in packets_of(container, stream):
                if packet.size:
                    place = self._place.get(packet.pts or 0, -1)
                    if place < 0:
                        raise Unseekable("a packet that was not there before")
                    if place in skipped:
                        if fed:
                            yield from stream.decode(None)
                            codec.flush_buffers()
                        fed = False
                        continue
                    codec.skip_frame = "NONREF" if packets[place].droppable and place not in wanted else "DEFAULT"
                    fed = True
                yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            raise Unseekable(str(error)) from None


def lighten(stream: av.video.stream.VideoStream) -> None:
    """Decode with one thread, and without the loop filter but for key frames."""
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS), "skip_loop_filter": "nokey"}
