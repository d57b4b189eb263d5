"""One decoded frame to its record and, about once a second, a thumbnail."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from curation.video.motion import MotionMeter
from curation.video.probe import Header
from curation.video.series import TINY, SeriesWriter
from curation.video.thumbnails import Thumbnail, ThumbnailWriter
from curation.video.tiny import alike, values
from curation.video.upright import stored_size, upright_vector

# Frames are brought to this width before they are measured. PySceneDetect's own scene manager takes 256; half of it
# finds the same cuts (benchmarks/scene_accuracy.py) and costs a tenth of a decode less.
ANALYSIS_WIDTH = 128
# Motion and thumbnails are slow properties and cost as much as decoding, so they are sampled: every so many frames of
# the nominal rate where another picture is seen than the last time, else half as often.
SAMPLED_FRAMES = 16
_SAME_PICTURE = 0.8
# A frame that differs this much from the one before may begin a scene, which then needs a picture of its own,
# however short it is: the third frame after, when an encoder has recovered its quality. Content score.
_JUMP = 12.0
_AFTER_JUMP = 3
_HISTOGRAM_BINS = 128


class Look(NamedTuple):
    """A frame at the analysis size."""

    hsv: np.ndarray
    luma: np.ndarray
    tiny: np.ndarray


class Step(NamedTuple):
    """From one measured frame to the next, which in a fast pass may be frames away."""

    before: int
    number: int
    content: float
    alike: float


class Measurer:
    """Measures the frames of one file or segment, in order, into a file of records and one of thumbnails.

    Args:
        size: short side of the thumbnails in pixels.
        histogram: also compare luma histograms, which only PySceneDetect's histogram detector needs.
    """

    _motion_reach = 1
    """Frames from a sample to the one that motion is measured to, at most."""

    def __init__(self, head: Header, series: Path, thumbnails: Path, *, size: int, histogram: bool = False):
        # Pictures are so small that sharing them out costs more than it gives.
        cv2.setNumThreads(1)
        self._head = head
        self._tick_s = float(head.time_base)
        self._histogram = histogram
        self._writer = SeriesWriter(series)
        self._thumbnails = ThumbnailWriter(thumbnails, head, size)
        self._size = stored_size(head, width=ANALYSIS_WIDTH)
        self._scaler = VideoReformatter()
        self._motion = MotionMeter()
        self._last: Look | None = None
        self._luma_histogram: np.ndarray | None = None
        self._since_jump = 0
        self._period_s = SAMPLED_FRAMES / float(head.rate)
        self._period: int | None = None
        self._period_began: np.ndarray | None = None
        self._sampled: tuple[int, int, np.ndarray] | None = None

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, at)
        self._thumbnails.__exit__(kind, error, at)

    @property
    def count(self) -> int:
        """Records so far."""
        return self._writer.count

    @property
    def thumbnails(self) -> list[Thumbnail]:
        return self._thumbnails.kept

    def warm(self, pts: int, frame: av.VideoFrame) -> None:
        """Take a frame before the first one only to compare with."""
        look = self.look(frame)
        self._compared(look)
        self._is_due(pts, look.tiny)

    def feed(self, number: int, pts: int, frame: av.VideoFrame, look: Look | None = None) -> None:
        """Measure the next frame of the file."""
        look = look or self.look(frame)
        record = self._writer.next()
        record["number"], record["pts"] = number, pts
        record["content"], record["histogram"] = self._compared(look)
        describe(record, look)
        record["sharpness"] = record["motion"] = record["motion_x"] = record["motion_y"] = np.nan
        self._finish_sample(number, pts, look.luma)
        if self._is_due(pts, look.tiny) or self._since_jump == _AFTER_JUMP:
            self._sampled = (number, pts, look.luma)
            record["sharpness"] = self._thumbnails.keep(number, frame)

    def keep_one(self, number: int, frame: av.VideoFrame) -> None:
        """Take the picture of the last frame if nothing was sampled: of a film of a few frames."""
        if not self.thumbnails:
            self._writer.record(number)["sharpness"] = self._thumbnails.keep(number, frame)

    def follow(self, number: int, pts: int, frame: av.VideoFrame) -> None:
        """Take the frame after the last one only to finish what waits for it."""
        if self._sampled is not None:
            self._finish_sample(number, pts, self.look(frame).luma)

    def _finish_sample(self, number: int, pts: int, luma: np.ndarray) -> None:
        """A sampled frame waits for the one after it, which motion is measured to."""
        if self._sampled is None:
            return
        first, first_pts, before = self._sampled
        self._sampled = None
        if number <= first + self._motion_reach:
            motion = self._motion.between(before, luma, (pts - first_pts) * self._tick_s)
            sampled = self._writer.record(first)
            sampled["motion"] = motion.amount
            sampled["motion_x"], sampled["motion_y"] = upright_vector(motion.x, motion.y, self._head)

    def _compared(self, look: Look) -> tuple[float, float]:
        """Content score and histogram correlation with the frame before, which this one replaces."""
        content, correlation = 0.0, 1.0
        if self._last is not None:
            content = content_score(look.hsv, self._last.hsv)
        self._last = look
        self._since_jump = 0 if content > _JUMP else self._since_jump + 1
        if self._histogram:
            histogram = _histogram(look.luma)
            if self._luma_histogram is not None:
                correlation = cv2.compareHist(self._luma_histogram, histogram, cv2.HISTCMP_CORREL)
            self._luma_histogram = histogram
        return content, correlation

    def _is_due(self, pts: int, tiny: np.ndarray) -> bool:
        """Whether to sample; by the clock and not by counting, so that segments take the samples of the whole file."""
        period = int(pts * self._tick_s / self._period_s + 0.5)
        if period == self._period:
            return False
        before, self._period = self._period, period
        began, self._period_began = self._period_began, tiny
        if before is None or began is None:
            return False
        return period % 2 == 0 or alike(values(tiny), values(began)) < _SAME_PICTURE

    def look(self, frame: av.VideoFrame) -> Look:
        """Scale a frame to the analysis size."""
        bgr = self._scaler.reformat(
            frame, *self._size, format="bgr24", interpolation=Interpolation.FAST_BILINEAR
        ).to_ndarray()
        tiny = cv2.resize(bgr, TINY[::-1], interpolation=cv2.INTER_AREA)
        return Look(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV), cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), tiny)


def describe(record: np.void, look: Look) -> None:
    """Put what one picture tells into its record."""
    mean, deviation = cv2.meanStdDev(look.luma)
    record["brightness"], record["contrast"] = mean[0, 0] / 255, deviation[0, 0] / 255
    record["tiny"] = look.tiny


def content_score(hsv: np.ndarray, before: np.ndarray) -> float:
    """PySceneDetect's content score of two HSV pictures (H, W, 3 uint8), at its default weights.

    The same number as `ContentDetector` computes, from the same sums: mean absolute difference of hue,
    saturation and value, averaged over the three. It costs a tenth of the original.
    """
    pixels = float(hsv.shape[0] * hsv.shape[1])
    sums = cv2.sumElems(cv2.absdiff(hsv, before))
    return (sums[0] / pixels + sums[1] / pixels + sums[2] / pixels) / 3.0


def _histogram(luma: np.ndarray) -> np.ndarray:
    counts = cv2.calcHist([luma], [0], None, [_HISTOGRAM_BINS], [0, 256])
    return cv2.normalize(counts, counts).flatten()
