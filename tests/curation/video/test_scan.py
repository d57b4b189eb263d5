"""The split pass finds what is there, exactly, and keeps what a damaged file still gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from curation.video.probe import MediaError
from curation.video.scan import scan
from curation.video.settings import Settings
from tests import films
from tests.films import BLUE, GREEN, RED, Scene
from tests.shots import encode, shot

SETTINGS = Settings(thumbnail_size=128)
SCENES = [Scene(30, RED), Scene(41, BLUE), Scene(7, GREEN), Scene(50, RED)]


def _ranges(found: dict) -> list[tuple[int, int]]:
    return [(clip["start_pts"], clip["end_pts"]) for clip in found["clips"]]


@pytest.mark.parametrize("detector", ["judged", "adaptive", "content", "histogram"])
def test_hard_cuts_are_found_at_their_frames(tmp_path: Path, detector: str) -> None:
    scenes = [Scene(30, RED), Scene(41, BLUE), Scene(50, GREEN)]
    path = films.write(tmp_path / "a.mp4", scenes)
    found = scan(path, replace(SETTINGS, detector=detector))
    assert [clip["frames"] for clip in found["clips"]] == [30, 41, 50]
    assert found["frames"] == 121


def test_every_scene_has_a_row_however_short(tmp_path: Path) -> None:
    found = scan(films.write(tmp_path / "a.mp4", SCENES), SETTINGS)
    assert [clip["frames"] for clip in found["clips"]] == [30, 41, 7, 50]
    assert all(clip["thumbnails"] for clip in found["clips"])


def test_clips_cover_the_file_without_gap_or_overlap(tmp_path: Path) -> None:
    found = scan(films.write(tmp_path / "a.mp4", SCENES), SETTINGS)
    ranges = _ranges(found)
    assert all(end == start for (_, end), (start, _) in zip(ranges, ranges[1:]))
    assert sum(clip["frames"] for clip in found["clips"]) == found["frames"]
    trimmed = scan(tmp_path / "a.mp4", replace(SETTINGS, trim_frames=6))["clips"]
    assert [clip["trimmed"] for clip in trimmed] == [12, 12, 0, 12]
    assert sum(clip["frames"] + clip["trimmed"] for clip in trimmed) == found["frames"]


def test_boundaries_are_exact_timestamps_where_the_frame_rate_varies(tmp_path: Path) -> None:
    steps = [40 if number % 3 else 17 for number in range(80)]
    pts = [1000 + sum(steps[:number]) for number in range(80)]
    path = films.write(tmp_path / "vfr.mkv", [Scene(33, RED), Scene(47, BLUE)], pts=pts, time_base=Fraction(1, 1000))
    found = scan(path, SETTINGS)
    first = _ranges(found)[0][0]
    assert found["time_base"] == "1/1000"
    assert _ranges(found)[0][1] - first == pts[33] - pts[0]
    assert found["clips"][1]["frames"] == 47


def test_long_scenes_are_divided_evenly(tmp_path: Path) -> None:
    path = films.write(tmp_path / "long.mp4", [Scene(100, GREEN, step=1)], rate=25)
    found = scan(path, replace(SETTINGS, max_seconds=1.5))
    assert [clip["frames"] for clip in found["clips"]] == [33, 33, 34]
    assert [clip["piece"] for clip in found["clips"]] == [0, 1, 2]
    assert {clip["scene"] for clip in found["clips"]} == {0}


def test_motion_points_where_things_move(tmp_path: Path) -> None:
    found = scan(encode(tmp_path / "a.mp4", shot(1, 48, pan=1)), SETTINGS)
    still = scan(encode(tmp_path / "b.mp4", shot(1, 48, pan=0)), SETTINGS)
    clip = found["clips"][0]
    assert clip["motion"] > 10 * still["clips"][0]["motion"]
    # The camera goes to the right, and so the things that it sees go to the left, a pixel a frame.
    assert clip["motion_x"] == pytest.approx(-25 / 160, rel=0.3)
    assert clip["motion"] == pytest.approx(25 / 160, rel=0.3)
    assert abs(clip["motion_y"]) < 0.2 * clip["motion"]


def test_thumbnails_show_the_clip_that_they_belong_to(tmp_path: Path) -> None:
    found = scan(films.write(tmp_path / "a.mp4", SCENES), SETTINGS)
    for scene, clip in zip(SCENES, found["clips"]):
        start = float(clip["start_pts"] * Fraction(found["time_base"]))
        end = float(clip["end_pts"] * Fraction(found["time_base"]))
        assert all(start <= second < end for second in clip["thumbnail_s"])
        for jpeg in clip["thumbnails"]:
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert min(picture.shape[:2]) == 128
            assert np.abs(np.median(picture, axis=(0, 1))[::-1] - scene.colour).max() < 12


def test_rotated_video_is_measured_and_shown_upright(tmp_path: Path) -> None:
    plain = films.write(tmp_path / "plain.mp4", [Scene(40, RED, step=4)], size=(320, 240))
    turned = tmp_path / "turned.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", str(plain)]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True)
    found = scan(turned, SETTINGS)
    assert (found["width"], found["height"]) == (240, 320)
    shown = cv2.imdecode(np.frombuffer(found["clips"][0]["thumbnails"][0], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] > shown.shape[1]
    # What FFmpeg itself shows, after its own rotation, moves the same way.
    upright = tmp_path / "upright.mp4"
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(turned), str(upright)], check=True)
    expected = scan(upright, SETTINGS)["clips"][0]
    assert found["clips"][0]["motion_y"] == pytest.approx(expected["motion_y"], rel=0.3)


def test_a_file_that_breaks_off_gives_its_first_part_with_a_warning(tmp_path: Path) -> None:
    whole = films.write(tmp_path / "whole.mkv", [Scene(40, RED), Scene(200, BLUE)])
    frames = scan(whole, SETTINGS)["frames"]
    found = scan(films.cut_off(whole, 0.5), SETTINGS)
    assert 40 < found["frames"] < frames
    assert found["clips"][0]["frames"] == 40
    assert found["warning"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"words " * 100, "not a media file"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nother.mp4\n", "points to other files"),
        ("list.txt", b"ffconcat version 1.0\nfile other.mp4\n", "points to other files"),
    ],
)
def test_what_is_no_media_is_refused_with_a_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    films.write(tmp_path / "other.mp4", [Scene(20, RED)])
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError, match=reason):
        scan(path, SETTINGS)


def test_a_file_with_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="no video stream"):
        scan(path, SETTINGS)


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from curation.video.scan import scan\n"
        "from curation.video.settings import Settings\n"
        "print(scan(Path(sys.argv[1]), Settings(), Path(sys.argv[2]))['frames'])\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    once = [picture for seed in range(25) for picture in shot(seed, 100, size=(64, 48))]
    peaks = []
    for times in (1, 8):
        path = encode(tmp_path / f"{times}.mkv", once * times, codec="mpeg4", options={"g": "50", "qscale": "8"})
        command = [sys.executable, "-c", code, str(path), str(tmp_path)]
        frames, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(frames) == 2500 * times
        peaks.append(int(peak))
    # The records alone of seven times as many frames are 8 MB, their tiny pictures as floats 30 MB.
    assert peaks[1] - peaks[0] < 6 << 10
