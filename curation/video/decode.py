"""Frames of one file in display order, with exact timestamps, tolerant of damage."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import av.container
import av.error
import av.video.stream

# PySceneDetect gives up after 8 consecutive failures; damaged files of the corpus recover well within that.
MAX_CONSECUTIVE_ERRORS = 8


@dataclass
class Faults:
    """What went wrong while decoding. The frames that were decoded are still good."""

    errors: int = 0
    misplaced: int = 0
    """Frames without a timestamp after the one before; they are skipped."""
    stopped: str | None = None
    """Why decoding ended before the end of the file."""

    def sentence(self) -> str | None:
        said = []
        if self.stopped:
            said.append(self.stopped)
        elif self.errors:
            said.append(f"{self.errors} packets could not be decoded")
        if self.misplaced:
            said.append(f"{self.misplaced} frames without an increasing timestamp skipped")
        return "; ".join(said) or None


@dataclass
class Decoder:
    """Decodes a video stream with one thread: more files side by side cost less CPU than threads."""

    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    faults: Faults = field(default_factory=Faults)

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """(pts in the stream's time base, frame) for every frame, pts strictly increasing."""
        self.stream.thread_type = "NONE"
        self.stream.codec_context.thread_count = 1
        last: int | None = None
        for frame in self._decoded():
            pts = frame.pts
            if pts is None or (last is not None and pts <= last):
                self.faults.misplaced += 1
                continue
            last = pts
            yield pts, frame

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self.container.demux(self.stream)
        consecutive = 0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.faults.stopped = f"the file breaks off ({error.strerror or error})"
                packet = None
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
                consecutive += 1
                if consecutive >= MAX_CONSECUTIVE_ERRORS:
                    reason = error.strerror or error
                    self.faults.stopped = f"{consecutive} packets in a row could not be decoded ({reason})"
                    return
                if packet is None:
                    return
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    yield frame
            if packet is None:
                return
