"""Hard cuts, by PySceneDetect's detectors over the scores of a series.

The detectors are the originals: subclasses only hand them the scores that the pass has noted, which
equal what they would compute from the same pictures. `judged` takes the candidates of the
adaptive detector at low thresholds and judges each by a linear rule of a few measures that also looks
behind a flash and beside a whip pan. The rule's weights come from `benchmarks/fit_rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, HistogramDetector, SceneDetector

from curation.video.series import Series
from curation.video.tiny import all_alike, differ, values

# Candidates of `judged`: the adaptive detector at these values finds every cut of the benchmark.
_LEAST_RATIO = 1.3
_LEAST_CONTENT = 6.0
# The rule: certainty = logistic(bias + weights · measures). See `_measures`.
WEIGHTS = (1.09, 1.40, 1.22, 0.78, -2.18, 1.24)
BIAS = -10.91
CERTAIN = 0.2
_REACH = 3
# Frames before and after, counted from the cut, whose patterns are compared.
_PAIRS = ((0, 0), (1, 1), (0, 2), (2, 0))


def hard_cuts(series: Series, detector: str, threshold: float | None, rate: Fraction, min_frames: int) -> list[int]:
    """Records that begin a new shot, rising.

    Args:
        detector: judged | adaptive | content | histogram.
        threshold: for judged the least certainty, for the others PySceneDetect's; None for the default.
        rate: nominal frames per second; only gives PySceneDetect's frame numbers a clock.
        min_frames: for content and histogram, which report every frame of a burst of motion: two
            reports nearer than this are one cut. A short scene between two cuts of the others is a scene.

    Source of detectors and defaults: PySceneDetect 0.7.
    """
    if detector != "judged":
        scores = series.column("histogram" if detector == "histogram" else "content")
        return _detected(_detector(detector, threshold, min_frames), scores, rate)
    least = CERTAIN if threshold is None else threshold
    return [record for record, measures in candidates(series, rate) if certainty(measures) >= least]


def candidates(series: Series, rate: Fraction) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Every record that may begin a new shot, with the measures that it is judged by."""
    content = series.column("content")
    beside = np.pad(content, 1)
    peaks = np.flatnonzero((content >= _LEAST_CONTENT) & (content >= beside[:-2]) & (content >= beside[2:]))
    for peak in peaks.tolist():
        low = _Adaptive(adaptive_threshold=_LEAST_RATIO, min_content_val=_LEAST_CONTENT, min_scene_len=0)
        around = range(max(0, peak - low.window_width), min(len(content), peak + low.window_width + 1))
        if peak in _detected(low, content[around.start : around.stop], rate, around.start):
            yield peak, _measures(series, content, peak)


def certainty(measures: tuple[float, ...]) -> float:
    """From 0 to 1."""
    return float(1 / (1 + np.exp(-(BIAS + np.dot(WEIGHTS, measures)))))


def _measures(series: Series, content: np.ndarray, record: int) -> tuple[float, ...]:
    """How far a frame stands out: from the change around it, from motion, and behind a flash."""
    around = [content[at] for step in (-2, -1, 1, 2) if 0 <= (at := record + step) < len(content)]
    first = max(0, record - _REACH)
    pixels = values(series.tiny(first, record + _REACH))
    before, after = pixels[: record - first][::-1], pixels[record - first :]
    across = float(np.abs(before[:, None] - after).mean(2).min())
    beside = max(differ(before[0], before[-1]), differ(after[0], after[-1]))
    pairs = np.minimum(_PAIRS, (len(before) - 1, len(after) - 1))
    most_alike = float(all_alike(before[pairs[:, 0]], after[pairs[:, 1]]).max())
    score = max(float(content[record]), 1e-3)
    return (
        min(3.0, float(np.log(score / max(1e-5, float(np.mean(around)))))),
        float(np.log(score)),
        float(np.log1p(across)),
        float(np.log1p(across) - np.log1p(beside)),
        most_alike,
        min(3.0, float(np.log(score / max(1e-3, float(np.max(around)))))),
    )


def _detected(detector: SceneDetector, scores: np.ndarray, rate: Fraction, first: int = 0) -> list[int]:
    """The records that a detector reports, of scores from record `first` on."""
    found = []
    for record, score in enumerate(scores, first):
        found += detector.process_frame(FrameTimecode(record, rate), score)
    found += detector.post_process(FrameTimecode(max(first, first + len(scores) - 1), rate))
    return [cut.frame_num for cut in found]


def _detector(name: str, threshold: float | None, min_frames: int) -> SceneDetector:
    if name == "adaptive":
        return _Adaptive(min_scene_len=0, **({} if threshold is None else {"adaptive_threshold": threshold}))
    given = {"min_scene_len": min_frames} | ({} if threshold is None else {"threshold": threshold})
    return _Content(**given) if name == "content" else _Histogram(**given)


class _Content(ContentDetector):
    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        return float(frame_img)


class _Adaptive(AdaptiveDetector):
    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        return float(frame_img)


class _Histogram(HistogramDetector):
    _last_cut: FrameTimecode | None

    def process_frame(self, timecode: FrameTimecode, frame_img: np.ndarray) -> list[FrameTimecode]:
        if not self._last_cut:
            self._last_cut = timecode
        if float(frame_img) <= self._threshold and timecode - self._last_cut >= self._min_scene_len:
            self._last_cut = timecode
            return [timecode]
        return []
