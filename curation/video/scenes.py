"""Cuts from PySceneDetect's detectors, fed frame by frame, and the division of long scenes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, HistogramDetector, SceneDetector

# Frames are brought to this width before detection, as PySceneDetect's own scene manager does.
ANALYSIS_WIDTH = 256


class CutFinder:
    """Finds hard cuts while frames stream by.

    Args:
        detector: adaptive | content | histogram.
        threshold: the detector's threshold, or None for PySceneDetect's default.
        rate: nominal frames per second; only gives PySceneDetect's frame numbers a clock.

        min_frames: for content and histogram, which report every frame of a burst of motion: two
            reports nearer than this are one cut.

    Source of detectors and defaults: PySceneDetect 0.7. For adaptive, whose peaks are single frames,
    the minimum scene length is switched off: it would hide a cut inside a clip, while here a short
    scene becomes a row and is dropped with a reason.
    """

    def __init__(self, detector: str, threshold: float | None, rate: Fraction, min_frames: int):
        self._detector = _detector(detector, threshold, min_frames)
        self._rate = rate
        self._frames = 0

    @property
    def lag(self) -> int:
        """How many frames behind the newest one a cut may be reported."""
        return int(self._detector.event_buffer_length)

    def feed(self, bgr: np.ndarray) -> list[int]:
        """Take the next frame (H, W, 3 uint8, BGR); numbers of frames that begin a scene."""
        time = FrameTimecode(self._frames, self._rate)
        self._frames += 1
        return [cut.frame_num for cut in self._detector.process_frame(time, bgr)]

    def finish(self) -> list[int]:
        """Cuts that the detector only knows at the end."""
        last = FrameTimecode(max(0, self._frames - 1), self._rate)
        return [cut.frame_num for cut in self._detector.post_process(last)]


def _detector(name: str, threshold: float | None, min_frames: int) -> SceneDetector:
    given: dict[str, Any] = {"min_scene_len": 0 if name == "adaptive" else min_frames}
    if threshold is not None:
        given["adaptive_threshold" if name == "adaptive" else "threshold"] = threshold
    kinds: dict[str, type[SceneDetector]] = {
        "adaptive": AdaptiveDetector,
        "content": ContentDetector,
        "histogram": HistogramDetector,
    }
    return kinds[name](**given)


def divided(start: int, end: int, seconds: float, *, max_seconds: float, min_frames: int) -> list[tuple[int, int]]:
    """Frames [start, end) of a scene as even pieces of at most `max_seconds`, none under `min_frames`.

    A scene within the limit is one piece. Pieces differ by one frame at most and cover every frame.
    """
    frames = end - start
    pieces = max(1, -int(-seconds // max_seconds))
    pieces = max(1, min(pieces, frames // min_frames))
    edges = [start + frames * piece // pieces for piece in range(pieces + 1)]
    return list(zip(edges, edges[1:]))
