"""Frames of one file in display order, with exact timestamps, tolerant of damage.

A frame is what FFmpeg's decoders call one: of interlaced video the two fields together, also where
the file codes each field by itself. Frames that an edit list hides are not shown and do not count.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
import av.container
import av.error
import av.video.stream

from curation.video.clock import MAX_GAP_S, Clock
from curation.video.probe import MediaError, rate

# Without its reference frame a decoder may refuse everything up to the next key frame; few encoders set those
# more than 300 frames apart. Refusing is cheap.
MAX_CONSECUTIVE_ERRORS = 600
# Larger frames are refused before they are decoded: 16384 × 8192 pixels of 8-bit 4:2:0 are 200 MB.
MAX_PIXELS = 1 << 27
# FFmpeg's numbers of the colour spaces that its scaler knows: RGB, BT.709, FCC, BT.601 in both forms, SMPTE 240M and
# BT.2020; and what comes nearest to others.
COLORSPACES = (0, 1, 2, 4, 5, 6, 7, 9)
_NEAREST = {10: 9}
_UNSPECIFIED = 2
# Where a stream does not name its unit of time.
_TICK = Fraction(1, 90000)
# Containers whose timestamps are written beside every frame and mean the same after seeking.
SEEKABLE = ("mov", "matroska", "mpegts")


class Unseekable(Exception):
    """Decoding from a place inside the file would not surely give what decoding from its beginning gives."""


@dataclass
class Faults:
    """What went wrong while decoding. The frames that were decoded are still good."""

    errors: int = 0
    """Packets that could not be decoded."""
    reason: str = ""
    """What the decoder said of the first of them."""
    corrupt: int = 0
    """Frames that the decoder itself calls damaged."""
    misplaced: int = 0
    """Frames whose timestamp was not after the one before; see `Clock`."""
    stopped: str | None = None
    """Why decoding ended before the end of the file."""

    def sentence(self) -> str | None:
        said = []
        if self.stopped:
            said.append(self.stopped)
        elif self.errors:
            said.append(f"{self.errors} packets could not be decoded ({self.reason})")
        if self.corrupt:
            said.append(f"{self.corrupt} frames are damaged")
        if self.misplaced:
            said.append(f"time stood still, ran back or leapt at {self.misplaced} frames and was mended")
        return "; ".join(said) or None


@dataclass
class Decoder:
    """Decodes a video stream with one thread: more files side by side cost less CPU than threads.

    A decoder serves one `frames`. `faults` is complete, and `end_pts` meant, once the frames are
    exhausted.

    Raises:
        MediaError: the header says that frames are larger than `MAX_PIXELS`.
    """

    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        width, height = self.stream.codec_context.width, self.stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise MediaError(f"frames of {width}x{height} are too large")
        _own_times_only(self.container)
        self.stream.thread_type = "NONE"
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        step = max(1, round(1 / (rate(self.stream) * (self.stream.time_base or _TICK))))
        self._clock = Clock(step, max_gap=max_gap(self.stream))

    @property
    def mended(self) -> bool:
        """Whether a time so far is not the file's own timestamp, so that others may count differently."""
        return self._clock.guessed > 0

    def end_pts(self) -> int:
        """Where the last frame so far ends, in the stream's time base."""
        return self._clock.end()

    def frames(self, start_pts: int | None = None) -> Iterator[tuple[int, av.VideoFrame]]:
        """(pts in the stream's time base, frame) for every frame, pts strictly increasing.

        Args:
            start_pts: seek, and yield only frames at or after this time. They are the frames, to the
                pixel, that a decode of the whole file gives, if `places` accepts the file and no decoder of a
                part of it is `mended` or has `faults`: what a decoder makes up where data are missing
                depends on what it saw before.

        Raises:
            Unseekable: this cannot be relied on for the file; only with `start_pts`, and maybe after
                some frames.
        """
        started = start_pts is None
        if start_pts is not None:
            _land(self.container, self.stream, start_pts)
        for frame in self._decoded(skip_to_key=not started):
            if start_pts is not None and not started:
                if frame.pts is None:
                    raise Unseekable("frames have no timestamps of their own")
                if frame.pts < start_pts:
                    continue
                started = True
            pts = self._clock.place(frame.pts, frame.dts, int(frame.duration or 0))
            if start_pts is not None and pts != frame.pts:
                raise Unseekable("timestamps do not rise")
            self.faults.misplaced = self._clock.misplaced
            self.faults.corrupt += bool(frame.is_corrupt)
            yield pts, frame

    def _decoded(self, skip_to_key: bool) -> Iterator[av.VideoFrame]:
        demuxed = packets(self.container, self.stream)
        consecutive = 0
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.faults.stopped = f"the file breaks off ({error.strerror or error})"
                packet = None
            if skip_to_key and packet is not None and packet.size:
                if not packet.is_keyframe:
                    continue
                skip_to_key = False
            try:
                # A missing packet flushes what the decoder still holds.
                frames = packet.decode() if packet is not None else self.stream.decode(None)
                consecutive = 0
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                if error.errno == errno.ENOMEM:
                    raise MemoryError from error  # the jail's bound, and no fault of the packet
                self.faults.errors += 1
                self.faults.reason = self.faults.reason or str(error.strerror or error)
                consecutive += 1
                if consecutive >= MAX_CONSECUTIVE_ERRORS:
                    self.faults.stopped = f"{consecutive} packets in a row could not be decoded ({self.faults.reason})"
                    return
                if packet is None:
                    return
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    make_convertible(frame)
                    yield frame
            if packet is None:
                return


def packets(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[av.Packet]:
    """Packets of a stream in the order of the file, the last one empty."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except StopIteration:
            return
        except IndexError:  # PyAV's, at the end, where streams came up in the middle of the file
            return
        yield packet


def places(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> tuple[list[int], list[int]]:
    """The pts of all key frames, where a file can be divided and `frames` started, and of all packets; both rising.

    Reads every packet once and decodes nothing, and leaves the container at its end. Only a file that passes may be
    divided; `frames` may still find a place that it cannot reach.

    Raises:
        Unseekable: the file has to be decoded in one piece.
    """
    check_format(container)
    _own_times_only(container)
    seen: set[int] = set()
    keys: list[int] = []
    last_dts: int | None = None
    try:
        for packet in packets(container, stream):
            if not packet.size:
                continue
            if packet.pts is None:
                raise Unseekable("packets have no timestamps of their own")
            if packet.pts in seen or (last_dts is not None and packet.dts is not None and packet.dts <= last_dts):
                raise Unseekable("timestamps do not rise")
            if packet.is_corrupt:
                raise Unseekable("the file is damaged")
            last_dts = packet.dts if packet.dts is not None else last_dts
            seen.add(packet.pts)
            if packet.is_keyframe and not packet.is_discard:
                keys.append(packet.pts)
    except av.error.FFmpegError as error:
        raise Unseekable(f"the file breaks off ({error.strerror or error})") from None
    if not keys or keys != sorted(keys):
        raise Unseekable("there are no key frames in order")
    times, gap = sorted(seen), max_gap(stream)
    if any(later - earlier > gap for earlier, later in itertools.pairwise(times)):
        raise Unseekable("time leaps")
    return keys, times


def _land(container: av.container.InputContainer, stream: av.video.stream.VideoStream, start_pts: int) -> None:
    """Seek to where at least two key frames lie between here and `start_pts`, or to the beginning.

    One would do for closed groups of pictures. What follows a key frame of an open group (HEVC's
    CRA, H.264's recovery points, MPEG-2's B-frames) may need pictures from before it.
    """
    check_format(container)
    assert stream.time_base is not None
    second = max(1, round(1 / stream.time_base))
    first = stream.start_time if stream.start_time is not None else 0
    back = second
    while True:
        target = start_pts - back
        at_beginning = target <= first
        if at_beginning:
            # Decoding times may start earlier, and some demuxers go by those.
            target = first - 10 * second
        try:
            container.seek(target, stream=stream, backward=True)
            safe = _holds_keys(container, stream, start_pts, 1 if at_beginning else 2)
            container.seek(target, stream=stream, backward=True)
        except av.error.FFmpegError as error:
            raise Unseekable(f"seeking failed ({error.strerror or error})") from None
        if safe:
            return
        if at_beginning:
            raise Unseekable("no key frame lies before the place")
        back *= 2


def _holds_keys(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, up_to: int, wanted: int
) -> bool:
    """Whether `wanted` key frames that are shown at or before `up_to` are read from here."""
    found = 0
    for packet in packets(container, stream):
        if not packet.size:
            continue
        if packet.pts is None:
            raise Unseekable("packets have no timestamps of their own")
        if packet.is_keyframe and packet.pts <= up_to:
            found += 1
            if found == wanted:
                return True
        elif (packet.dts if packet.dts is not None else packet.pts) > up_to:
            return False
    return False


def make_convertible(frame: av.VideoFrame) -> None:
    """Replace statements about colour on which FFmpeg's scaler gives up.

    Raises:
        MediaError: the frame cannot be converted.
    """
    if frame.interlaced_frame and frame.height < 2:
        raise MediaError("two fields in one line")
    if frame.colorspace not in COLORSPACES:
        frame.colorspace = _NEAREST.get(frame.colorspace, _UNSPECIFIED)
    if frame.color_range not in (0, 1, 2):
        frame.color_range = 0


def _own_times_only(container: av.container.InputContainer) -> None:
    """Keep the library from making timestamps up: for B-frames they are in the wrong order. `Clock` knows better."""
    container.flags &= ~cast(int, av.container.Flags.gen_pts.value)


def max_gap(stream: av.video.stream.VideoStream) -> int:
    """Ticks of `MAX_GAP_S`."""
    return max(1, round(MAX_GAP_S / (stream.time_base or _TICK)))


def check_format(container: av.container.InputContainer) -> None:
    if container.format.name.split(",")[0] not in SEEKABLE:
        raise Unseekable(f"seeking in {container.format.name} is not exact")
