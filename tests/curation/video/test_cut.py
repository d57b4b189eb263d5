"""A cut holds exactly the frames of its range, the same bytes every time, and its index is true."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curation.video.cut import Encoding, encode, scaled
from curation.video.decode import Decoder
from curation.video.index import index
from curation.video.probe import MediaError, opened
from curation.video.recut import recut
from tests import films
from tests.films import BLUE, GREEN, RED, Scene

SCENES = [Scene(60, RED), Scene(45, BLUE), Scene(50, GREEN)]
ENCODING = Encoding(short_side=None, crf=12, preset="ultrafast", gop=16)


def _cut(source: Path, target: Path, first: int, end: int, pts: list[int], time_base: str, **given: object) -> Path:
    encode(
        source,
        target,
        start_pts=pts[first],
        end_pts=pts[end] if end < len(pts) else pts[-1] + pts[-1] - pts[-2],
        time_base=Fraction(time_base),
        size=(320, 240),
        encoding=given.pop("encoding", ENCODING),  # type: ignore[arg-type]
        timeout_s=60,
        **given,  # type: ignore[arg-type]
    )
    return target


@pytest.mark.parametrize(("first", "end"), [(0, 60), (60, 105), (61, 62), (105, 155), (37, 140)])
def test_cut_shows_exactly_the_frames_of_its_range(tmp_path: Path, first: int, end: int) -> None:
    source = films.write(tmp_path / "source.mp4", SCENES)
    known = index(source)
    target = _cut(source, tmp_path / "cut.mp4", first, end, known["frame_pts"], known["frame_time_base"])
    wanted, got = films.decoded(source)[first:end], films.decoded(target)
    assert len(got) == end - first
    for a, b in zip(wanted, got):
        assert np.abs(a.astype(int) - b).mean() < 3


def test_cut_keeps_the_timing_of_a_variable_frame_rate(tmp_path: Path) -> None:
    steps = [40 if number % 3 else 17 for number in range(90)]
    pts = [sum(steps[:number]) for number in range(90)]
    source = films.write(tmp_path / "s.mkv", [Scene(45, RED), Scene(45, BLUE)], pts=pts, time_base=Fraction(1, 1000))
    known = index(source)
    cut = index(_cut(source, tmp_path / "cut.mp4", 45, 80, known["frame_pts"], known["frame_time_base"]))
    seconds = [float((p - cut["frame_pts"][0]) * Fraction(cut["frame_time_base"])) for p in cut["frame_pts"]]
    assert seconds == pytest.approx([(p - pts[45]) / 1000 for p in pts[45:80]], abs=1e-6)


def test_same_cut_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = films.write(tmp_path / "source.mp4", SCENES)
    known = index(source)
    one, two = (
        _cut(source, tmp_path / name, 50, 100, known["frame_pts"], known["frame_time_base"])
        for name in ("1.mp4", "2.mp4")
    )
    assert one.read_bytes() == two.read_bytes()


def test_key_frames_come_as_often_as_the_recipe_says(tmp_path: Path) -> None:
    source = films.write(tmp_path / "source.mp4", [Scene(60, RED)])
    known = index(source)
    encoding = Encoding(short_side=120, crf=23, preset="veryfast", gop=10)
    found = index(
        _cut(source, tmp_path / "c.mp4", 0, 60, known["frame_pts"], known["frame_time_base"], encoding=encoding)
    )
    assert set(range(0, 60, 10)) <= set(found["keyframes"])
    assert (found["width"], found["height"]) == (160, 120)


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((1280, 720), 320, (568, 320)),
        ((720, 1280), 320, (320, 568)),
        ((200, 100), 320, (200, 100)),
        ((161, 121), None, (160, 120)),
    ],
)
def test_scaling_keeps_shape_and_never_enlarges(
    size: tuple[int, int], short_side: int | None, expected: tuple[int, int]
) -> None:
    assert scaled(size, short_side) == expected


def test_index_refuses_a_file_whose_frames_do_not_decode(tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mp4", [Scene(60, RED)])
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(MediaError):
        index(path)


def test_recut_of_a_damaged_file_gives_the_frames_that_a_decode_of_it_gives(tmp_path: Path) -> None:
    source, target = films.write(tmp_path / "a.mkv", SCENES), tmp_path / "cut.mp4"
    data = bytearray(source.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    source.write_bytes(data)
    with opened(source) as (container, stream):
        decoder = Decoder(container, stream)
        wanted = [(pts, frame.to_ndarray(format="rgb24")) for pts, frame in decoder.frames()]
    assert len(wanted) > 60 and decoder.faults.sentence()
    clip = {"start_pts": wanted[20][0], "end_pts": wanted[-5][0], "target": str(target)}
    assert recut(source, [clip], (320, 240), ENCODING, 60) == [list(range(len(wanted) - 25))]
    got = films.decoded(target)
    assert len(got) == len(wanted) - 25
    assert max(np.abs(a.astype(int) - b).mean() for (_, a), b in zip(wanted[20:-5], got)) < 3


def test_same_recut_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = films.write(tmp_path / "a.mp4", SCENES)
    pts = index(source)["frame_pts"]
    for name in ("1.mp4", "2.mp4"):
        clip = {"start_pts": pts[50], "end_pts": pts[100], "target": str(tmp_path / name)}
        assert recut(source, [clip], (320, 240), ENCODING, 60) == [list(range(50))]
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()


def test_recut_says_of_each_clip_why_it_failed_and_goes_on(tmp_path: Path) -> None:
    source = films.write(tmp_path / "a.mp4", SCENES)
    pts = index(source)["frame_pts"]
    clips = [
        {"start_pts": pts[0], "end_pts": pts[10], "target": str(tmp_path / "no-such-folder" / "a.mp4")},
        {"start_pts": pts[12], "end_pts": pts[30], "target": str(tmp_path / "b.mp4")},
        {"start_pts": pts[-1] + 1000, "end_pts": pts[-1] + 2000, "target": str(tmp_path / "c.mp4")},
    ]
    broken, fine, beyond = recut(source, clips, (320, 240), ENCODING, 60)
    assert isinstance(broken, str) and "FFmpeg could not cut it" in broken
    assert fine == list(range(18)) and index(tmp_path / "b.mp4")["frames"] == 18
    assert beyond == "no frame of it could be decoded"


@pytest.mark.skipif(sys.platform != "linux", reason="the address space can only be bounded on Linux")
def test_memory_of_the_cutting_program_is_bounded(tmp_path: Path) -> None:
    source = films.write(tmp_path / "a.mp4", [Scene(30, RED)])
    known = index(source)
    with pytest.raises(MediaError, match="FFmpeg could not cut it"):
        _cut(source, tmp_path / "b.mp4", 0, 30, known["frame_pts"], known["frame_time_base"], memory_mb=64)
