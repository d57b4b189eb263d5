"""What a video shows is measured right, so that a model's score says what it has learned."""

from __future__ import annotations

import csv

import av
import numpy as np
import pytest

from benchmarks import shapes
from benchmarks.judged import blended, psnr, ssim
from benchmarks.learns import falls_short, films


@pytest.fixture(scope="module")
def asked() -> list[tuple[str, str, str]]:
    return [(*pair, shape) for pair in shapes.PAIRS for shape in shapes.SHAPES]


@pytest.fixture(scope="module")
def painted(asked: list[tuple[str, str, str]]) -> list[shapes.Video]:
    """What is asked, as small and as few frames as the model makes."""
    rng = np.random.default_rng(5)
    every = [shapes.painted(*one, rng)[::5] for one in asked]
    return [
        np.stack([frame.reshape(16, 4, 16, 4, 3).mean((1, 3)) for frame in film]).astype(np.uint8) for film in every
    ]


def test_painted_truth_is_all_right(asked: list[tuple[str, str, str]], painted: list[shapes.Video]) -> None:
    assert shapes.score([one[:2] for one in asked], painted) == (1.0, 1.0, 1.0)


def test_noise_and_little_light_do_not_mislead(asked: list[tuple[str, str, str]], painted: list[shapes.Video]) -> None:
    rng = np.random.default_rng(6)
    worse = [np.clip(0.8 * film + rng.normal(0, 12, film.shape), 0, 255).astype(np.uint8) for film in painted]
    assert min(shapes.score([one[:2] for one in asked], worse)) > 0.95


def test_captions_of_other_videos_are_right_by_chance(
    asked: list[tuple[str, str, str]], painted: list[shapes.Video]
) -> None:
    rng = np.random.default_rng(7)
    orders = [rng.permutation(len(asked)) for _ in range(8)]
    found = np.mean([shapes.score([asked[n][:2] for n in order], painted) for order in orders], axis=0)
    assert np.allclose(found, shapes.CHANCE, atol=0.05)


def test_what_shows_no_shape_or_no_motion_is_never_right(painted: list[shapes.Video]) -> None:
    rng = np.random.default_rng(8)
    dark, grey = np.zeros((4, 16, 16, 3), np.uint8), np.full((4, 16, 16, 3), 200, np.uint8)
    static = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
    assert [shapes.seen(film) for film in (dark, grey)] == [(None, None)] * 2
    assert shapes.seen(static).direction is None
    assert all(shapes.seen(film[:1].repeat(4, 0)).direction is None for film in painted)
    colours = [shapes.seen(film).colour for film in painted]
    assert [shapes.seen(film[::-1]).colour for film in painted] == colours
    turned = {"left": "right", "right": "left", "up": "down", "down": "up"}
    assert all(shapes.seen(film[::-1]).direction == turned[str(shapes.seen(film).direction)] for film in painted)


def test_held_out_pairs_are_in_no_film_but_their_parts_are() -> None:
    shown = {tuple(text.split()[1:5:3]) for text, _ in films("moving")}
    assert shown == set(shapes.SHOWN) and not shown & set(shapes.HELD_OUT)
    for place in (0, 1):
        assert {pair[place] for pair in shapes.HELD_OUT} <= {pair[place] for pair in shown}
    assert {colour for colour, _ in shapes.HELD_OUT} == set(shapes.COLOURS)
    assert {direction for _, direction in shapes.HELD_OUT} == set(shapes.DIRECTIONS)


def test_films_and_their_table_agree(tmp_path) -> None:
    rng = np.random.default_rng(9)
    clips = [
        (shapes.caption(*one), shapes.painted(*one, rng)) for one in [("red", "up", "ball"), ("blue", "left", "square")]
    ]
    table = shapes.write_films(tmp_path / "films", clips)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["caption"] for row in rows] == ["a red ball moves up", "a blue square moves left"]
    with av.open(str(tmp_path / "films" / rows[0]["uri"])) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    for row in rows:
        part = frames[round(float(row["start"]) * shapes.RATE) : round(float(row["end"]) * shapes.RATE)]
        assert tuple(row["caption"].split()[1:5:3]) == shapes.seen(part)


def test_measures_of_quality_and_what_falls_short() -> None:
    rng = np.random.default_rng(10)
    film = rng.integers(0, 256, (5, 16, 16, 3), np.uint8)
    assert psnr(film, film) == 100 and ssim(film, film) == pytest.approx(1.0)
    assert psnr(np.zeros_like(film), np.full_like(film, 255)) == pytest.approx(0.0)
    assert ssim(film, 255 - film) < 0.1
    keys = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (0, 80, 40)])
    assert blended(keys, 4)[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 70, 60, 50, 40]
    good = {"held_out": {"colour": 0.9, "direction": 0.9, "both": 0.9}}
    psnrs = {"psnr": {"model": 30.0, "repeated": 20.0, "bicubic": 31.0}}
    assert list(falls_short({"base": good, "interpolation": psnrs})) == []
    assert list(falls_short({"vsr": psnrs})) == ["vsr: PSNR is 30.00 dB, no better than bicubic"]
