"""The benchmark of scenes: its scores on hand-made cases, and joined footage that is what its truth says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.joined import SETS, make
from benchmarks.joined.plan import FORMATS, Format, planned
from benchmarks.joined.score import Found, Score, scored
from benchmarks.joined.shots import Shot, halves
from benchmarks.joined.transitions import Join, deck
from benchmarks.joined.traps import FRAMES, Trap, View
from benchmarks.joined.truth import Truth, read
from benchmarks.scene_accuracy import finders, measured
from tests import films
from tests.films import Scene

SMALL = Format("small.mp4", "mpeg4", (96, 64), 25, {"b": "2M", "g": "12"})
COLOURS = ((230, 30, 30), (20, 60, 20), (40, 60, 220), (220, 220, 60), (30, 30, 30), (200, 200, 210), (120, 20, 120))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one film of long shots, and its truth."""
    folder = tmp_path_factory.mktemp("source")
    films.write(folder / "source.mp4", [Scene(150, colour, step=1) for colour in COLOURS * 2], size=(160, 96))
    facts = Truth("source.mp4", 24, 150 * 14, hard_cuts=list(range(150, 150 * 14, 150)))
    (folder / "source.json").write_text(json.dumps(facts.to_json()))
    return folder


@pytest.fixture(scope="module")
def joined(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films of the set `tune`, small and short."""
    return make(tmp_path_factory.mktemp("joined"), source, source, ("tune",), formats=_formats())


def _formats() -> tuple[Format, ...]:
    return tuple(Format(f"{number}.mp4", SMALL.codec, SMALL.size, SMALL.fps, SMALL.options) for number in range(8))


def test_joined_footage_changes_shots_where_its_truth_says(joined: list[Path]) -> None:
    path = joined[0]
    truth = next(one for one in read(path.parent) if one.file == path.name)
    frames = [frame.astype(np.float32) for frame in films.decoded(path)]
    assert len(frames) == truth.frames
    assert len(truth.hard_cuts) >= len(truth.gradual) == 6
    for cut in truth.hard_cuts:
        assert _change(frames, cut - 1, cut) > 12
        assert _change(frames, cut - 2, cut - 1) < 0.6 * _change(frames, cut - 1, cut)
    for (first, last), kind in zip(truth.gradual, truth.kinds):
        assert _change(frames, first - 1, last + 1) > 12, kind
        assert _change(frames, first - 2, first - 1) < 5, kind
        assert _change(frames, last + 1, last + 2) < 5, kind


def _change(frames: list[np.ndarray], one: int, other: int) -> float:
    return float(np.abs(frames[one] - frames[other]).mean())


def test_joined_footage_has_every_kind_of_transition_and_trap(joined: list[Path]) -> None:
    truths = read(joined[0].parent)
    kinds = Counter((kind, last - first + 1) for one in truths for (first, last), kind in zip(one.gradual, one.kinds))
    assert kinds == Counter((join.kind, join.frames) for join in deck(1))
    assert all({kind for _, kind in one.traps} == set(FRAMES) for one in truths)
    for one in truths:
        known = sorted([*one.gradual, *[(cut, cut) for cut in one.hard_cuts]])
        assert all(b < first - 10 or a > last + 10 for (first, last), _ in one.traps for a, b in known)


def test_joined_footage_is_the_same_for_a_seed(source: Path, joined: list[Path], tmp_path: Path) -> None:
    shots = halves(source, read(source))[0]
    assert planned(shots, 5) == planned(shots, 5)
    assert planned(shots, 5) != planned(shots, 6)
    again = make(tmp_path, source, source, ("tune",), formats=_formats())
    assert again[0].read_bytes() == joined[0].read_bytes()


def test_the_sets_share_no_shot(source: Path) -> None:
    early, late = halves(source, read(source))
    assert early and late
    assert max(shot.first + shot.frames for shot in early) <= min(shot.first for shot in late)
    assert len(SETS) == 2


def test_footage_without_long_shots_is_refused(source: Path) -> None:
    shot = halves(source, read(source))[0][0]
    short = [Shot(shot.path, first, 50, shot.pts, shot.look) for first in (0, 60, 120)]
    with pytest.raises(ValueError, match="longer footage is needed"):
        planned(short, 1, FORMATS)


@pytest.mark.parametrize("join", sorted(set(deck(1)), key=repr), ids=lambda join: f"{join.kind} {join.frames}")
def test_no_frame_of_a_transition_is_purely_of_one_shot(join: Join) -> None:
    before, after = np.full((90, 160, 3), 60, np.uint8), np.full((90, 160, 3), 200, np.uint8)
    for number in range(join.frames):
        picture = join.picture(number, before, after)
        assert (picture != before).any()
        assert (picture != after).any()


@pytest.mark.parametrize("kind", FRAMES)
def test_a_trap_is_over_when_it_says(kind: str) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (90, 160, 3), np.uint8)
    trap = Trap(kind, 20, 4)
    still = [trap.seen(number, picture, View(1.0), (96, 64)) for number in range(20 + trap.frames + 3)]
    assert all((frame == still[0]).all() for frame in still[:20])
    assert any((frame != still[0]).any() for frame in still[20 : 20 + trap.frames])
    assert all((frame == still[-1]).all() for frame in still[20 + trap.frames :])


KNOWN = Truth(
    "a film",
    25,
    1000,
    hard_cuts=[100, 200, 300],
    gradual=[(400, 419), (500, 509)],
    kinds=["dissolve", "wipe"],
    ignore=[(900, 999)],
    traps=[((600, 601), "flash"), ((700, 720), "pan")],
)


def test_a_perfect_answer_scores_one() -> None:
    score = scored(KNOWN, Found([100, 200, 300], [(400, 420), (500, 510)]))
    assert score.hard == score.soft == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert (score.overlap, score.leaked, score.lost, score.cuts_inside) == (2.0, 0, 0, 0)
    assert score.kinds_found == {"dissolve 20": 1, "wipe 10": 1}
    assert sum(score.traps_sprung.values()) == 0


def test_cuts_match_one_to_one_within_a_frame() -> None:
    score = scored(KNOWN, Found([99, 100, 201, 302]))
    assert (score.cuts_found, score.cuts_false) == (2, 2)
    assert score.hard["recall"] == pytest.approx(2 / 3)
    assert score.hard["precision"] == 0.5


def test_cuts_inside_a_transition_are_neither_right_nor_wrong() -> None:
    score = scored(KNOWN, Found([100, 200, 300, 405, 410]))
    assert score.hard["f1"] == 1.0
    assert (score.cuts_inside, score.gradual_found, score.gradual_touched) == (2, 0, 1)
    assert score.leaked == score.gradual_frames == 30


def test_a_second_range_on_a_transition_is_false() -> None:
    score = scored(KNOWN, Found([], [(398, 404), (405, 422), (800, 810)]))
    assert (score.gradual_found, score.ranges_false) == (1, 2)
    assert score.overlap == pytest.approx(15 / 22)
    assert score.leaked == 1 + 10
    assert score.lost == 2 + 2 + 10


def test_a_range_stands_for_one_cut_that_it_covers() -> None:
    score = scored(KNOWN, Found([300], [(95, 205)]))
    assert (score.cuts_found, score.cuts_by_range, score.ranges_false) == (1, 1, 1)
    assert score.hard["precision"] == 1.0


def test_ignored_frames_count_nowhere() -> None:
    assert scored(KNOWN, Found([950], [(910, 940)])) == scored(KNOWN, Found([]))


def test_traps_are_sprung_by_false_answers_only() -> None:
    score = scored(KNOWN, Found([602, 300], [(715, 730)]))
    assert score.traps_sprung == {"flash": 1, "pan": 1}


def test_scores_add_up() -> None:
    once = scored(KNOWN, Found([100, 7]))
    twice = sum([once, once], Score())
    assert twice.hard == once.hard
    assert twice.cuts == 6 and twice.kinds["wipe 10"] == 2


@pytest.mark.parametrize("row", ["reelmill exact", "stock content"])
def test_plain_cuts_are_all_found(row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = films.write(tmp_path / "plain.mp4", [Scene(40, colour) for colour in COLOURS[:4]])
    truth = Truth("plain.mp4", 24, 160, hard_cuts=[40, 80, 120])
    figures = measured("films", [(path, truth)], {row: finders()[row]})
    assert figures[row]["pooled"]["hard"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert row in capsys.readouterr().out
