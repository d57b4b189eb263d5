"""What the views add to frames, by each sample's own draws and the same every time."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import webdataset
from conftest import Clip, write_dataset
from PIL import Image

from curation.errors import UserError
from training.peek import peek
from training.recipe_data import Data, Degradation
from training.stream import batches
from training.stream.clips import Window, distinct, piece
from training.stream.dataset import FrameIndex
from training.stream.degradation import degraded
from training.stream.faults import SampleError
from training.stream.handheld import wander
from training.stream.views import masked


def test_interpolation_gives_every_fourth_of_dense_frames(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "long", [Clip("long", 70, "white")])
    batch = next(batches(str(manifest), view="interpolation", size=(48, 64), batch=1, flip=False))
    assert batch.pixels.shape == (1, 61, 48, 64, 3)
    assert np.flatnonzero(batch.known[0]).tolist() == list(range(0, 61, 4))
    columns = (batch.pixels[0, :, 20].min(axis=-1) > 150).argmax(axis=1)
    assert set(np.diff(columns).tolist()) <= {1, -47}  # one frame after the other
    assert batch.fps[0] == pytest.approx(24)


def test_super_resolution_gets_patches_with_small_spoilt_copies(dataset: Path) -> None:
    def first(**more: object) -> object:
        return next(batches(str(dataset), view="vsr", size=(32, 32), frames=3, batch=4, **more))

    batch = first()
    assert batch.pixels.shape == (4, 3, 32, 32, 3) and batch.low.shape == (4, 3, 8, 8, 3)
    assert len(set(batch.noise_level.tolist())) > 1 and 0 <= batch.noise_level.min() <= batch.noise_level.max() <= 350
    means = batch.pixels.mean((2, 3, 4)), batch.low.mean((2, 3, 4))
    assert np.abs(means[0] - means[1]).max() < 12
    again = first(threads=0)
    assert np.array_equal(batch.low, again.low) and np.array_equal(batch.noise_level, again.noise_level)


def test_patches_are_cut_at_the_resolution_of_the_clip(tmp_path: Path) -> None:
    """A square of 16 pixels stays one of 16 pixels, also where the patch is smaller than the picture."""
    manifest = write_dataset(tmp_path / "one", [Clip("one", 40, "white")])
    stream = batches(str(manifest), view="vsr", size=(40, 40), frames=1, batch=8)
    widths = {int((picture[20].min(axis=-1) > 150).sum()) for picture in next(stream).pixels[:, 0]}
    assert max(widths) <= 17 and max(widths) >= 15


def test_images_become_clips_of_a_wandering_window(tmp_path: Path) -> None:
    """Every place in the picture has a value of its own, so each frame tells where it was cut."""
    down, right = np.mgrid[:96, :120].astype(np.uint8)
    picture = np.stack([2 * down, 2 * right, np.zeros_like(down)], axis=-1)
    with webdataset.TarWriter(str(tmp_path / "00000.tar")) as tar:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PNG")
        tar.write({"__key__": "picture", "png": out.getvalue(), "txt": "a slope"})
    data = {"view": "vsr", "size": (32, 32), "frames": 8, "flip": False, "cache_dir": str(tmp_path / "cache")}
    made = next(batches(str(tmp_path / "00000.tar"), batch=4, handheld=3.0, **data)).pixels
    corners = made[:, :, 0, 0, :2].astype(int) // 2
    for clip, places in zip(made, corners):
        for frame, (top, left) in zip(clip, places):
            assert np.array_equal(frame, picture[top : top + 32, left : left + 32])
    steps = np.abs(np.diff(corners, axis=1))
    assert 0 < steps.mean() < 8 and len(np.unique(corners[:, 0], axis=0)) == 4
    with pytest.raises(UserError, match="it has no clips, only 1 images"):
        next(batches(str(tmp_path / "00000.tar"), **data))
    with pytest.raises(UserError, match="set images, the single frames, to 0"):
        next(batches(str(tmp_path / "00000.tar"), handheld=3.0, images=4, **data))


def test_a_window_that_reaches_the_border_turns_back() -> None:
    picture, out = np.arange(40, dtype=np.uint8).reshape(5, 8, 1).repeat(3, axis=2), np.empty((60, 5, 6, 3), np.uint8)
    wander(picture, out, Window(0.5, 0.5, False), speed=2.0, rng=np.random.default_rng(0))
    assert set(out[:, 0, 0, 0].tolist()) == {0, 1, 2}


def test_degradation_loses_detail_and_keeps_colours() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    picture[:, :, :32] = (200, 40, 40)
    small = degraded(picture, Degradation(noise=(1, 2), jpeg=(90, 95)), np.random.default_rng(1))
    assert small.shape == (2, 16, 16, 3)
    assert np.abs(small[:, :, :6].mean((0, 1, 2)) - (200, 40, 40)).max() < 12
    assert not np.array_equal(small[0], small[1])  # noise is new in every frame


@pytest.mark.parametrize(("known", "given"), [("none", {0}), ("first", {1})])
def test_known_frames_are_those_that_the_recipe_asks_for(dataset: Path, known: str, given: set[int]) -> None:
    batch = next(batches(str(dataset), frames=4, stride=2, size=(16, 24), images=1, known=known))
    assert set(batch.known.sum(axis=1).tolist()) == given and not batch.known[:, 1:].any()


def test_masks_are_of_all_kinds() -> None:
    masks = [masked(16, np.random.default_rng(seed)) for seed in range(200)]
    assert {tuple(mask) for mask in masks} > {(False,) * 16}
    assert any(mask[0] and not mask[-1] for mask in masks) and any(mask[-1] and not mask[0] for mask in masks)
    assert all(mask.shape == (16,) for mask in masks)


def index(times_ms: list[int]) -> FrameIndex:
    return FrameIndex(times_ms, Fraction(1, 1000), [0])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_frames_are_chosen_by_time_where_the_rate_varies() -> None:
    """Half of the clip has 50 frames a second, half has 10."""
    uneven = index([*range(0, 2000, 20), *range(2000, 4001, 100)])
    for seed in range(20):
        taken = piece(uneven, 12, Data(url="x", fps=5.0), rng(seed))
        seconds = np.diff([uneven.pts[frame] / 1000 for frame in taken.frames])
        assert np.abs(seconds - 0.2).max() <= 0.1 and taken.fps == pytest.approx(5.0, rel=0.05)


def test_a_clip_of_fewer_frames_a_second_than_asked_for_gives_each_once() -> None:
    taken = piece(index(list(range(0, 4000, 125))), 16, Data(url="x", fps=(10.0, 30.0)), rng())
    assert np.diff(taken.frames).tolist() == [1] * 15 and taken.fps == pytest.approx(8.0)


def test_a_range_of_rates_and_strides_is_drawn_from() -> None:
    clip = index(list(range(0, 8000, 20)))
    rates = [piece(clip, 16, Data(url="x", fps=(5.0, 25.0)), rng(seed)).fps for seed in range(50)]
    assert min(rates) > 4.8 and max(rates) < 26 and max(rates) - min(rates) > 15
    strides = {int(np.diff(piece(clip, 16, Data(url="x", stride=(2, 5)), rng(seed)).frames)[0]) for seed in range(50)}
    assert strides == {2, 3, 4, 5}
    assert {
        int(np.diff(piece(index(list(range(50))), 16, Data(url="x", stride=(2, 5)), rng(s)).frames)[0])
        for s in range(20)
    } == {2, 3}


def test_a_clip_that_is_too_short_is_unfit() -> None:
    for data in (Data(url="x", stride=4), Data(url="x", fps=2.0)):
        with pytest.raises(SampleError) as error:
            piece(index(list(range(0, 1000, 20))), 16, data, rng())
        assert error.value.fault == "unfit"


def test_windows_reach_every_place() -> None:
    picture = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7, 1).repeat(3, axis=2)
    corners, out = set(), np.empty((4, 5, 3), np.uint8)
    for seed in range(100):
        Window.drawn(rng(seed), flip=False).cut(picture, out)
        corners.add(int(out[0, 0, 0]))
    assert corners == {0, 1, 2, 7, 8, 9}
    assert distinct([3, 3, 5, 9, 9]) == ([3, 5, 9], [0, 0, 1, 2, 2])


@pytest.mark.parametrize("view", ["base", "interpolation", "vsr"])
def test_peek_writes_pictures_of_the_batches(dataset: Path, tmp_path: Path, view: str) -> None:
    small = ["data.size=[32, 32]", "data.frames=5", "data.stride=1"]
    paths = peek(str(dataset), small, view=view, out=str(tmp_path / "sheets"), batches=2, batch=2)
    assert [path.name for path in paths] == ["batch-000.png", "batch-001.png"]
    sheets = [np.asarray(Image.open(path)) for path in paths]
    ground = (24, 24, 27)
    assert all((sheet[40:160, 10:150] != ground).any(axis=-1).mean() > 0.9 for sheet in sheets)
    assert not np.array_equal(*(sheet[:300, :640] for sheet in sheets))
    known = (sheets[0] == (90, 200, 120)).all(axis=-1).any()
    assert known == (view == "interpolation")


def test_peek_takes_a_recipe_and_tells_mistakes(dataset: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.png"
    assert peek(str(recipe), [f"data.url={dataset}"], out=str(out)) == [out]
    with pytest.raises(UserError, match="data.view: must be 'base', 'interpolation' or 'vsr'"):
        peek(str(dataset), view="other", out=str(out))
    with pytest.raises(UserError, match="--out: cannot write"):
        peek(str(dataset), ["data.frames=4"], out="/proc/nowhere/x.png")
