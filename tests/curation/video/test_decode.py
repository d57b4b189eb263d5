"""Time is exact, and decoding from a place gives what decoding from the beginning gives."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from curation.video.clock import Clock
from curation.video.decode import Decoder, Unseekable, places
from curation.video.probe import opened
from tests import odd
from tests.odd import MPEG2

X264 = "-c:v libx264 -preset veryfast -bf 3 -g 16 -x264-params scenecut=0:b-pyramid=normal"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=16:bframes=3"
VP9 = "-c:v libvpx-vp9 -deadline good -cpu-used 5 -g 16 -auto-alt-ref 1 -lag-in-frames 12 -b:v 200k"
DIVISIBLE = {
    "closed.mp4": X264,
    "open.mp4": f"{X264}:open-gop=1",
    "open.mkv": f"{X264}:open-gop=1",
    "open.ts": f"{X264}:open-gop=1",
    "refresh.mp4": "-c:v libx264 -preset veryfast -g 16 -x264-params intra-refresh=1",
    "fragments.mp4": f"{X264} -movflags frag_keyframe+empty_moov",
    "hevc-open.mp4": f"{X265}:open-gop=1",
    "hevc-open.mkv": f"{X265}:open-gop=1",
    "vp9.webm": VP9,
    "av1.mp4": "-c:v libsvtav1 -preset 12 -g 16",
    "mpeg4.mp4": "-c:v mpeg4 -g 16 -bf 2",
    "mpeg2.ts": MPEG2,
    "interlaced.ts": f"{MPEG2} -flags +ildct+ilme",
}


def _frames(path: Path, start_pts: int | None = None) -> list[tuple[int, int]]:
    """(pts, checksum of the pixels) of every frame."""
    with opened(path) as (container, stream):
        frames = Decoder(container, stream).frames(start_pts)
        return [(pts, zlib.crc32(frame.to_ndarray().tobytes())) for pts, frame in frames]


@pytest.mark.parametrize("name", DIVISIBLE)
def test_a_decode_from_any_place_gives_the_frames_of_the_whole_decode(tmp_path: Path, name: str) -> None:
    path = odd.film(tmp_path / name, DIVISIBLE[name], frames=range(100))
    whole = _frames(path)
    assert len(whole) == 100
    with opened(path) as (container, stream):
        keys, _ = places(container, stream)
    assert len(keys) > 3
    for start in sorted({*keys, *(pts for pts, _ in whole[::23]), whole[-1][0], whole[40][0] + 1}):
        assert _frames(path, start) == [frame for frame in whole if frame[0] >= start]


@pytest.mark.parametrize("name", ["edited.mp4", "hours.ts", "variable.mkv", "late.mp4", "resized.ts"])
def test_odd_times_survive_seeking(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    next(film for film in odd.FILMS if film.name == name).make(path)
    whole = _frames(path)
    for start in (whole[0][0], whole[10][0], whole[-1][0]):
        assert _frames(path, start) == [frame for frame in whole if frame[0] >= start]


@pytest.mark.parametrize(
    "name", ["b-frames.avi", "raw.h264", "theora.ogv", "moving.gif", "programme.mpg", "joined.ts", "still.mkv"]
)
def test_a_file_that_cannot_be_divided_exactly_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    next(film for film in odd.FILMS if film.name == name).make(path)
    with opened(path) as (container, stream), pytest.raises(Unseekable):
        places(container, stream)


def test_a_place_before_every_key_frame_is_refused(tmp_path: Path) -> None:
    path = odd.film(tmp_path / "a.mkv")
    with pytest.raises(Unseekable, match="no key frame"):
        _frames(path, -1000)


def _placed(times: list[tuple[int | None, int | None, int]]) -> tuple[list[int], Clock]:
    clock = Clock(step=10, max_gap=1000)
    return [clock.place(*one) for one in times], clock


def test_timestamps_that_rise_are_kept() -> None:
    times, clock = _placed([(-5, -9, 10), (5, -5, 10), (6, 5, 10), (600, 6, 10)])
    assert times == [-5, 5, 6, 600]
    assert (clock.guessed, clock.misplaced) == (0, 0)


def test_decoding_times_stand_in_for_times_that_are_missing() -> None:
    times, clock = _placed([(None, 3, 1), (None, 4, 1), (None, 5, 1)])
    assert times == [3, 4, 5]
    assert (clock.guessed, clock.misplaced) == (3, 0)


def test_frames_without_any_time_follow_each_other() -> None:
    assert _placed([(None, None, 0)] * 3)[0] == [0, 10, 20]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 10, 20, 0, 10, 20], [0, 10, 20, 30, 40, 50]),
        ([0, 0, 0, 0], [0, 10, 20, 30]),
        ([0, 10, 5000, 5010], [0, 10, 20, 30]),
        ([0, 10, 1 << 62, 20], [0, 10, 20, 30]),
        ([7, 17, 17, 27], [7, 17, 27, 37]),
    ],
)
def test_time_that_stands_still_or_leaps_goes_on_after_the_frame_before(given: list[int], expected: list[int]) -> None:
    times, clock = _placed([(pts, None, 10) for pts in given])
    assert times == expected
    assert clock.guessed > 0


@pytest.mark.parametrize(
    ("steps", "lengths", "last"),
    [
        ([40, 40, 40], [40, 40, 40, 40], 40),
        ([40, 63, 17], [40, 63, 17, 90], 90),  # true lengths of a variable rate
        ([33, 34, 33], [1, 1, 1, 1], 33),  # made up
        ([40, 40, 200], [40, 40, 40, 40], 40),  # a pause before the last frame
        ([40, 40, 40], [0, 0, 0, 0], 40),
    ],
)
def test_the_last_frame_lasts_as_long_as_is_likely(steps: list[int], lengths: list[int], last: int) -> None:
    starts = [sum(steps[:number]) for number in range(len(lengths))]
    times, clock = _placed([(pts, None, length) for pts, length in zip(starts, lengths)])
    assert clock.end() - times[-1] == last
