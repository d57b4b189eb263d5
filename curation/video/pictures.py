"""Decoded pictures of chosen stretches of a file, without decoding what lies between them."""

from __future__ import annotations

from collections.abc import Iterator

import av
import av.container
import av.error
import av.video.stream

from curation.video.decode import packets
from curation.video.packets import Listing
from curation.video.probe import MediaError

Timed = tuple[int, av.VideoFrame]


class Pictures:
    """Goes forward through a file, and leaps to the key frame before a stretch where that saves work."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream, listed: Listing
    ) -> None:
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        self._container, self._stream, self._listed = container, stream, listed
        self._frames: Iterator[Timed] = iter(())
        self._next: Timed | None = None

    def between(self, start_pts: int, end_pts: int) -> Iterator[Timed]:
        """The pictures in a range, by time.

        Raises:
            MediaError: one cannot be decoded.
        """
        wanted = self._listed.shown(start_pts, end_pts).tolist()
        key = self._listed.opening_before(start_pts)
        if not wanted:
            return
        if key is None:
            raise MediaError("no key frame lies before it")
        if self._next is None or not key <= self._next[0] <= start_pts:
            self._frames = self._from(key)
            self._next = next(self._frames, None)
        while self._next is not None and self._next[0] < start_pts:
            self._next = next(self._frames, None)
        for pts in wanted:
            if self._next is None or self._next[0] != pts:
                raise MediaError("a frame of it cannot be decoded")
            yield self._next
            self._next = next(self._frames, None)

    def _from(self, key: int) -> Iterator[Timed]:
        assert self._stream.time_base is not None
        codec = self._stream.codec_context
        try:
            codec.flush_buffers()
            # A second early: some demuxers go by decoding times, or seek to about the place.
            early = key - round(1 / self._stream.time_base)
            self._container.seek(early, stream=self._stream, backward=True)
            started = False
            for packet in packets(self._container, self._stream):
                started = started or (packet.pts == key and bool(packet.size))
                if not started:
                    continue
                for frame in codec.decode(packet if packet.size else None):
                    if frame.pts is not None and frame.pts >= key and not frame.is_corrupt:
                        yield frame.pts, frame
        except av.error.FFmpegError as error:
            raise MediaError(f"a frame of it cannot be decoded ({error.strerror or error})") from None
