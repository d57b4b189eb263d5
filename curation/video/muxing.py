"""Coded pictures into an mp4 file without sound, at exactly their times."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.video.stream
import numpy as np

from curation.video.cut import timescale


class Muxer:
    """Writes packets, one after the other, whose times are known beforehand.

    Decoding times are made anew: the times of showing in rising order, moved back until none is later than its picture.
    They are right for any mixture of copied and encoded pictures, at any frame rate.

    Args:
        like: a stream of the same codec, pictures and time base.
        pts: of every packet, in the order of decoding.
        end_pts: where the last picture ends.
        extradata: parameter sets, where they are not those of `like`.

    Raises:
        av.error.FFmpegError, ValueError: mp4 cannot hold the codec.
    """

    def __init__(
        self,
        target: Path,
        like: av.video.stream.VideoStream,
        pts: Sequence[int],
        end_pts: int,
        extradata: bytes | None = None,
    ):
        assert like.time_base is not None
        options = {
            "movflags": "+faststart",
            "fflags": "+bitexact",
            "video_track_timescale": str(timescale(Fraction(like.time_base))),
        }
        order = np.array(pts, np.int64)
        shown = np.sort(order)
        self._start = int(shown[0])
        self._pts = order
        self._dts = shown - int((shown - order).max())
        lengths = dict(zip(shown.tolist(), np.diff(np.append(shown, end_pts)).tolist()))
        self._lengths = [lengths[one] for one in order.tolist()]
        self._written = 0
        self._time_base = Fraction(like.time_base)
        self._container = av.open(f"file:{target}", "w", format="mp4", options=options)
        try:
            self._stream = self._container.add_stream_from_template(like, opaque=True)
            if extradata is not None:
                self._stream.codec_context.extradata = extradata
            self._container.start_encoding()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Muxer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._container.close()

    def write(self, packet: av.Packet, *, key: bool) -> None:
        """The next packet. `key`: decoding can start at it."""
        at = self._written
        packet.stream = self._stream
        packet.time_base = self._time_base
        packet.pts, packet.dts = int(self._pts[at]) - self._start, int(self._dts[at]) - self._start
        packet.duration = self._lengths[at]
        packet.is_keyframe = key
        self._container.mux(packet)
        self._written += 1
