"""The demo footage: what truth.json says is what the files hold."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from curation.video.scan import scan
from curation.video.settings import Settings
from demo.footage import TABLE_PATH, TRUTH_NAME, build, finished
from demo.footage.encode import make, time_line
from demo.footage.films import BROKEN_PATH, FILMS
from demo.footage.sound import soundtrack

SCALE = 0.1
TWICE = ("coast-evening.mp4", "moving-forms.webm", "upright.mp4", "slow-train.mkv")
BY_NAME = {film.name: film for film in FILMS}
WHOLE = [film.path for film in FILMS if not film.cut_off]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "footage"
    build(folder, SCALE)
    return folder


@pytest.fixture(scope="module")
def record(footage: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((footage / TRUTH_NAME).read_text())
    return facts


def decoded(path: Path) -> tuple[list[np.ndarray], str, bool]:
    """Small frames, the hash of the full ones, and whether the file broke off."""
    frames, digest, broke_off = [], hashlib.sha256(), False
    with av.open(str(path)) as container:
        try:
            for packet in container.demux(video=0):
                broke_off |= packet.is_corrupt
                for frame in packet.decode():
                    picture = frame.to_ndarray(format="rgb24")
                    digest.update(picture.tobytes())
                    small = cv2.resize(picture, (64, 36), interpolation=cv2.INTER_AREA)
                    frames.append(small.astype(np.float32))
        except av.error.InvalidDataError:
            broke_off = True
    return frames, digest.hexdigest(), broke_off


def test_the_edit_list_is_varied_raw_footage() -> None:
    seconds = sum(time_line(film, 1.0)[1] / film.fps for film in FILMS)
    assert 180 <= seconds <= 260
    assert {film.name.rsplit(".")[-1] for film in FILMS} == {"mp4", "webm", "mkv"}
    assert len({film.size for film in FILMS}) == 4
    shots = [shot for film in FILMS for shot in film.shots]
    assert len({shot.factory for shot in shots}) >= 25
    assert len({shot.name for shot in shots}) == len(shots)
    assert {shot.into for shot in shots} == {"cut", "dissolve", "fade"}
    assert max(shot.seconds for shot in shots) >= 25
    assert any(shot.seconds * film.fps < 16 for film in FILMS for shot in film.shots)


@pytest.mark.parametrize("name", WHOLE)
def test_a_film_holds_what_truth_says(name: str, footage: Path, record: dict[str, Any]) -> None:
    facts = record["files"][name]
    frames, _, broke_off = decoded(footage / name)
    assert len(frames) == facts["frames"]
    assert not broke_off
    assert facts["scenes"][0]["start"] == 0
    assert facts["scenes"][-1]["end"] == facts["frames"]
    with av.open(str(footage / name)) as container:
        picture = container.streams.video[0]
        assert (picture.width, picture.height) == (facts["width"], facts["height"])
        assert picture.average_rate == facts["fps"]
    change = np.array([np.abs(b - a).mean() for a, b in pairwise(frames)])
    marked = {cut - 1 for cut in facts["hard_cuts"]}
    for cut in facts["hard_cuts"]:
        near = [change[k] for k in range(max(0, cut - 5), min(len(change), cut + 4)) if k not in marked]
        assert change[cut - 1] > 2.5 * max(near)
        assert change[cut - 1] > 12


@pytest.mark.parametrize("name", ["paper-theatre.mp4", "night-city.mp4"])
def test_the_split_pass_finds_what_truth_says(name: str, tmp_path: Path) -> None:
    film = BY_NAME[name]
    (tmp_path / film.path).parent.mkdir()
    facts = make(film, tmp_path, 0.4)
    found = scan(tmp_path / film.path, Settings())
    assert found["cuts"] == facts["hard_cuts"]
    assert [one["kind"] for one in found["transitions"]] == [one["kind"] for one in facts["gradual"]]
    for one, true in zip(found["transitions"], facts["gradual"]):
        assert abs(one["first"] - true["first"]) <= 1 and abs(one["end"] - true["last"] - 1) <= 1


@pytest.mark.parametrize("name", WHOLE)
def test_a_film_is_heard_and_does_not_clip(name: str, footage: Path) -> None:
    with av.open(str(footage / name)) as container:
        to_floats = av.AudioResampler(format="flt", layout="mono")
        pieces = [
            piece.to_ndarray().ravel() for frame in container.decode(audio=0) for piece in to_floats.resample(frame)
        ]
    wave = np.concatenate(pieces)
    assert np.sqrt((wave**2).mean()) > 0.01
    assert np.abs(wave).max() < 0.99


def test_scenes_to_be_dropped_are_as_said(footage: Path, record: dict[str, Any]) -> None:
    def scene(film: str, name: str) -> list[np.ndarray]:
        path = BY_NAME[film].path
        found = next(one for one in record["files"][path]["scenes"] if one["name"] == name)
        return decoded(footage / path)[0][found["start"] : found["end"]]

    assert np.mean(scene("night-city.mp4", "too-dark")) < 8
    assert np.std(scene("match-day.mp4", "grey-card")[0]) < 6
    still = scene("paper-theatre.mp4", "frozen-whale")
    assert np.abs(still[-1] - still[1]).mean() < 1.5
    assert len(scene("night-city.mp4", "flash-frame")) < 16


def test_the_damaged_film_breaks_off(footage: Path, record: dict[str, Any]) -> None:
    path = BY_NAME["damaged.mp4"].path
    facts = record["files"][path]
    frames, _, broke_off = decoded(footage / path)
    assert 0 < len(frames) < facts["frames"]
    assert broke_off
    with av.open(str(footage / path)) as container:
        assert container.streams.video[0].frames == facts["frames"]


def test_a_text_file_is_no_video(footage: Path) -> None:
    with pytest.raises(av.error.FFmpegError):
        av.open(str(footage / BROKEN_PATH))


def test_the_table_names_files_beside_it(footage: Path) -> None:
    table = footage / TABLE_PATH
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["videoid", "contentUrl", "name", "category"]
    assert 4 <= len(rows) < len(FILMS)
    assert all((table.parent / row["contentUrl"]).is_file() for row in rows)


@pytest.mark.parametrize("name", TWICE)
def test_made_twice_the_frames_are_equal(name: str, footage: Path, tmp_path: Path) -> None:
    film = BY_NAME[name]
    (tmp_path / film.path).parent.mkdir()
    make(film, tmp_path, SCALE)
    assert decoded(footage / film.path)[1] == decoded(tmp_path / film.path)[1]


def test_sound_is_the_same_each_time() -> None:
    assert np.array_equal(soundtrack("waves+bells", 1.0, 44100, 3), soundtrack("waves+bells", 1.0, 44100, 3))


def test_a_finished_folder_is_left_alone(footage: Path) -> None:
    assert finished(footage, SCALE)
    assert not finished(footage, 1.0)
    before = {path: path.stat().st_mtime_ns for path in footage.rglob("*")}
    build(footage, SCALE)
    assert {path: path.stat().st_mtime_ns for path in footage.rglob("*")} == before


def test_an_interrupted_build_leaves_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "footage"
    command = [sys.executable, "-m", "demo.footage", str(out), "--seconds", "20", "--workers", "1"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list(tmp_path.glob(".footage-*/*/*")):
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGINT)
    assert run.wait(60) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        build(tmp_path, SCALE, again=True)
    assert (tmp_path / "holiday.txt").read_text() == "mine"
