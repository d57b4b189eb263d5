"""Cutting clips out of a file whose timestamps FFmpeg's program would read in another way.

The file is decoded once from its beginning, exactly as when it was split, and the frames of each
clip are handed to FFmpeg with the times of their row. It is slow and always right.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import av.error
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from curation.video.cut import Encoding, command_for_frames, run, scaled
from curation.video.decode import Decoder
from curation.video.probe import MediaError, header, opened
from curation.video.remote import Media
from curation.video.thinning import thinned

Timed = tuple[int, VideoFrame]


def recut(
    media: Media,
    clips: Sequence[dict[str, Any]],
    size: tuple[int, int],
    encoding: Encoding,
    timeout_s: float,
) -> list[str | list[int]]:
    """Cut many clips in one decode. For every clip: which of its frames are shown, or why there is no file.

    Args:
        clips: `start_pts`, `end_pts` and `target` (a path) of each, in order and without overlap.
        size: displayed (width, height) of the source.
        timeout_s: for encoding one clip after its frames were handed over.

    Raises:
        MediaError: the file cannot be opened.
    """
    found: list[str | list[int]] = []
    with opened(media) as (container, stream):
        frames = _Ahead(Decoder(container, stream).frames())
        for clip in clips:
            frames.skip_to(clip["start_pts"])
            if frames.next is None or frames.next[0] >= clip["end_pts"]:
                found.append("no frame of it could be decoded")
                continue
            head = header(stream, frames.next[1])
            target, width_height = Path(clip["target"]), scaled(size, encoding.short_side)
            shown: list[int] = []
            feed = functools.partial(
                _feed,
                frames=_thinned(frames.up_to(clip["end_pts"]), clip["start_pts"], head.time_base, encoding.fps, shown),
                time_base=head.time_base,
                size=width_height,
                rotation=head.rotation,
            )
            try:
                command = command_for_frames(target, head.time_base, width_height, encoding, head)
                run(command, target, timeout_s, feed=feed)
                found.append(shown)
            except (MediaError, av.error.FFmpegError) as error:
                found.append(str(error))
    return found


class _Ahead:
    """Frames with the next one in sight, so that the first frame after a clip is there for the clip after it."""

    def __init__(self, frames: Iterator[Timed]):
        self._frames = frames
        self.next = next(frames, None)

    def skip_to(self, pts: int) -> None:
        while self.next is not None and self.next[0] < pts:
            self.next = next(self._frames, None)

    def up_to(self, pts: int) -> Iterator[Timed]:
        while self.next is not None and self.next[0] < pts:
            yield self.next
            self.next = next(self._frames, None)


def _thinned(
    frames: Iterator[Timed], start_pts: int, time_base: Fraction, fps: float | None, shown: list[int]
) -> Iterator[Timed]:
    """The frames that are kept, with times from the beginning of the clip; their numbers go into `shown`."""
    numbered = ((pts - start_pts, (number, frame)) for number, (pts, frame) in enumerate(frames))
    for pts, (number, frame) in thinned(numbered, time_base, fps):
        shown.append(number)
        yield pts, frame


def _feed(pipe: IO[bytes], frames: Iterator[Timed], time_base: Fraction, size: tuple[int, int], rotation: int) -> None:
    """Write frames as NUT, in the final size but not yet turned."""
    width, height = size[::-1] if rotation in (90, 270) else size
    scaler = VideoReformatter()
    with av.open(pipe, "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        for pts, frame in frames:
            picture = scaler.reformat(
                frame, width, height, "yuv420p", interpolation=Interpolation.BICUBIC, dst_color_range=ColorRange.MPEG
            )
            picture.pts, picture.time_base = pts, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
