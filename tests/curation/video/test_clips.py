"""Every frame of a film is in exactly one row, or counted as left off."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.video.clips import SCENE, Stretch, as_given, pieces, row, stretches
from curation.video.gradual import Transition
from curation.video.scan import scan
from curation.video.series import FRAME, Series, SeriesWriter
from curation.video.settings import Settings
from tests.shots import encode, shot

KINDS = ("dissolve", "fade", "wipe")


@st.composite
def films(draw: st.DrawFn) -> tuple[int, list[int], list[Transition]]:
    """Frames, cuts and transitions in any relation, but that transitions do not overlap."""
    frames = draw(st.integers(1, 500))
    cuts = draw(st.lists(st.integers(0, 510), max_size=8).map(sorted))
    edges = draw(st.lists(st.integers(0, frames), max_size=8, unique=True).map(sorted))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=4, max_size=4))
    return frames, cuts, [Transition(*edge, kind) for edge, kind in zip(zip(edges[::2], edges[1::2]), kinds)]


@given(film=films(), trim=st.integers(0, 30), seconds=st.floats(0.01, 60), min_frames=st.integers(1, 40))
def test_every_frame_is_in_one_row_or_left_off(
    film: tuple[int, list[int], list[Transition]], trim: int, seconds: float, min_frames: int
) -> None:
    frames, cuts, transitions = film
    found = [
        piece
        for stretch in stretches(frames, cuts, transitions)
        for piece in pieces(
            stretch, (stretch.end - stretch.first) / 25, trim=trim, max_seconds=seconds, min_frames=min_frames
        )
    ]
    assert sum(piece.end - piece.first + piece.trimmed for piece in found) == frames
    assert all(piece.first < piece.end for piece in found)
    assert all(before.end <= after.first for before, after in pairwise(found))
    if trim == 0:
        assert (found[0].first, found[-1].end) == (0, frames)
        assert all(before.end == after.first for before, after in pairwise(found))
    assert [(piece.first, piece.end, piece.kind) for piece in found if piece.kind != SCENE] == [
        (transition.first, transition.end, transition.kind) for transition in transitions
    ]
    inside = {frame for transition in transitions for frame in range(transition.first + 1, transition.end)}
    for cut in cuts:
        if 0 < cut < frames and cut not in inside:
            assert not any(piece.first < cut < piece.end for piece in found)
    keys = [(piece.scene, piece.piece) for piece in found]
    assert keys == sorted(set(keys))
    assert {scene for scene, _ in keys} == set(range(found[-1].scene + 1))


@given(
    frames=st.integers(1, 5000),
    trim=st.integers(0, 50),
    max_seconds=st.floats(0.05, 300),
    min_frames=st.integers(1, 60),
)
def test_a_long_scene_is_divided_evenly_and_never_into_too_short_pieces(
    frames: int, trim: int, max_seconds: float, min_frames: int
) -> None:
    scene = Stretch(10, 10 + frames, SCENE, 3)
    found = list(pieces(scene, frames / 25, trim=trim, max_seconds=max_seconds, min_frames=min_frames))
    lengths = [piece.end - piece.first for piece in found]
    left = frames - 2 * trim if frames - 2 * trim >= min_frames else frames
    assert sum(lengths) == left
    assert sum(piece.trimmed for piece in found) == frames - left
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == 1 or min(lengths) >= min_frames
    assert [(piece.scene, piece.piece) for piece in found] == [(3, number) for number in range(len(found))]
    # No more pieces than needed; none too long, but where they would get too short.
    assert len(found) == 1 or left / 25 > (len(found) - 1) * max_seconds - 1e-6
    assert left // len(found) / 25 <= max_seconds + 1e-6 or left // (len(found) + 1) < min_frames


@pytest.mark.parametrize("kind", KINDS)
def test_a_transition_is_one_row_as_it_is(kind: str) -> None:
    stretch = Stretch(10, 500, kind, 1)
    assert list(pieces(stretch, 20, trim=5, max_seconds=1, min_frames=16)) == [stretch]


def test_trimming_leaves_short_scenes_whole(tmp_path: Path) -> None:
    film = [*shot(1, 40), *shot(2, 20), *shot(3, 27), *shot(4, 50)]
    found = scan(encode(tmp_path / "a.mp4", film), Settings(trim_frames=5, min_frames=16))
    assert [(clip["first_frame"], clip["frames"], clip["trimmed"]) for clip in found["clips"]] == [
        (5, 30, 10),
        (40, 20, 0),
        (65, 17, 10),
        (92, 40, 10),
    ]
    assert found["clips"][0]["start_pts"] * 25 == 5 * int(found["time_base"].split("/")[1])


def _series(path: Path, **columns: list[float]) -> Series:
    records = np.zeros(len(next(iter(columns.values()))), FRAME)
    records["pts"] = np.arange(len(records))
    for name, values in columns.items():
        records[name] = values
    with SeriesWriter(path) as writer:
        writer.extend(records)
    return Series([path])


def _row(series: Series, first: int, end: int) -> dict:
    return row(Stretch(first, end, SCENE, 0), series, series.column("pts"), len(series), [], 3)


def test_measures_of_a_clip_look_at_no_frame_outside(tmp_path: Path) -> None:
    nan = float("nan")
    series = _series(
        tmp_path / "a",
        content=[0.0, 0.0, 40.0, 0.0, 5.0, 0.05, 50.0, 0.0],
        brightness=[0.9, 0.9, 0.01, 0.01, 0.3, 0.3, 0.9, 0.9],
        contrast=[0.2, 0.2, 0.01, 0.2, 0.2, 0.2, 0.2, 0.2],
        motion=[9.0, 9.0, 0.5, nan, 0.25, 8.0, 9.0, 9.0],
        sharpness=[9.0, nan, nan, 100.0, nan, 200.0, 9.0, 9.0],
    )
    clip = _row(series, 2, 6)
    # The first frame's score compares it with a frame outside, and the last one's motion leads to one.
    assert clip["frozen"] == pytest.approx(2 / 3)
    assert clip["motion"] == pytest.approx(0.375)
    assert clip["sharpness"] == 150
    assert clip["black"] == 0.25
    assert clip["brightness"] == pytest.approx(0.155)
    assert (clip["start_pts"], clip["end_pts"], clip["frames"]) == (2, 6, 4)


def test_a_single_frame_has_no_share_of_repeated_ones(tmp_path: Path) -> None:
    series = _series(tmp_path / "a", content=[0.0, 3.0], brightness=[0.0, 0.5], motion=[1.0, 1.0])
    clip = _row(series, 0, 1)
    assert clip["frozen"] is None and clip["motion"] is None
    assert clip["black"] == 1.0


def test_black_and_frozen_are_shares_of_a_real_film(tmp_path: Path) -> None:
    moving = shot(1, 60)
    black = [np.full_like(moving[0], 2)] * 20
    film = [*moving, *[moving[-1]] * 40, *shot(2, 30), *black]
    clips = scan(encode(tmp_path / "a.mp4", film), Settings(gradual=False))["clips"]
    assert [clip["frames"] for clip in clips] == [100, 30, 20]
    # The encoder needs a few frames to draw the grain of the last picture.
    assert clips[0]["frozen"] == pytest.approx(0.4, abs=0.06)
    assert [clip["black"] for clip in clips] == [0, 0, 1]
    assert clips[1]["frozen"] == 0


TIMES = np.arange(101) / 25


@pytest.mark.parametrize(
    ("ranges", "wanted", "empty"),
    [
        ([[0.0, 1.0], [1.0, 4.0]], [(0, 25, "scene"), (25, 100, "scene")], 0),
        ([[0.019, 1.021]], [(0, 26, "scene"), (26, 100, "outside")], 0),  # rounded to the nearest frames
        ([[0.5, 2.0], [1.0, 3.0]], [(0, 12, "outside"), (12, 50, "scene"), (50, 75, "scene"), (75, 100, "outside")], 0),
        ([[3.9, 9.0], [10.0, 12.0]], [(0, 97, "outside"), (97, 100, "scene")], 1),
        ([[1.0, 1.01]], [(0, 100, "outside")], 1),
        ([], [(0, 100, "outside")], 0),
    ],
)
def test_given_ranges_divide_a_film_at_the_nearest_frames(
    ranges: list[list[float]], wanted: list[tuple[int, int, str]], empty: int
) -> None:
    found, none = as_given(TIMES, ranges)
    assert [(one.first, one.end, one.kind) for one in found] == wanted
    assert none == empty
    assert [one.scene for one in found] == list(range(len(found)))
