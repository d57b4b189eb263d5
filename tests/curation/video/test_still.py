"""Images are seen as they are meant to be, and end as upright JPEGs; bad ones cost their own row."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.video import still
from curation.video.jail import Jail
from curation.video.jpeg import stripped
from curation.video.probe import MediaError
from tests import pictures

GOOD, BAD = pictures.good(), pictures.bad()
PLAIN = ("plain.jpg", "progressive.jpg", "grey.jpg")
_LUMA_ONLY = ("grey.jpg", "grey16.png")


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = Jail(4096)
    yield jail
    jail.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, data in GOOD.items():
        (folder / name).write_bytes(data)
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    return folder


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = float(np.mean((first.astype(float) - second.astype(float)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def read(data: bytes) -> np.ndarray:
    """As a plain reader sees it, that heeds neither EXIF nor profiles."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert picture is not None
    return np.asarray(picture[..., ::-1])


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_image_shows_the_same_scene(folder: Path, jail: Jail, tmp_path: Path, name: str) -> None:
    found = jail.call("look", folder / name, 60, size=64)
    assert (found["width"], found["height"]) == (96, 64)
    target = tmp_path / "a.jpg"
    index = jail.call("cut_image", folder / name, 60, target=str(target), short_side=None, quality=95)
    assert index == jail.call("index_image", target, 60) | {"cut": "copy" if name in PLAIN else "encode"}
    assert (index["width"], index["height"], index["frames"], index["frame_pts"]) == (96, 64, 1, [0])
    truth = np.asarray(pictures.scene())
    if name in _LUMA_ONLY:
        truth = np.asarray(pictures.scene().convert("L").convert("RGB"))
    if name != "lines.png":  # black and white, which no number tells apart from noise
        assert psnr(read(target.read_bytes()), truth) > 24
        assert psnr(read(found["thumbnail"]), truth) > 24
        assert found["brightness"] == pytest.approx(
            float(pictures.scene().convert("L").resize((1, 1)).getpixel((0, 0))) / 255, abs=0.03
        )
    assert (found["warning"] is not None) == name.startswith("moving")
    assert found["black"] == 0.0


@pytest.mark.parametrize("name", BAD)
def test_bad_image_is_refused_with_the_reason(folder: Path, jail: Jail, name: str) -> None:
    with pytest.raises(MediaError, match=BAD[name][1]):
        jail.call("look", folder / name, 60, size=64)
    with pytest.raises(MediaError, match=BAD[name][1]):
        jail.call("cut_image", folder / name, 60, target=str(folder / "none.jpg"), short_side=32, quality=95)
    assert not (folder / "none.jpg").exists()


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(pictures.transparent(format_))
    still.cut(path, str(tmp_path / "a.jpg"), None, 95)
    seen = read((tmp_path / "a.jpg").read_bytes())
    assert seen[:, :40].min() > 245
    assert psnr(seen[:, 56:], np.asarray(pictures.scene())[:, 56:]) > 30


def test_colours_of_another_profile_become_srgb(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(pictures.of_another_profile())
    still.cut(path, str(tmp_path / "a.jpg"), None, 95)
    assert psnr(read((tmp_path / "a.jpg").read_bytes()), np.asarray(pictures.scene())) > 30
    broken = pictures.saved(pictures.scene(), "PNG", icc_profile=b"no profile")
    path.write_bytes(broken)
    assert still.look(path, 64)["warning"] == "its colour profile cannot be used"


@pytest.mark.parametrize("name", PLAIN)
def test_plain_jpeg_keeps_its_data_to_the_bit(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "a.jpg"
    still.cut(folder / name, str(target), 64, 50)
    assert np.array_equal(read(target.read_bytes()), read(GOOD[name]))
    if name == "plain.jpg":
        assert target.read_bytes() == GOOD[name]


def test_metadata_stays_behind(tmp_path: Path) -> None:
    for number in (1, 6):
        path, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
        path.write_bytes(pictures.turned(number) + b"a second picture behind the first")
        still.cut(path, str(target), None, 95)
        made = target.read_bytes()
        assert b"a camera of mine" in path.read_bytes()
        assert b"camera" not in made and b"Exif" not in made and b"second" not in made
        with Image.open(io.BytesIO(made)) as image:
            assert not image.getexif()


@pytest.mark.parametrize(("short_side", "size"), [(32, (48, 32)), (64, (96, 64)), (500, (96, 64))])
def test_images_are_scaled_down_and_never_up(
    folder: Path, tmp_path: Path, short_side: int, size: tuple[int, int]
) -> None:
    index = still.cut(folder / "turned6.jpg", str(tmp_path / "a.jpg"), short_side, 95)
    assert (index["width"], index["height"]) == size


def test_large_jpeg_is_unpacked_small_and_looks_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(pictures.saved(pictures.scene(2400, 1600), "JPEG", quality=95))
    still.cut(path, str(tmp_path / "b.jpg"), 160, 95)
    truth = np.asarray(pictures.scene(2400, 1600).resize((240, 160), Image.Resampling.LANCZOS))
    assert psnr(read((tmp_path / "b.jpg").read_bytes()), truth) > 34


def test_black_picture_is_told(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert still.look(tmp_path / "a.png", 64)["black"] == 1.0


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(GOOD)), seed=st.integers(0, 2**32 - 1), cut=st.booleans())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_images_are_read_or_refused(tmp_path: Path, name: str, seed: int, cut: bool) -> None:
    chance = np.random.default_rng(seed)
    data = bytearray(GOOD[name])
    for at in chance.integers(0, len(data), chance.integers(1, 12)):
        data[at] = chance.integers(256)
    path = tmp_path / "a"
    path.write_bytes(data[: chance.integers(len(data))] if cut else data)
    try:
        found = still.look(path, 32)
    except MediaError:
        return
    assert 0 < found["width"] <= 65_500 and 0 <= found["brightness"] <= 1


@settings(max_examples=200)
@given(name=st.sampled_from(["plain.jpg", "progressive.jpg", "turned6.jpg"]), seed=st.integers(0, 2**32 - 1))
def test_stripping_never_fails_on_damage(name: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    data = bytearray(GOOD[name][: chance.integers(1, len(GOOD[name]) + 1)])
    data[chance.integers(len(data))] = chance.integers(256)
    made = stripped(bytes(data))
    assert made is None or (len(made) <= len(data) and stripped(made) == made)
