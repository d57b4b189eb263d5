"""The fast pass finds what the exact one finds, frame for frame, or steps aside for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from curation.video.decode import Unseekable
from curation.video.probe import opened
from curation.video.promise import plan
from curation.video.scan import conclude, measure, part, scan, skim
from curation.video.segments import Segment, divided
from curation.video.series import Series
from curation.video.settings import Settings
from tests import films, odd
from tests.shots import Pictures, dissolve, encode, shot

EXACT, FAST = Settings(), Settings(speed="fast")
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "pyramid.mp4": ("libx264", {"preset": "medium", "g": "250"}),
    "no-scenecut.mkv": ("libx264", {"preset": "veryfast", "bf": "3", "g": "100", "sc_threshold": "0"}),
    "no-b-frames.mp4": ("libx264", {"preset": "ultrafast", "g": "48"}),
    # Both fields in one picture, block by block (MBAFF). Fields coded as pictures of their own (PAFF) x264 cannot make.
    "interlaced.ts": ("libx264", {"preset": "medium", "g": "60", "flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "mpeg4.mp4": ("mpeg4", {"g": "12", "bf": "2", "qscale": "3"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "60", "b": "600k"}),
}


def _film() -> Pictures:
    lengths, pans = [60, 31, 75, 48, 90], [0.3, 2, 0, 1, 0.6]
    film = [picture for seed, (length, pan) in enumerate(zip(lengths, pans)) for picture in shot(seed, length, pan=pan)]
    before, after = shot(30, 50), shot(31, 50)
    return [*film, *before[:30], *dissolve(before[30:], after[:20]), *after[20:]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, film = tmp_path_factory.mktemp("fast"), _film()
    for name, (codec, options) in ENCODERS.items():
        encode(folder / name, film, codec=codec, options=options)
    return folder


def _places(found: dict[str, Any]) -> list[tuple[int, int, int, str]]:
    return [(clip["start_pts"], clip["end_pts"], clip["frames"], clip["kind"]) for clip in found["clips"]]


@pytest.mark.parametrize("name", ENCODERS)
def test_fast_counts_and_cuts_as_exact_does(made: Path, name: str) -> None:
    exact, fast = scan(made / name, EXACT), scan(made / name, FAST)
    assert exact["cuts"] == fast["cuts"] == [60, 91, 166, 214, 304]
    assert [fast[key] for key in ("frames", "duration_s", "fps")] == [
        exact[key] for key in ("frames", "duration_s", "fps")
    ]
    (one,), (other,) = exact["transitions"], fast["transitions"]
    assert abs(one["first"] - other["first"]) <= 3 and abs(one["end"] - other["end"]) <= 3
    assert all(clip["thumbnails"] for clip in fast["clips"])


@pytest.mark.parametrize("name", ["pyramid.mp4", "no-scenecut.mkv"])
def test_frames_are_left_out_and_the_others_are_not_spoilt(made: Path, tmp_path: Path, name: str) -> None:
    exact = Series([Path(measure(made / name, EXACT, tmp_path / "exact")["series"])])
    fast = Series([Path(skim(made / name, FAST, tmp_path / "fast")["series"])])
    assert np.array_equal(exact.column("pts"), fast.column("pts"))
    off = np.abs(exact.tiny(0, len(exact)).astype(int) - fast.tiny(0, len(fast))).mean((1, 2, 3))
    unseen = _in_tails(made / name)
    assert np.median(off) < 1.5
    assert np.delete(off, unseen).max() < 12
    assert unseen


def _in_tails(path: Path) -> list[int]:
    """Frames that are left out at the ends of calm groups."""
    with opened(path) as (container, stream):
        planned = plan(container, stream, Segment())
    places = [place for tail in planned.tails for place in range(tail.first, tail.end)]
    return [planned.pts.index(planned.packets[place].pts) for place in places]


@pytest.mark.parametrize("name", ["pyramid.mp4", "mpeg4.mp4", "vp9.webm"])
def test_fast_segments_cut_as_one_fast_pass(made: Path, tmp_path: Path, name: str) -> None:
    parts = [part(made / name, FAST, tmp_path / str(at), one) for at, one in enumerate(divided(made / name, 2.0))]
    assert _places(conclude(parts, FAST)) == _places(scan(made / name, FAST))


def test_a_file_whose_times_are_out_of_order_is_decoded_in_full(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "decoding-times.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(made / "pyramid.mp4"), "-c", "copy"]
    subprocess.run([*command, "-bsf:v", "setts=pts=DTS", str(path)], check=True)
    with pytest.raises(Unseekable):
        skim(path, FAST, tmp_path / "part")
    exact, fast = scan(path, EXACT), scan(path, FAST)
    assert _places(fast) == _places(exact)


def test_damage_is_told_as_by_the_exact_pass(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut-off.mkv"
    path.write_bytes((made / "no-scenecut.mkv").read_bytes())
    films.cut_off(path, 0.6)
    exact, fast = scan(path, EXACT), scan(path, FAST)
    assert (fast["frames"], fast["warning"]) == (exact["frames"], exact["warning"])
    assert fast["warning"]


def test_the_histogram_detector_is_given_every_frame(made: Path) -> None:
    settings = [Settings(detector="histogram", speed=speed) for speed in ("exact", "fast")]
    exact, fast = (scan(made / "pyramid.mp4", one) for one in settings)
    assert exact == {**fast, "pictures": exact["pictures"]}


def test_a_film_of_two_frames_has_a_picture(tmp_path: Path) -> None:
    path = films.write(tmp_path / "two.mp4", [films.Scene(2, films.RED)])
    assert scan(path, FAST)["clips"][0]["thumbnails"]


def test_every_odd_film_is_as_long_as_in_the_exact_pass(tmp_path: Path) -> None:
    for film in odd.FILMS:
        path = tmp_path / film.name
        film.make(path)
        exact, fast = scan(path, EXACT), scan(path, FAST)
        for key in ("frames", "duration_s", "fps", "cuts", "width", "height", "warning"):
            assert fast[key] == exact[key], (film.name, key)
