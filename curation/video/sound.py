"""The sound of a clip, put beside its pictures: copied where mp4 can hold it, or as AAC at a chosen rate.

Copied sound begins with the first packet that starts in the clip, at its own time; encoded sound is cut to the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.audio.stream
import av.container
import av.error
import numpy as np

from curation.video.cut import timescale
from curation.video.probe import OPEN_OPTIONS, MediaError

# What mp4 holds, and players and libraries read.
_HELD_BY_MP4 = ("aac", "mp3", "opus", "ac3", "eac3", "flac", "alac")
# Decoders of sound need some packets to come to themselves.
_EARLY_S = 1
_MOST_CHANNELS = 8
_CHUNK = 1024


@dataclass(frozen=True)
class Sound:
    """What becomes of the sound; without a rate and channels it is kept as it is."""

    rate: int | None = None
    """Samples a second."""
    channels: int | None = None

    @property
    def kept(self) -> bool:
        return self.rate is None and self.channels is None


def add(source: Path, video: Path, start_s: Fraction, end_s: Fraction, wanted: Sound) -> str | None:
    """Put a stretch of the source's first sound track into a cut; what it is now, or None where there is none.

    Args:
        start_s, end_s: what the cut shows, in the source's time.

    Raises:
        MediaError: the sound cannot be read.
        OSError: no space is left.
    """
    target = video.with_suffix(".sounding.mp4")
    try:
        with av.open(f"file:{source}", options=dict(OPEN_OPTIONS), metadata_errors="replace") as container:
            stream = next((one for one in container.streams.audio if one.codec_context is not None), None)
            if stream is None or not stream.time_base:
                return None
            if wanted.kept and stream.codec_context.name in _HELD_BY_MP4:
                told = _copied(container, stream, video, target, start_s, end_s)
            else:
                told = _encoded(container, stream, video, target, start_s, end_s, wanted)
        if told is not None:
            target.replace(video)
        return told
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"its sound cannot be read ({getattr(error, 'strerror', None) or error})") from None
    finally:
        target.unlink(missing_ok=True)


def _copied(
    container: av.container.InputContainer,
    stream: av.audio.stream.AudioStream,
    video: Path,
    target: Path,
    start_s: Fraction,
    end_s: Fraction,
) -> str | None:
    tick = Fraction(stream.time_base or 1)
    packets = []
    for packet in _demuxed(container, stream, start_s):
        if packet.pts is None or not packet.size:
            continue
        if packet.pts * tick >= end_s:
            break
        if packet.pts * tick >= start_s:
            packets.append(packet)
    if not packets:
        return None
    shift = round(start_s / tick)
    with _Remuxed(video, target) as remuxed:
        track = remuxed.container.add_stream_from_template(stream)
        remuxed.mux_video()
        for packet in packets:
            packet.stream = track
            packet.pts = packet.dts = (packet.pts or 0) - shift
            remuxed.container.mux(packet)
    return _told(stream.codec_context.name, stream.codec_context.sample_rate, stream.codec_context.channels)


def _encoded(
    container: av.container.InputContainer,
    stream: av.audio.stream.AudioStream,
    video: Path,
    target: Path,
    start_s: Fraction,
    end_s: Fraction,
    wanted: Sound,
) -> str | None:
    samples, rate = _samples(container, stream, start_s, end_s)
    if samples is None:
        return None
    layout = f"{samples.shape[0]}c" if samples.shape[0] > 2 else ("mono", "stereo")[samples.shape[0] - 1]
    channels = min(wanted.channels or samples.shape[0], _MOST_CHANNELS)
    with _Remuxed(video, target) as remuxed:
        given: Any = {"layout": {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(channels, "stereo")}
        track = remuxed.container.add_stream("aac", rate=wanted.rate or rate, options={"flags": "+bitexact"}, **given)
        remuxed.mux_video()
        for at in range(0, samples.shape[1], _CHUNK):
            chunk = np.ascontiguousarray(samples[:, at : at + _CHUNK])
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            remuxed.container.mux(track.encode(frame))
        remuxed.container.mux(track.encode(None))
        return _told("aac", track.codec_context.sample_rate, track.codec_context.channels)


def _samples(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, start_s: Fraction, end_s: Fraction
) -> tuple[np.ndarray | None, int]:
    """(channels, samples) float32 of the range, silent where the source has nothing, and their rate."""
    tick, samples, rate = Fraction(stream.time_base or 1), None, stream.codec_context.sample_rate
    resampler = None
    for packet in _demuxed(container, stream, start_s):
        if packet.pts is not None and packet.pts * tick >= end_s:
            break
        for frame in packet.decode():
            assert isinstance(frame, av.AudioFrame)
            if frame.pts is None:
                continue
            begins = frame.pts * Fraction(frame.time_base or tick)
            if samples is None:
                rate, channels = frame.sample_rate, len(frame.layout.channels)
                samples = np.zeros((channels, max(1, round((end_s - start_s) * rate))), np.float32)
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            assert resampler is not None
            frame.pts = None
            for plain in resampler.resample(frame):
                at = round((begins - start_s) * rate)
                data = plain.to_ndarray()
                low, high = max(0, at), min(samples.shape[1], at + data.shape[1])
                if low < high:
                    samples[:, low:high] = data[:, low - at : high - at]
    return samples, rate


def _demuxed(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, start_s: Fraction
) -> Iterator[av.Packet]:
    """Packets from a second before `start_s` on, or from the beginning where seeking fails."""
    early = round((start_s - _EARLY_S) / Fraction(stream.time_base or 1))
    try:
        container.seek(early, stream=stream, backward=True)
    except av.error.FFmpegError:
        container.seek(0)
    yield from container.demux(stream)


class _Remuxed:
    """An mp4 with the pictures of another one, to which a sound track is added."""

    def __init__(self, video: Path, target: Path):
        self._source = av.open(f"file:{video}", options=dict(OPEN_OPTIONS))
        self._pictures = self._source.streams.video[0]
        options = {
            "movflags": "+faststart",
            "fflags": "+bitexact",
            "video_track_timescale": str(timescale(Fraction(self._pictures.time_base or 1))),
        }
        self.container = av.open(f"file:{target}", "w", format="mp4", options=options)
        self._track = self.container.add_stream_from_template(self._pictures, opaque=True)

    def __enter__(self) -> _Remuxed:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._source.close()

    def mux_video(self) -> None:
        """Write all pictures; every track must have been added."""
        for packet in self._source.demux(self._pictures):
            if packet.size:
                packet.stream = self._track
                self.container.mux(packet)


def _told(codec: str, rate: int, channels: int) -> str:
    return f"{codec}, {rate} Hz, {channels} channel{'s' * (channels != 1)}"
