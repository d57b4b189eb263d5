"""The split pass: scenes, pictures, motion and sharpness from one decode of one file.

Every frame is brought once to a small BGR picture by one reused scaler; the detector sees that.
A few times a second the same picture also gives sharpness, brightness and, with the frame after
it, motion; and the full frame gives a thumbnail, kept until its scene is known. Memory is bounded
by one scene's thumbnails and one integer a frame.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.video.stream
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from curation.video.decode import Decoder
from curation.video.motion import MotionMeter, brightness, sharpness
from curation.video.probe import Header, MediaError, header, opened
from curation.video.scenes import ANALYSIS_WIDTH, CutFinder, divided

# Measures are sampled this often: motion is a slow property of a clip, and flow costs as much as decoding.
SAMPLES_PER_SECOND = 3
# Thumbnails that an open scene may hold; beyond it every second one goes. About 40 MB at most.
MAX_HELD_THUMBNAILS = 2048
# Larger frames are refused before they are decoded: 16384 × 16384 pixels of 8-bit 4:2:0 are 400 MB.
MAX_PIXELS = 1 << 28
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Settings:
    """See `curation.recipe.Split` for the meaning of each."""

    detector: str
    threshold: float | None
    min_frames: int
    max_seconds: float
    thumbnails: int
    thumbnail_size: int


@dataclass(frozen=True)
class _Sample:
    """Measures of one frame."""

    frame: int
    sharpness: float
    brightness: float
    motion: float | None = None
    motion_x: float | None = None
    motion_y: float | None = None


@dataclass
class _OpenScene:
    """What has been gathered since the last cut."""

    samples: list[_Sample] = field(default_factory=list)
    thumbnails: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass
class Clip:
    """A piece of a scene: frames [first, end) of the file and what was measured on them."""

    scene: int
    piece: int
    first: int
    end: int
    thumbnails: list[tuple[int, bytes]]
    motion: float | None
    motion_x: float | None
    motion_y: float | None
    sharpness: float | None
    brightness: float | None


def scan(path: Path, settings: Settings) -> dict[str, Any]:
    """Decode a file once; JSON-ready facts of the file and its clips (pictures as bytes).

    Raises:
        MediaError: the file is no media, has no video, or no frame of it can be decoded.
    """
    with opened(path) as (container, stream):
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            raise MediaError(f"frames of {stream.codec_context.width}x{stream.codec_context.height} are too large")
        decoder = Decoder(container, stream)
        scanner = _Scanner(settings)
        for pts, frame in decoder.frames():
            if scanner.head is None:
                scanner.head = header(stream, frame)
            scanner.feed(pts, frame)
        if scanner.head is None:
            raise MediaError(decoder.faults.sentence() or "no frame could be decoded")
        clips = scanner.finish()
        warning = decoder.faults.sentence() or _cut_short(_claimed_s(container, stream), scanner)
        return _facts(scanner, clips, warning)


class _Scanner:
    def __init__(self, settings: Settings):
        self.settings = settings
        self.head: Header | None = None
        self.pts = array("q")
        self.last_duration = 0
        self._clips: list[Clip] = []
        self._cuts = 0
        self._start = 0
        self._open = _OpenScene()
        self._motion = MotionMeter()
        self._small = VideoReformatter()
        self._large = VideoReformatter()
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=1)
        self._pending: tuple[int, np.ndarray] | None = None

    def feed(self, pts: int, frame: av.VideoFrame) -> None:
        assert self.head is not None
        number = len(self.pts)
        if number == 0:
            self._begin()
        self.pts.append(pts)
        self.last_duration = int(frame.duration or 0)
        small = self._small.reformat(
            frame, *self._analysis_size, format="bgr24", interpolation=Interpolation.FAST_BILINEAR
        ).to_ndarray()
        self._recent.append((number, small))
        self._measure(number, small)
        if number % self._every == 0:
            self._open.thumbnails.append((number, self._jpeg(frame)))
            if len(self._open.thumbnails) > MAX_HELD_THUMBNAILS:
                del self._open.thumbnails[1::2]
        for cut in self._finder.feed(small):
            self._close(cut)

    def finish(self) -> list[Clip]:
        if self._pending is not None:
            self._open.samples.append(_measured(*self._pending))
        for cut in self._finder.finish():
            self._close(cut)
        self._close(len(self.pts))
        return self._clips

    def end_pts(self) -> int:
        """Where the last frame ends: by its own duration, or that of the frame before it."""
        if self.last_duration > 0:
            step = self.last_duration
        elif len(self.pts) > 1:
            step = self.pts[-1] - self.pts[-2]
        else:
            assert self.head is not None
            step = max(1, round(1 / (self.head.rate * self.head.time_base)))
        return self.pts[-1] + step

    def _begin(self) -> None:
        assert self.head is not None
        head = self.head
        width = min(ANALYSIS_WIDTH, head.width)
        upright = (width, max(8, round(head.height * width / head.width)))
        self._analysis_size = upright[::-1] if head.rotation in (90, 270) else upright
        scale = min(1.0, self.settings.thumbnail_size / min(head.width, head.height))
        size = (max(2, round(head.width * scale)), max(2, round(head.height * scale)))
        self._thumbnail_size = size[::-1] if head.rotation in (90, 270) else size
        self._every = max(1, round(head.rate / SAMPLES_PER_SECOND))
        self._finder = CutFinder(self.settings.detector, self.settings.threshold, head.rate, self.settings.min_frames)
        self._recent = deque(maxlen=self._finder.lag + 2)

    def _measure(self, number: int, small: np.ndarray) -> None:
        """Sampled frames wait for the frame after them, which motion is measured to."""
        if self._pending is not None:
            first, luma = self._pending
            assert self.head is not None
            seconds = float((self.pts[number] - self.pts[first]) * self.head.time_base)
            motion = self._motion.between(luma, _luma(small), seconds)
            x, y = _upright(motion.x, motion.y, self.head.rotation)
            self._open.samples.append(_measured(first, luma, motion.amount, x, y))
            self._pending = None
        if number % self._every == 0:
            self._pending = (number, _luma(small))

    def _close(self, cut: int) -> None:
        """End the open scene before frame `cut`; what belongs after it stays open."""
        if cut <= self._start:
            return
        scene, after = _OpenScene(), _OpenScene()
        for sample in self._open.samples:
            (scene if sample.frame < cut else after).samples.append(sample)
        for thumbnail in self._open.thumbnails:
            (scene if thumbnail[0] < cut else after).thumbnails.append(thumbnail)
        if not scene.thumbnails:
            held = [(number, small) for number, small in self._recent if self._start <= number < cut]
            scene.thumbnails = [(held[0][0], _encoded(_turned(held[0][1], self._rotation())))] if held else []
        end_pts = self.pts[cut] if cut < len(self.pts) else self.end_pts()
        assert self.head is not None
        seconds = float((end_pts - self.pts[self._start]) * self.head.time_base)
        pieces = divided(
            self._start,
            cut,
            seconds,
            max_seconds=self.settings.max_seconds,
            min_frames=self.settings.min_frames,
        )
        for piece, (first, end) in enumerate(pieces):
            self._clips.append(self._clip(scene, piece, first, end))
        self._cuts += 1
        self._start, self._open = cut, after

    def _clip(self, scene: _OpenScene, piece: int, first: int, end: int) -> Clip:
        samples = [sample for sample in scene.samples if first <= sample.frame < end]
        # A pair whose second frame lies in the next clip measures the cut and not the motion.
        moving = [s for s in samples if s.motion is not None and s.frame + 1 < end]
        thumbnails = [thumbnail for thumbnail in scene.thumbnails if first <= thumbnail[0] < end]
        return Clip(
            scene=self._cuts,
            piece=piece,
            first=first,
            end=end,
            thumbnails=_spread(thumbnails, self.settings.thumbnails, first, end),
            motion=_mean([s.motion for s in moving]),
            motion_x=_mean([s.motion_x for s in moving]),
            motion_y=_mean([s.motion_y for s in moving]),
            sharpness=_mean([s.sharpness for s in samples]),
            brightness=_mean([s.brightness for s in samples]),
        )

    def _rotation(self) -> int:
        return self.head.rotation if self.head else 0

    def _jpeg(self, frame: av.VideoFrame) -> bytes:
        picture = self._large.reformat(
            frame, *self._thumbnail_size, format="bgr24", interpolation=Interpolation.AREA
        ).to_ndarray()
        return _encoded(_turned(picture, self._rotation()))


def _luma(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def _measured(
    frame: int, luma: np.ndarray, motion: float | None = None, x: float | None = None, y: float | None = None
) -> _Sample:
    return _Sample(frame, sharpness(luma), brightness(luma), motion, x, y)


def _turned(picture: np.ndarray, rotation: int) -> np.ndarray:
    """Upright, by the counter-clockwise degrees of FFmpeg's display matrix."""
    turns = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
    return cv2.rotate(picture, turns[rotation]) if rotation in turns else picture


def _upright(x: float, y: float, rotation: int) -> tuple[float, float]:
    """A flow vector as seen after `_turned`."""
    return {90: (y, -x), 180: (-x, -y), 270: (-y, x)}.get(rotation, (x, y))


def _encoded(bgr: np.ndarray) -> bytes:
    fine, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert fine
    return bytes(data)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _spread(held: list[tuple[int, bytes]], count: int, first: int, end: int) -> list[tuple[int, bytes]]:
    """`count` pictures nearest to the middles of as many equal parts of the clip, in time order."""
    if not held:
        return []
    frames = [frame for frame, _ in held]
    chosen = set()
    for part in range(count):
        wanted = first + (end - first) * (2 * part + 1) / (2 * count)
        right = bisect_left(frames, wanted)
        near = min((i for i in (right - 1, right) if 0 <= i < len(frames)), key=lambda i: abs(frames[i] - wanted))
        chosen.add(near)
    return [held[i] for i in sorted(chosen)]


def _claimed_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float | None:
    """How long the header says that the video is; the file's own length counts only without other streams."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _cut_short(seconds: float | None, scanner: _Scanner) -> str | None:
    """A sentence if far fewer seconds were decoded than the header claims; headers may lie, so no error."""
    assert scanner.head is not None
    if not seconds or seconds <= 0:
        return None
    decoded = float((scanner.end_pts() - scanner.pts[0]) * scanner.head.time_base)
    if decoded < 0.9 * seconds - 1.0:
        return f"{decoded:.1f} s of the {seconds:.1f} s that the header claims could be decoded"
    return None


def _facts(scanner: _Scanner, clips: list[Clip], warning: str | None) -> dict[str, Any]:
    head = scanner.head
    assert head is not None
    pts, end = scanner.pts, scanner.end_pts()
    duration = float((end - pts[0]) * head.time_base)
    return {
        "codec": head.codec,
        "width": head.width,
        "height": head.height,
        "time_base": _text(head.time_base),
        "frames": len(pts),
        "duration_s": duration,
        "fps": len(pts) / duration,
        "warning": warning,
        "clips": [
            {
                "scene": clip.scene,
                "piece": clip.piece,
                "start_pts": pts[clip.first],
                "end_pts": pts[clip.end] if clip.end < len(pts) else end,
                "frames": clip.end - clip.first,
                "motion": clip.motion,
                "motion_x": clip.motion_x,
                "motion_y": clip.motion_y,
                "sharpness": clip.sharpness,
                "brightness": clip.brightness,
                "thumbnails": [picture for _, picture in clip.thumbnails],
                "thumbnail_s": [float(pts[frame] * head.time_base) for frame, _ in clip.thumbnails],
            }
            for clip in clips
        ],
    }


def _text(fraction: Fraction) -> str:
    return f"{fraction.numerator}/{fraction.denominator}"
