"""Pictures stand for their clips, and their hashes tell near copies from other pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.video.scan import scan
from curation.video.settings import Settings
from curation.video.thumbnails import Thumbnail, phash, spread
from tests.shots import encode, shot


def _differ(one: int, other: int) -> int:
    """Bits."""
    return (one ^ other).bit_count()


def _luma(seed: int) -> np.ndarray:
    return cv2.cvtColor(shot(seed, 1)[0], cv2.COLOR_RGB2GRAY)


@pytest.mark.parametrize("seed", range(8))
def test_near_copies_have_nearly_the_same_hash(seed: int) -> None:
    luma = _luma(seed)
    coarse = cv2.imdecode(cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_GRAYSCALE)
    copies = [
        coarse,
        cv2.convertScaleAbs(luma, alpha=0.8, beta=30),
        cv2.convertScaleAbs(luma, alpha=1.1),
        cv2.GaussianBlur(luma, (3, 3), 0),
        cv2.resize(luma, (320, 240), interpolation=cv2.INTER_LINEAR),
    ]
    assert max(_differ(phash(luma), phash(copy)) for copy in copies) <= 8


def test_other_pictures_have_other_hashes() -> None:
    hashes = [phash(_luma(seed)) for seed in range(30)]
    apart = [_differ(one, other) for at, one in enumerate(hashes) for other in hashes[:at]]
    assert min(apart) > 12
    assert np.mean(apart) == pytest.approx(32, abs=3)


@given(st.integers(0, 2**32 - 1))
def test_a_hash_fits_64_bits(seed: int) -> None:
    luma = np.random.default_rng(seed).integers(0, 256, (9, 13), np.uint8)
    assert 0 <= phash(luma) < 2**64


def test_a_film_that_was_encoded_again_is_known_by_its_hashes(tmp_path: Path) -> None:
    film = [*shot(1, 50), *shot(2, 50)]
    brighter = [cv2.convertScaleAbs(picture, beta=15) for picture in film]
    fine = scan(encode(tmp_path / "a.mp4", film), Settings(), tmp_path)["clips"]
    poor = scan(encode(tmp_path / "b.mkv", brighter, options={"crf": "33"}), Settings(), tmp_path)["clips"]
    of_fine, of_poor = ([[phash for *_, phash in clip["thumbnails"]] for clip in clips] for clips in (fine, poor))
    for clip, copy, other in zip(of_fine, of_poor, reversed(of_poor)):
        assert all(_differ(one, same) <= 8 for one, same in zip(clip, copy))
        assert all(_differ(one, strange) > 12 for one in clip for strange in other)


@given(
    held=st.lists(st.integers(0, 300), max_size=40, unique=True).map(sorted),
    count=st.integers(1, 16),
    first=st.integers(0, 300),
    length=st.integers(1, 300),
)
def test_pictures_are_chosen_inside_the_clip_in_order(held: list[int], count: int, first: int, length: int) -> None:
    inside = [frame for frame in held if first <= frame < first + length]
    chosen = [one.frame for one in spread([Thumbnail(frame, 0, 1, 0) for frame in held], count, first, first + length)]
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(inside)
    assert len(chosen) <= count
    assert bool(chosen) == bool(inside)


def test_pictures_are_spread_over_the_clip() -> None:
    held = [Thumbnail(frame, 0, 1, 0) for frame in range(0, 400, 4)]
    assert [one.frame for one in spread(held, 3, 100, 220)] == [120, 160, 200]


@pytest.mark.parametrize("frames", [4, 5, 8, 15])
def test_a_clip_of_a_few_frames_has_a_picture_of_its_own(tmp_path: Path, frames: int) -> None:
    film = [*shot(1, 43), *shot(2, frames), *shot(3, 40)]
    clips = scan(encode(tmp_path / "a.mp4", film), Settings())["clips"]
    assert [clip["frames"] for clip in clips] == [43, frames, 40]
    assert all(clip["thumbnails"] for clip in clips)
