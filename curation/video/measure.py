"""Decoded frames to their records, a block of them at once, and now and then a thumbnail."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from curation.video.motion import MotionMeter
from curation.video.probe import Header
from curation.video.series import FRAME, TINY, SeriesWriter
from curation.video.small import BLACK, LUMA_STEPS, Shrinker
from curation.video.thumbnails import Thumbnail, ThumbnailWriter
from curation.video.tiny import alike, values
from curation.video.upright import upright_vector

# Motion and thumbnails are slow properties and cost as much as decoding, so they are sampled: every so many frames of
# the nominal rate where another picture is seen than the last time, else less often.
SAMPLED_FRAMES = 16
_SAME_PICTURE = 0.8
# A frame that differs this much from the one before may begin a scene, which then needs a picture of its own,
# however short it is. Mean difference.
JUMP = 8.0
_HISTOGRAM_BINS = 128
# Frames that are measured at once. Calls for single frames cost more than what they do.
_BLOCK = 32
BLANK = np.zeros((), FRAME)
BLANK["number"], BLANK["histogram"] = -1, 1.0
for _name in ("sharpness", "motion", "motion_x", "motion_y"):
    BLANK[_name] = np.nan


class Measurer:
    """Measures the frames of one file or segment, in order, into a file of records and one of thumbnails.

    Args:
        size: short side of the thumbnails in pixels.
        histogram: also compare luma histograms, which only PySceneDetect's histogram detector needs.
    """

    _motion_reach = 1
    """Frames from a sample to the one that motion is measured to, at most."""
    _after_jump = 3
    """Measured frames from a jump to its picture: an encoder must have recovered its quality."""
    _calm_periods = 2
    """Periods of sampling that are one while the same picture is seen."""

    def __init__(self, head: Header, series: Path, thumbnails: Path, *, size: int, histogram: bool = False):
        # Pictures are so small that sharing them out costs more than it gives.
        cv2.setNumThreads(1)
        self._head = head
        self._tick_s = float(head.time_base)
        self._histogram = histogram
        self._writer = SeriesWriter(series)
        self._thumbnails = ThumbnailWriter(thumbnails, head, size)
        self.shrinker = Shrinker(head)
        self._motion = MotionMeter()
        # The first row is the frame before the block, the others are its frames so far.
        self._smalls = np.zeros((_BLOCK + 1, self.shrinker.values), np.uint8)
        self._room = self.shrinker.room(_BLOCK + 1)
        self._records = np.zeros(_BLOCK + 1, FRAME)
        self._held = 0
        self._has_before = False
        # Whether the record of the first row is still to be written.
        self._pending = False
        self._since_jump = 0
        self._period_s = SAMPLED_FRAMES / float(head.rate)
        self._period: int | None = None
        self._period_began: np.ndarray | None = None
        self._sampled: int | None = None

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._writer.__exit__(kind, error, at)
            self._thumbnails.__exit__(kind, error, at)

    @property
    def thumbnails(self) -> list[Thumbnail]:
        return self._thumbnails.kept

    @property
    def started(self) -> bool:
        """Whether a frame was measured."""
        return self._held > 0 or self._pending

    def warm(self, pts: int, frame: av.VideoFrame) -> None:
        """Take a frame before the first one only to compare with."""
        self._shrink(frame, self._smalls[1])
        self._look_around(pts, 1)
        self._smalls[0] = self._smalls[1]
        self._records[0] = BLANK
        self._has_before = True

    def feed(self, number: int, pts: int, frame: av.VideoFrame) -> None:
        """Measure the next frame of the file."""
        place = self._next(frame)
        record = self._records[place]
        record["number"], record["pts"] = number, pts
        self._finish_sample(number, pts, place)
        if self._look_around(pts, place):
            self._sampled = place
            record["sharpness"] = self._thumbnails.keep(number, frame)

    def keep_one(self, frame: av.VideoFrame) -> None:
        """Take the picture of the last frame if nothing was sampled: of a film of a few frames."""
        if not self.thumbnails:
            record = self._records[self._held]
            record["sharpness"] = self._thumbnails.keep(int(record["number"]), frame)

    def follow(self, number: int, pts: int, frame: av.VideoFrame) -> None:
        """Take the frame after the last one only to finish what waits for it."""
        if self._sampled is not None:
            self._finish_sample(number, pts, self._next(frame))
            self._held -= 1

    def finish(self) -> None:
        """Measure what is left."""
        self._measure_block()
        if self._pending:
            self._write(0, 1)
        self._pending = False

    def _next(self, frame: av.VideoFrame) -> int:
        """The place of the next frame in the block; if that is full it is measured first."""
        if self._held == _BLOCK:
            self._measure_block()
        self._held += 1
        self._records[self._held] = BLANK
        self._shrink(frame, self._smalls[self._held])
        return self._held

    def _shrink(self, frame: av.VideoFrame, into: np.ndarray) -> None:
        self.shrinker.shrink(frame, into)

    def _measure_block(self) -> None:
        """Measure the frames held and write their records, but for the last one, for which a sample may wait."""
        last = self._held
        if not last:
            return
        first = 0 if self._has_before else 1
        smalls, records = self._smalls[first : last + 1], self._records[first : last + 1]
        looks = self.shrinker.looks(smalls, self._room)
        describe(records[1 - first :], smalls[1 - first :], looks.bgr[1 - first :], self.shrinker)
        if first == 0:
            records["tiny"][0] = self.shrinker.tiny(looks.bgr[:1])[0]
        records["content"][1:] = content_scores(looks.hsv)
        if self._histogram:
            records["histogram"][1:] = _correlations(looks.bgr)
        self._compared(first)
        self._write(0 if self._pending else 1, last)
        self._smalls[0], self._records[0] = self._smalls[last], self._records[last]
        self._held, self._has_before, self._pending = 0, True, True
        self._sampled = None if self._sampled is None else 0

    def _compared(self, first: int) -> None:
        """For those who want to know of steps: frames `first` to `_held` of the block were compared."""

    def _write(self, first: int, end: int) -> None:
        """Write the records of frames [first, end) of the block, which are complete."""
        self._writer.extend(self._records[first:end])

    def _look_around(self, pts: int, place: int) -> bool:
        """Whether to sample a frame."""
        self._since_jump = 0 if self._jumps(place) else self._since_jump + 1
        due = self._is_due(pts, self._smalls[place])
        return due or self._since_jump == self._after_jump

    def _jumps(self, place: int) -> bool:
        """Whether a frame of the block differs from the one before as a new scene does."""
        small, before = self._smalls[place], self._smalls[place - 1]
        return (self._has_before or place > 1) and cv2.norm(small, before, cv2.NORM_L1) > JUMP * small.size

    def _is_due(self, pts: int, small: np.ndarray) -> bool:
        """Whether to sample; by the clock and not by counting, so that segments take the samples of the whole file."""
        period = int(pts * self._tick_s / self._period_s + 0.5)
        if period == self._period:
            return False
        tiny = cv2.resize(self.shrinker.luma(small), TINY[::-1], interpolation=cv2.INTER_AREA)
        before, self._period = self._period, period
        began, self._period_began = self._period_began, tiny
        if before is None or began is None:
            return False
        return period % self._calm_periods == 0 or alike(values(tiny), values(began)) < _SAME_PICTURE

    def _finish_sample(self, number: int, pts: int, place: int) -> None:
        """A sampled frame waits for the one after it, which motion is measured to."""
        if self._sampled is None:
            return
        first, self._sampled = self._sampled, None
        record = self._records[first]
        if number <= int(record["number"]) + self._motion_reach:
            one, other = (self.shrinker.luma(self._smalls[at]) for at in (first, place))
            seconds = (pts - int(record["pts"])) * self._tick_s
            motion = self._motion.between(one, other, seconds, self.shrinker.pixel_height)
            record["motion"] = motion.amount
            record["motion_x"], record["motion_y"] = upright_vector(motion.x, motion.y, self._head)


def describe(records: np.ndarray, smalls: np.ndarray, bgr: np.ndarray, shrinker: Shrinker) -> None:
    """Put what single pictures tell into their records."""
    records["tiny"] = shrinker.tiny(bgr)
    for record, small in zip(records, smalls):
        mean, deviation = cv2.meanStdDev(shrinker.luma(small))
        record["brightness"] = min(1.0, max(0.0, (mean[0, 0] - BLACK) / LUMA_STEPS))
        record["contrast"] = deviation[0, 0] / LUMA_STEPS


def content_scores(hsv: np.ndarray) -> np.ndarray:
    """PySceneDetect's content scores of HSV pictures (frames, H, W, 3 uint8) against the one before; (frames - 1,).

    The same numbers as `ContentDetector` computes at its default weights, from the same sums: mean absolute
    difference of hue, saturation and value, averaged over the three. They cost a tenth of the original.
    """
    pixels = float(hsv.shape[1] * hsv.shape[2])
    sums = np.array([cv2.sumElems(cv2.absdiff(after, before)) for before, after in zip(hsv, hsv[1:])]).reshape(-1, 4)
    scores: np.ndarray = (sums[:, 0] / pixels + sums[:, 1] / pixels + sums[:, 2] / pixels) / 3.0
    return scores


def _correlations(bgr: np.ndarray) -> list[float]:
    """Of the luma histograms of pictures (frames, H, W, 3), each with the one before it."""
    histograms = []
    for picture in bgr:
        luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        counts = cv2.calcHist([luma], [0], None, [_HISTOGRAM_BINS], [0, 256])
        histograms.append(cv2.normalize(counts, counts).flatten())
    pairs = zip(histograms, histograms[1:])
    return [cv2.compareHist(before, after, cv2.HISTCMP_CORREL) for before, after in pairs]
