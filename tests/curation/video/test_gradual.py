"""Dissolves, fades and wipes become rows of their own, and clips keep clear of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from curation.video.scan import scan
from curation.video.settings import Settings
from tests.shots import Pictures, dissolve, encode, fade, shot, wipe

Blend = Callable[[Pictures, Pictures], Pictures]
START = 50


def _joined(seed: int, frames: int, blend: Blend, *, start: int = START) -> Pictures:
    """Two shots that share so many frames."""
    before, after = shot(seed, start + frames), shot(seed + 100, frames + 60)
    return [*before[:start], *blend(before[start:], after[:frames]), *after[frames:]]


def _ranges(found: dict[str, Any]) -> list[tuple[int, int, str]]:
    """Rows that are no scenes."""
    return [
        (clip["first_frame"], clip["first_frame"] + clip["frames"], clip["kind"])
        for clip in found["clips"]
        if clip["kind"] != "scene"
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("blend", "frames", "near"),
    [
        (dissolve, 6, 1),
        (dissolve, 12, 1),
        (dissolve, 24, 1),
        (dissolve, 48, 2),
        (fade, 12, 1),
        (fade, 24, 1),
        (wipe, 6, 1),
        (wipe, 12, 2),
        (wipe, 24, 2),
    ],
)
def test_a_transition_is_one_row_from_its_first_frame_to_its_last(
    tmp_path: Path, blend: Blend, frames: int, near: int, seed: int
) -> None:
    found = scan(encode(tmp_path / "a.mp4", _joined(seed, frames, blend)), Settings())
    ((first, end, kind),) = _ranges(found)
    assert kind == blend.__name__
    assert abs(first - START) <= near and abs(end - START - frames) <= near
    assert [clip["kind"] for clip in found["clips"]] == ["scene", kind, "scene"]
    assert found["cuts"] == []
    assert [clip["scene"] for clip in found["clips"]] == [0, 1, 2]


@pytest.mark.parametrize("frames", [40, 60, 75])
def test_no_clip_holds_a_long_fade(tmp_path: Path, frames: int) -> None:
    found = scan(encode(tmp_path / "a.mp4", _joined(1, frames, fade)), Settings())
    long_ones = [clip for clip in found["clips"] if clip["kind"] == "scene" and clip["frames"] >= 16]
    before, after = long_ones
    assert abs(before["first_frame"] + before["frames"] - START) <= 3
    assert abs(after["first_frame"] - START - frames) <= 3


def test_transitions_one_after_the_other_and_cuts_between_are_kept_apart(tmp_path: Path) -> None:
    film = [*_joined(1, 16, dissolve), *_joined(2, 12, fade), *shot(3, 30), *_joined(4, 10, wipe, start=30)]
    found = scan(encode(tmp_path / "a.mp4", film), Settings())
    assert [kind for *_, kind in _ranges(found)] == ["dissolve", "fade", "wipe"]
    assert found["cuts"] == [126, 248, 278]
    starts = [first for first, *_ in _ranges(found)]
    assert all(abs(first - true) <= 2 for first, true in zip(starts, [50, 176, 308]))
    assert sum(clip["frames"] for clip in found["clips"]) == len(film)


@pytest.mark.parametrize(("lead", "tail"), [(4, 60), (60, 4)])
def test_a_transition_may_be_near_either_end(tmp_path: Path, lead: int, tail: int) -> None:
    before, after = shot(1, lead + 12), shot(2, 12 + tail)
    film = [*before[:lead], *dissolve(before[lead:], after[:12]), *after[12:]]
    ((first, end, _),) = _ranges(scan(encode(tmp_path / "a.mp4", film), Settings()))
    assert abs(first - lead) <= 1 and abs(end - lead - 12) <= 1


def test_transitions_are_not_looked_for_where_they_are_not_wanted(tmp_path: Path) -> None:
    found = scan(encode(tmp_path / "a.mp4", _joined(1, 24, dissolve)), Settings(gradual=False))
    assert [clip["kind"] for clip in found["clips"]] == ["scene"]


@pytest.mark.parametrize("seed", range(4))
def test_a_light_that_goes_on_slowly_is_no_transition(tmp_path: Path, seed: int) -> None:
    film = shot(seed, 100, pan=0)
    for number, picture in enumerate(film):
        share = min(1.0, max(0.0, (number - 35) / 30))
        picture[:] = cv2.convertScaleAbs(picture, alpha=0.45 + 0.55 * share)
    assert _ranges(scan(encode(tmp_path / "a.mp4", film), Settings())) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("camera", [{"pan": 0.0}, {"pan": 0.05}, {"pan": 0.0, "zoom": 0.001}])
def test_a_calm_camera_is_no_transition(tmp_path: Path, camera: dict[str, float], seed: int) -> None:
    assert _ranges(scan(encode(tmp_path / "a.mp4", shot(seed, 100, **camera)), Settings())) == []
