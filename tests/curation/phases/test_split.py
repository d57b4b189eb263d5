"""A source's rows say what is in it: scenes, transitions between them, and what each shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curation import recipe, tables
from curation.phases import Output, Unit
from curation.phases.select import decide
from curation.phases.split import Split
from tests.shots import dissolve, encode, shot


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two shots, a dissolve, a frozen picture and black, and a file that is none."""
    folder = tmp_path_factory.mktemp("films")
    first, second = shot(1, 60), shot(2, 70)
    still, black = shot(3, 1) * 100, [np.full_like(first[0], 1)] * 30
    film = [*first[:40], *dissolve(first[40:], second[:20]), *second[20:], *still, *black]
    encode(folder / "a.mp4", film, options={"g": "25", "preset": "veryfast"})
    (folder / "b.mp4").write_text("words")
    return folder


def _split(folder: Path, scratch: Path, *overrides: str) -> Output:
    phase = Split(recipe.load(str(folder), overrides))
    phase.setup()
    given = {"kind": "video", "caption": None, "category": "sea", "licence": None, "meta": None, "error": None}
    rows = [{"source_id": name, "uri": str(folder / name), **given} for name in ("a.mp4", "b.mp4")]
    output = phase.process(Unit(0, ""), rows, scratch)
    assert not list(scratch.iterdir())
    for name in phase.writes:
        assert tables.table(output.tables[name], phase.schema(name)).num_rows
    return output


def test_scenes_and_transitions_are_rows_that_follow_each_other(folder: Path, tmp_path: Path) -> None:
    output = _split(folder, tmp_path)
    clips = output.tables["clips"]
    assert [clip["kind"] for clip in clips] == ["scene", "dissolve", "scene", "scene", "scene"]
    ends = [clip["end_s"] * 25 for clip in clips]
    assert ends == pytest.approx([40, 60, 110, 210, 240], abs=1.01)
    assert ends[2:] == pytest.approx([110, 210, 240])
    assert [clip["scene"] for clip in clips] == [0, 1, 2, 3, 4]
    assert all(before["end_pts"] == after["start_pts"] for before, after in zip(clips, clips[1:]))
    good, bad = output.tables["sources"]
    assert (good["frames"], good["clips"], good["status"]) == (240, 5, "ok")
    assert (bad["clips"], bad["status"]) == (0, "failed")
    assert output.counts == {"sources": 2, "failed": 1, "clips": 5}


def test_seconds_are_the_timestamps_and_every_picture_has_a_hash_and_a_time(folder: Path, tmp_path: Path) -> None:
    for clip in _split(folder, tmp_path, "split.thumbnails=4").tables["clips"]:
        tick = Fraction(clip["time_base"])
        assert clip["start_s"] == float(clip["start_pts"] * tick)
        assert clip["end_s"] == float(clip["end_pts"] * tick)
        assert len(clip["thumbnails"]) == len(clip["phash"]) == len(clip["thumbnail_s"]) <= 4
        assert all(jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9") for jpeg in clip["thumbnails"])
        assert all(clip["start_s"] <= second < clip["end_s"] for second in clip["thumbnail_s"])


@pytest.mark.parametrize("length", ["1", "2.5"])
def test_segments_do_not_show_in_the_rows(folder: Path, tmp_path: Path, length: str) -> None:
    whole = _split(folder, tmp_path, "split.segment_s=null").tables
    assert _split(folder, tmp_path, f"split.segment_s={length}").tables == whole


def test_default_rules_keep_scenes_that_show_something(folder: Path, tmp_path: Path) -> None:
    clips = tables.table(_split(folder, tmp_path).tables["clips"], tables.CLIPS)
    rules = [rule for rule in recipe.load(str(folder)).select.every_rule if rule.field != "height"]
    selection, _ = decide(clips, rules, captioned=False)
    assert selection["drop_reasons"].to_pylist() == [
        [],
        ["kind is dissolve"],
        [],
        ["frozen > 0.9"],
        ["black > 0.5", "frozen > 0.9"],
    ]
