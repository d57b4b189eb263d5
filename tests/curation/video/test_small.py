"""Frames are made small from the decoder's planes, whatever their kind, as FFmpeg's scaler shows them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from curation.video import measure as measuring
from curation.video.probe import Header
from curation.video.scan import conclude, measure
from curation.video.series import FRAME, TINY
from curation.video.settings import Settings
from curation.video.small import Shrinker, small_size
from tests.shots import encode, shot

FORMATS = [
    *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "yuva420p"),
    *("nv12", "rgb24", "gbrp", "gray", "yuv420p10be", "yuyv422", "p010le"),
]


def _head(width: int, height: int) -> Header:
    return Header("", width, height, 0, Fraction(1, 25), Fraction(25), 0)


def _picture(width: int, height: int) -> np.ndarray:
    """Smooth enough that it does not matter which of its pixels are taken."""
    return cv2.GaussianBlur(shot(3, 1, size=(width, height))[0], (0, 0), max(3, width / 50))


def _frame(picture: np.ndarray, form: str, colour_range: ColorRange = ColorRange.UNSPECIFIED) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return frame.reformat(format=form, dst_colorspace=Colorspace.ITU601, dst_color_range=colour_range)


def _shrunk(frame: av.VideoFrame) -> tuple[Shrinker, np.ndarray]:
    shrinker = Shrinker(_head(frame.width, frame.height))
    small = np.zeros((1, shrinker.values), np.uint8)
    shrinker.shrink(frame, small[0])
    return shrinker, small


@pytest.mark.parametrize("size", [(640, 360), (321, 239), (50, 70), (801, 333)])
@pytest.mark.parametrize("form", FORMATS)
def test_every_kind_of_frame_shows_its_picture(form: str, size: tuple[int, int]) -> None:
    picture = _picture(*size)
    shrinker, small = _shrunk(_frame(picture, form))
    expected = cv2.resize(picture[:, :, ::-1], (shrinker.width, shrinker.height), interpolation=cv2.INTER_LINEAR)
    if form == "gray":
        expected = np.repeat(cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY)[:, :, None], 3, 2)
    off = np.abs(shrinker.looks(small).bgr[0].astype(int) - expected)
    assert off.mean() < 4


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_full_range_is_told_from_video_range(form: str) -> None:
    picture = _picture(320, 180)
    _, video = _shrunk(_frame(picture, form, ColorRange.MPEG))
    full_frame = _frame(picture, form, ColorRange.JPEG)
    full_frame.color_range = ColorRange.JPEG
    _, full = _shrunk(full_frame)
    assert np.abs(video.astype(int) - full).mean() < 1


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (854, 480), (640, 64), (64, 640), (7, 5), (4096, 2)])
def test_small_frames_are_whole_tiny_pixels_of_nearly_the_same_shape(size: tuple[int, int]) -> None:
    width, height = small_size(_head(*size))
    assert width % TINY[1] == 0 and height % (2 * TINY[0]) == 0
    assert max(width, height) <= 144
    if 1 / 3 < size[0] / size[1] < 3:
        shrinker = Shrinker(_head(*size))
        assert 0.8 < shrinker.pixel_height < 1.25


def test_many_frames_at_once_look_as_one_at_a_time() -> None:
    frames = [_frame(picture, "yuv420p") for picture in shot(5, 7, pan=3, size=(330, 250))]
    shrinker = Shrinker(_head(330, 250))
    smalls = np.zeros((len(frames), shrinker.values), np.uint8)
    for frame, small in zip(frames, smalls):
        shrinker.shrink(frame, small)
    looks = shrinker.looks(smalls)
    tiny = shrinker.tiny(looks.bgr)
    for at in range(len(frames)):
        one = shrinker.looks(smalls[at : at + 1])
        assert np.array_equal(one.bgr[0], looks.bgr[at]) and np.array_equal(one.hsv[0], looks.hsv[at])
        assert np.array_equal(cv2.resize(one.bgr[0], TINY[::-1], interpolation=cv2.INTER_AREA), tiny[at])


@pytest.mark.parametrize("frames", [1, 2, 32, 33, 34, 64, 65, 97])
def test_records_do_not_depend_on_the_size_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    film = [*shot(1, 40, pan=2), *shot(2, 5), *shot(3, 60, pan=1)][:frames]
    path, settings = encode(tmp_path / "a.mp4", film), Settings(detector="histogram")
    records, pictures = [], []
    for block in (32, 1, 7):
        monkeypatch.setattr(measuring, "_BLOCK", block)
        part = measure(path, settings, tmp_path / str(block))
        records.append(np.fromfile(part["series"], FRAME))
        pictures.append((part["thumbnails"], Path(part["pictures"]).read_bytes()))
    assert len(records[0]) == frames
    assert pictures[0] == pictures[1] == pictures[2]
    assert pictures[0][0]
    assert records[0].tobytes() == records[1].tobytes() == records[2].tobytes()


def _woven(one: np.ndarray, later: np.ndarray, first: int) -> np.ndarray:
    """A frame whose lines from `first` on, every other, show one picture, and the rest a later one."""
    picture = later.copy()
    picture[first::2] = one[first::2]
    return picture


@pytest.mark.parametrize("size", [(320, 192), (330, 252)])
def test_an_interlaced_film_is_measured_as_a_progressive_one_whichever_field_comes_first(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    fields = [picture for seed in (1, 2, 3) for picture in shot(seed, 32, pan=2, size=size)]
    found = []
    for number, name in enumerate(("tff", "bff", "progressive")):
        film = [_woven(one, later, number) for one, later in zip(fields[::2], fields[1::2])]
        coding = {"flags": "+ildct", "x264-params": f"{name}=1"} if number < 2 else {}
        film = film if coding else fields[::2]
        path = encode(tmp_path / f"{name}.mp4", film, options={"crf": "18", "preset": "veryfast"} | coding)
        part = measure(path, Settings(), tmp_path / name)
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).interlaced_frame == bool(coding)
        found.append((conclude([part], Settings())["cuts"], np.fromfile(part["series"], FRAME)))
    for cuts, records in found:
        assert cuts == [16, 32]
        for name, near in (("content", 2), ("brightness", 0.02), ("contrast", 0.02)):
            assert np.abs(records[name] - found[-1][1][name]).max() < near, name
