"""A film that is measured in segments gives exactly what one pass gives."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.video import jpegs
from curation.video.probe import opened
from curation.video.scan import conclude, measure, scan
from curation.video.scanner import Scanner
from curation.video.segments import Segment, divided
from curation.video.series import FRAME
from curation.video.settings import Settings
from tests.shots import Pictures, dissolve, encode, shot

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "b-frames.mp4": ("libx264", {"preset": "veryfast", "bf": "3", "g": "12", "sc_threshold": "0"}),
    "open.mkv": ("libx264", {"preset": "veryfast", "bf": "3", "g": "25", "x264-params": "open-gop=1:scenecut=0"}),
    "broadcast.ts": ("libx264", {"preset": "veryfast", "bf": "2", "g": "15", "sc_threshold": "0"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "20", "b": "400k"}),
    "short-groups.mp4": ("mpeg4", {"g": "4", "qscale": "4"}),
    "every-frame.mov": ("mjpeg", {"qscale": "3"}),
}


def _film() -> Pictures:
    """Cuts at many distances from key frames, a dissolve, motion slow and fast, a frozen picture."""
    lengths = [7, 31, 44, 3, 18, 25, 33, 14, 40]
    pans = [0.1, 4, 0.5, 0, 1, 0, 2, 0.2, 1.5]
    film = [picture for seed, (length, pan) in enumerate(zip(lengths, pans)) for picture in shot(seed, length, pan=pan)]
    before, after = shot(20, 40), shot(21, 60)
    return [*film, *before[:20], *dissolve(before[20:], after[:20]), *after[20:], *shot(22, 1) * 20]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one film in every encoding."""
    folder, film = tmp_path_factory.mktemp("segments"), _film()
    for name, (codec, options) in ENCODERS.items():
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        encode(folder / name, film, codec=codec, options=options, pixels=pixels)
    return folder


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """What was found, with the bytes of the pictures in place of their files."""
    places = [place[1:3] for clip in found["clips"] for place in clip["thumbnails"]]
    return {**found, "pictures": list(jpegs.read(found["pictures"], places))}


def _in_segments(path: Path, settings: Settings, folder: Path, segments: list[Segment]) -> dict[str, Any]:
    """Measured last one first, as if side by side."""
    parts = {at: measure(path, settings, folder / str(at), part) for at, part in reversed([*enumerate(segments)])}
    return _facts(conclude([parts[at] for at in range(len(segments))], settings))


@pytest.mark.parametrize("seconds", [0.3, 1.1, 4.0])
@pytest.mark.parametrize("name", ENCODERS)
def test_segments_of_any_length_give_what_one_pass_gives(made: Path, tmp_path: Path, name: str, seconds: float) -> None:
    settings = Settings(detector="histogram" if seconds == 1.1 else "judged", max_seconds=1.5, trim_frames=2)
    segments = divided(made / name, seconds)
    assert len(segments) > 2
    whole = _facts(scan(made / name, settings, tmp_path))
    assert len(whole["clips"]) > 8 and len(whole["pictures"]) > 16
    assert _in_segments(made / name, settings, tmp_path, segments) == whole


def test_every_measure_of_every_frame_is_that_of_one_pass(made: Path, tmp_path: Path) -> None:
    path = made / "short-groups.mp4"
    whole = measure(path, Settings(), tmp_path / "whole")
    parts = [measure(path, Settings(), tmp_path / str(at), part) for at, part in enumerate(divided(path, 0.5))]
    records = [np.fromfile(part["series"], "u1") for part in parts]
    one, joined = np.fromfile(whole["series"], FRAME), np.concatenate(records).view(FRAME)
    for name in FRAME.names or ():
        if name != "number":
            assert np.array_equal(one[name], joined[name], equal_nan=one[name].dtype.kind == "f"), name


def test_segments_begin_at_key_frames_and_cover_the_file(made: Path) -> None:
    for name in ENCODERS:
        segments = divided(made / name, 2.0)
        assert (segments[0].start_pts, segments[0].warm_pts, segments[-1].end_pts) == (None, None, None)
        assert all(before.end_pts == after.start_pts for before, after in zip(segments, segments[1:]))
        with opened(made / name) as (container, stream):
            keys = {packet.pts for packet in container.demux(stream) if packet.is_keyframe}
            tick = float(stream.time_base or 1)
        starts = [segment.start_pts for segment in segments[1:]]
        assert set(starts) <= keys
        assert all(1.0 < (after - before) * tick < 3.1 for before, after in zip(starts, starts[1:]))


def _scanned(path: Path, folder: Path, segment_s: float | None) -> dict[str, Any]:
    folder.mkdir()
    scanner = Scanner(4096)
    return _facts(scanner.scan(lambda: nullcontext(path), Settings(), folder, timeout_s=60, segment_s=segment_s))


@pytest.mark.parametrize("name", ["b-frames.mp4", "vp9.webm"])
def test_a_long_film_is_scanned_in_segments_with_the_same_rows(made: Path, tmp_path: Path, name: str) -> None:
    whole = _scanned(made / name, tmp_path / "whole", None)
    in_segments = _scanned(made / name, tmp_path / "divided", 2.0)
    assert len(list((tmp_path / "divided").glob("segment*.series"))) > 3
    assert not list((tmp_path / "whole").glob("segment*"))
    assert in_segments == whole


def test_a_film_that_cannot_be_divided_is_scanned_in_one_piece(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.avi"
    encode(path, _film(), codec="mpeg4", options={"g": "12", "qscale": "4"})
    assert divided(path, 2.0) == [Segment()]
    assert _scanned(path, tmp_path / "divided", 2.0) == _scanned(path, tmp_path / "whole", None)


def test_a_film_that_is_damaged_in_the_middle_gives_what_one_pass_gives(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    data = bytearray((made / "b-frames.mp4").read_bytes())
    for place in (len(data) // 3, len(data) // 2):
        data[place : place + 400] = bytes(400)
    path.write_bytes(data)
    assert _scanned(path, tmp_path / "divided", 2.0) == _scanned(path, tmp_path / "whole", None)


def test_a_film_of_one_group_is_not_divided(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", shot(1, 200), options={"g": "999", "preset": "ultrafast"})
    assert divided(path, 1.0) == [Segment()]
