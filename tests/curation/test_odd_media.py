"""Odd films through `reelmill curate`: every clip of what can be read is cut exactly, the rest has a reason."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.video.decode import Decoder
from curation.video.probe import header, opened
from curation.video.upright import upright
from tests import films, odd
from tests.conftest import Reelmill, samples

NAMES = (
    *("plain.mp4", "variable.mkv", "edited.mp4", "hours.ts", "turned.mp4", "mirrored.mov", "wide-pixels.mp4"),
    *("alpha.webm", "theora.ogv", "constant-luminance.mp4", "resized.ts", "b-frames.avi", "joined.ts", "still.mkv"),
)
FILMS = [film for film in odd.FILMS if film.name in NAMES]
DAMAGED = ("cut-off.mkv", "noisy.mp4")
BROKEN = [broken for broken in odd.BROKEN if broken.name in ("empty.mp4", "no-index.mp4", "huge.avi")]
PLAYLIST = "list.mp4"
# Several clips of each film, down to single frames, and whatever they show.
ALL = (
    "--set",
    "split.max_seconds=0.4",
    "--set",
    "split.min_frames=4",
    "--set",
    "select={rules: [{field: frames, min: 1}], max_black: null, max_frozen: null}",
    "--set",
    "split.gradual=false",
)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    making, folder = tmp_path_factory.mktemp("making"), tmp_path_factory.mktemp("odd")
    makers = {one.name: one.make for one in (*FILMS, *BROKEN)} | {name: odd.DAMAGED[name] for name in DAMAGED}
    for name, make in makers.items():
        make(making / name)
        (making / name).rename(folder / name)
    lists = odd.elsewhere(making, "http://127.0.0.1:9/film.mp4", str(folder / "plain.mp4"))
    next(path for path in lists if path.name == PLAYLIST).rename(folder / PLAYLIST)
    return folder


@pytest.fixture(scope="module")
def out(footage: Path, reelmill: Reelmill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("outputs") / "odd"
    done = reelmill("curate", footage, "--out", out, *ALL)
    assert done.returncode == 0, done.stderr
    return out


def _rows(out: Path, table: str) -> list[dict]:
    rows: list[dict] = pq.read_table(out / table).to_pylist()
    return rows


def test_what_can_be_read_is_known_and_what_cannot_has_a_reason(out: Path) -> None:
    sources = {row["source_id"]: row for row in _rows(out, "sources")}
    for film in FILMS:
        found = sources.pop(film.name)
        assert (found["status"], found["frames"], found["mended"]) == ("ok", film.frames, film.mended), film.name
        assert (found["width"], found["height"]) == film.size
        assert bool(found["warning"]) == bool(film.warning), found["warning"]
    for name in DAMAGED:
        found = sources.pop(name)
        assert found["status"] == "ok" and found["warning"] and found["frames"] >= 10
    for broken in BROKEN:
        found = sources.pop(broken.name)
        assert found["status"] == "failed" and broken.reason in found["error"]
    found = sources.pop(PLAYLIST)
    assert found["status"] == "failed" and "points to other files" in found["error"]
    assert not sources


def test_every_clip_is_a_sample_with_all_its_frames_and_times(out: Path) -> None:
    clips = {row["clip_id"]: row for row in _rows(out, "clips")}
    cut = {row["clip_id"]: row for row in samples(out)}
    assert cut.keys() == clips.keys() and len(clips) > 3 * len(FILMS)
    for clip_id, clip in clips.items():
        assert cut[clip_id]["frames"] == clip["frames"]
        assert cut[clip_id]["frame_pts"][0] == 0
        last = cut[clip_id]["frame_pts"][-1] * Fraction(cut[clip_id]["frame_time_base"])
        assert last < (clip["end_pts"] - clip["start_pts"]) * Fraction(clip["time_base"])


def test_every_cut_shows_what_the_source_shows_from_its_first_frame_to_its_last(
    footage: Path, out: Path, tmp_path: Path
) -> None:
    by_source = defaultdict(list)
    for sample in samples(out):
        by_source[sample["source_id"]].append(sample)
    for name, cuts in by_source.items():
        source = list(_pictures(footage / name))
        for sample in cuts:
            first = next(number for number, (pts, _) in enumerate(source) if pts == sample["start_pts"])
            shown = films.decoded(_extracted(out, sample, tmp_path))
            for at in (0, -1):
                wanted = source[first + (at if at == 0 else len(shown) - 1)][1]
                wanted = cv2.resize(wanted, shown[at].shape[1::-1], interpolation=cv2.INTER_AREA)
                assert np.abs(wanted.astype(int) - shown[at]).mean() < 8, (name, sample["start_pts"], at)


def _pictures(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """(pts, upright picture) of every frame of a source."""
    with opened(path) as (container, stream):
        for pts, frame in Decoder(container, stream).frames():
            yield pts, upright(frame.to_ndarray(format="rgb24"), header(stream, frame))


def _extracted(out: Path, sample: dict, folder: Path) -> Path:
    path = folder / "clip.mp4"
    with open(out / "shards" / sample["shard"], "rb") as tar:
        tar.seek(sample["offset"])
        path.write_bytes(tar.read(sample["bytes"]))
    return path


def test_the_sums_hold(out: Path) -> None:
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["inputs"] == len(FILMS) + len(DAMAGED) + len(BROKEN) + 1
    assert ledger["sources"]["ok"] == len(FILMS) + len(DAMAGED)
    assert ledger["sources"]["failed"] == len(BROKEN) + 1
    assert ledger["samples"]["failed"] == 0
    assert ledger["clips"]["all"] == ledger["clips"]["kept"] == ledger["samples"]["in shards"]
