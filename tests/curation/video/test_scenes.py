"""Cuts are found at their frames, by stock detectors as they are and by ours where they fail."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, HistogramDetector, SceneDetector, StatsManager

from curation.video.decode import Decoder
from curation.video.measure import content_scores
from curation.video.probe import header, opened
from curation.video.scan import measure, scan
from curation.video.scenes import hard_cuts
from curation.video.series import Series
from curation.video.settings import Settings
from curation.video.small import Shrinker
from tests.shots import Pictures, dissolve, encode, shot

RATE = Fraction(25)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts near each other and at both ends, a flash, a whip pan, a dissolve, a frozen picture."""
    shots = [shot(seed, frames, pan=pan) for seed, frames, pan in [(1, 2, 0), (2, 40, 1), (3, 9, 9), (4, 50, 0.3)]]
    still, whip, last = shot(5, 1) * 30, shot(6, 40, pan=7), shot(7, 60)
    still[12] = np.full_like(still[0], 255)
    joined = [*whip[:25], *dissolve(whip[25:], last[:15]), *last[15:]]
    film = [picture for one in (*shots, still, joined, shot(8, 1)) for picture in one]
    return encode(tmp_path_factory.mktemp("busy") / "a.mp4", film)


def _small(path: Path) -> Iterator[np.ndarray]:
    """The frames of a film (H, W, 3) BGR as they are measured."""
    with opened(path) as (container, stream):
        shrinker = None
        for _, frame in Decoder(container, stream).frames():
            shrinker = shrinker or Shrinker(header(stream, frame))
            small = np.zeros((1, shrinker.values), np.uint8)
            shrinker.shrink(frame, small[0])
            yield shrinker.looks(small).bgr[0]


def _stock(path: Path, detector: SceneDetector) -> list[int]:
    found, number = [], 0
    for number, picture in enumerate(_small(path)):
        found += detector.process_frame(FrameTimecode(number, RATE), picture)
    found += detector.post_process(FrameTimecode(number, RATE))
    return [cut.frame_num for cut in found]


def _series(path: Path, folder: Path) -> Series:
    part = measure(path, Settings(detector="histogram"), folder / "whole")
    return Series([Path(part["series"])])


@pytest.mark.parametrize("threshold", [None, 1.5, 2.0, 6.0])
def test_adaptive_is_the_stock_detector(busy: Path, tmp_path: Path, threshold: float | None) -> None:
    options = {} if threshold is None else {"adaptive_threshold": threshold}
    stock = _stock(busy, AdaptiveDetector(min_scene_len=0, **options))
    assert hard_cuts(_series(busy, tmp_path), "adaptive", threshold, RATE, 16) == stock
    assert stock


@pytest.mark.parametrize("min_frames", [1, 16])
@pytest.mark.parametrize("threshold", [None, 8.0, 20.0, 40.0])
def test_content_is_the_stock_detector(busy: Path, tmp_path: Path, threshold: float | None, min_frames: int) -> None:
    options = {} if threshold is None else {"threshold": threshold}
    stock = _stock(busy, ContentDetector(min_scene_len=min_frames, **options))
    assert hard_cuts(_series(busy, tmp_path), "content", threshold, RATE, min_frames) == stock
    assert stock


@pytest.mark.parametrize("min_frames", [1, 16])
@pytest.mark.parametrize("threshold", [None, 0.02, 0.5])
def test_histogram_is_the_stock_detector(busy: Path, tmp_path: Path, threshold: float | None, min_frames: int) -> None:
    options = {} if threshold is None else {"threshold": threshold}
    stock = _stock(busy, HistogramDetector(bins=128, min_scene_len=min_frames, **options))
    assert hard_cuts(_series(busy, tmp_path), "histogram", threshold, RATE, min_frames) == stock
    assert stock


def test_content_scores_are_the_stock_ones_to_the_last_bit(busy: Path, tmp_path: Path) -> None:
    detector, stats = ContentDetector(), StatsManager()
    detector.stats_manager = stats
    stats.register_metrics(detector.get_metrics())
    _stock(busy, detector)
    ours = _series(busy, tmp_path).column("content")
    stock = [stats.get_metrics(FrameTimecode(number, RATE), ["content_val"])[0] for number in range(len(ours))]
    assert [float(score) for score in ours[1:]] == stock[1:]


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(8, 130), height=st.integers(8, 80), spread=st.integers(1, 255))
def test_content_score_is_the_stock_one_for_any_pictures(seed: int, width: int, height: int, spread: int) -> None:
    pictures = np.random.default_rng(seed).integers(0, spread, (2, height, width, 3), np.uint8)
    detector = ContentDetector()
    for number, picture in enumerate(pictures):
        detector.process_frame(FrameTimecode(number, RATE), picture)
    hsv = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2HSV) for picture in pictures])
    assert content_scores(hsv).tolist() == [detector._frame_score]


def _found(tmp_path: Path, film: Pictures, **settings: object) -> tuple[list[int], list[dict]]:
    found = scan(encode(tmp_path / "a.mp4", film), Settings(**settings))
    return found["cuts"], found["transitions"]


@pytest.mark.parametrize("detector", ["judged", "adaptive", "content", "histogram"])
@pytest.mark.parametrize("seed", [10, 20, 30])
def test_plain_cuts_are_found_to_the_frame_by_every_detector(tmp_path: Path, detector: str, seed: int) -> None:
    film = [*shot(seed, 37), *shot(seed + 1, 50), *shot(seed + 2, 28)]
    assert _found(tmp_path, film, detector=detector) == ([37, 87], [])


@pytest.mark.parametrize("options", [{"crf": "38"}, {"crf": "23", "bf": "4", "g": "300", "sc_threshold": "0"}])
def test_cuts_are_found_to_the_frame_however_the_film_was_encoded(tmp_path: Path, options: dict[str, str]) -> None:
    lengths = [20, 5, 33, 3, 40, 21]
    film = [picture for seed, length in enumerate(lengths) for picture in shot(seed, length, pan=0.5)]
    path = encode(tmp_path / "a.mp4", film, options={"preset": "veryfast", **options})
    assert scan(path, Settings())["cuts"] == np.cumsum(lengths[:-1]).tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("frames", [1, 2])
def test_a_flash_is_no_cut(tmp_path: Path, frames: int, seed: int) -> None:
    film = shot(seed, 80)
    for number in range(40, 40 + frames):
        film[number] = cv2.convertScaleAbs(film[number], alpha=0.3, beta=170)
    assert _found(tmp_path, film) == ([], [])


@pytest.mark.parametrize("seed", range(4))
def test_a_subtitle_is_no_cut(tmp_path: Path, seed: int) -> None:
    film = shot(seed, 80)
    for picture in film[30:60]:
        cv2.putText(picture, "What is it?", (24, 86), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
    assert _found(tmp_path, film) == ([], [])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "camera", [{"pan": 0.0}, {"pan": 1.5}, {"pan": 0.0, "zoom": 0.001}, {"pan": 0.0, "zoom": -0.001}]
)
def test_a_slow_camera_is_no_cut(tmp_path: Path, camera: dict[str, float], seed: int) -> None:
    assert _found(tmp_path, shot(seed, 100, **camera), gradual=False) == ([], [])
