"""What notebooks are made of: thresholds together, clips at the edge, manifests with a moved threshold, forks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from curation.errors import UserError
from curation.explore import Output
from curation.explore.edge import edge
from curation.explore.rules import moved
from curation.phases import select
from curation.phases.select.what_if import grid
from curation.plan import Plan
from curation.recipe import Recipe
from curation.recipe_select import Rule
from curation.store import Place
from curation.validate import as_yaml
from curation.whatif import Grounds
from tests.conftest import samples
from tests.curation.phases.test_report import a_clip, finished
from tests.curation.phases.test_report import recipe as a_recipe

RULES: list[dict[str, Any]] = [
    {"field": "signal", "min": "p20"},
    {"field": "motion", "between": ["p5", 0.4], "missing": "keep"},
]
MANIFEST = """\
# Ours.
name: films
sources:
  - files: films        # all of them
select:
  rules:
    - {field: frames, min: 16}    # as the paper
    - {field: motion, between: [p5, p95]}
    - field: signal
      min: p20  # the worst fifth
"""


@pytest.fixture(scope="module")
def made() -> Recipe:
    return a_recipe(RULES)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, made: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("explore") / "out"
    place = finished(folder, made, [a_clip(number, caption="w " * (3 + number % 2)) for number in range(90)])
    place.commit("recipe.yaml", as_yaml(made).encode())
    return folder


def test_every_pair_of_thresholds_keeps_what_a_recipe_with_both_keeps(out: Path, made: Recipe) -> None:
    clips = Plan(made, Place(out)).clips(["duration_s", "kind", "black", "frozen", "signal", "motion", "brightness"])
    given = made.select.every_rule
    for fields, ends, values in (
        (("signal", "motion"), ("min", "max"), (["p50", 5.0], [0.1, "p90"])),
        (("motion", "motion"), ("min", "max"), (["p10"], ["p50"])),
        (("brightness", "signal"), ("min", "max"), (["p30"], ["p70"])),
    ):
        found = grid(clips, given, fields, ends, values, captioned=False)  # type: ignore[arg-type]
        assert sum(row["now"] for row in found.rows.to_pylist()) == 1
        for row in found.rows.to_pylist():
            rules = _with(_with(list(given), fields[0], ends[0], row["first"]), fields[1], ends[1], row["second"])
            kept = select.decide(clips, rules, captioned=False)[0]["kept"].to_numpy()
            assert (row["clips"], row["share"]) == (kept.sum(), kept.mean()), row
            assert row["hours"] == pytest.approx(clips["duration_s"].to_numpy()[kept].sum() / 3600)


def _with(rules: list[Rule], field: str, end: str, text: str) -> list[Rule]:
    """One bound of a rule as the grid says it, by another way than the grid's own."""
    bound = None if text == "none" else text if text.startswith("p") else float(text)
    bounds = {rule.field: list(rule.bounds) for rule in rules if rule.on_numbers}
    changed = bounds.setdefault(field, [None, None])
    changed[0 if end == "min" else 1] = bound
    kept = [rule for rule in rules if rule.field != field]
    keep = next((rule.missing for rule in rules if rule.field == field), "drop")
    if changed == [None, None]:
        return kept
    return [*kept, Rule(field=field, min=changed[0], max=changed[1], missing=keep)]


def test_the_edge_is_the_nearest_clips_that_pass_everything_else(out: Path, made: Recipe) -> None:
    found = edge(Grounds.of(str(out)), "signal", "min", "p50", 4)
    table = Output(out).clips("signal", "motion")
    values = dict(zip(table["clip_id"].to_pylist(), table["signal"].to_pylist()))
    assert found.threshold == pytest.approx(np.median(table["signal"].to_numpy()))
    without = [rule for rule in made.select.every_rule if rule.field != "signal"]
    clips = Grounds.of(str(out)).clips(["signal"])
    free, _ = select.decide(clips, without, captioned=True)
    passing = {row["clip_id"]: values[row["clip_id"]] for row in free.to_pylist() if row["kept"]}
    inside = sorted(value for value in passing.values() if value >= found.threshold)[:4]
    outside = sorted((value for value in passing.values() if value < found.threshold), reverse=True)[:4]
    assert [clip.value for clip in found.kept] == pytest.approx(inside)
    assert [clip.value for clip in found.dropped] == pytest.approx(outside)
    for clip in [*found.kept, *found.dropped]:
        assert clip.value == passing[clip.clip_id]


def test_figures_are_pictures_and_the_same_each_time(out: Path, tmp_path: Path) -> None:
    opened = Output(out)
    for name, drawing in {
        "sweep": opened.sweep_figures("signal")[0],
        "joint": opened.joint_figure("signal.min", "motion.max"),
        "edge": opened.edge_figure("signal.min"),
    }.items():
        assert drawing.png() == drawing.png() and drawing.png().startswith(b"\x89PNG")
        drawing.save(tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("field", "end", "bound", "before", "after"),
    [
        ("signal", "min", "p35", "min: p20  # the", "min: p35  # the"),
        ("motion", "max", 0.5, "[p5, p95]", "[p5, 0.5]"),
        ("motion", "min", None, "between: [p5, p95]", "max: p95"),
        ("frames", "max", 99, "min: 16}", "min: 16, max: 99}"),
    ],
)
def test_a_moved_threshold_changes_nothing_else(field: str, end: Any, bound: Any, before: str, after: str) -> None:
    found = moved(MANIFEST, field, end, bound, name="m.yaml")
    assert _evenly(found) == _evenly(MANIFEST.replace(before, after))


def _evenly(text: str) -> str:
    """With one space before comments: they keep their column where it is free."""
    return re.sub(" +#", " #", text)


def test_thresholds_come_and_go_as_rules(tmp_path: Path) -> None:
    added = moved(MANIFEST, "brightness", "min", 0.1, name="m.yaml")
    assert yaml.safe_load(added)["select"]["rules"][-1] == {"field": "brightness", "min": 0.1}
    assert "# Ours." in added and "# as the paper" in added
    gone = yaml.safe_load(moved(MANIFEST, "frames", "min", None, name="m.yaml"))["select"]["rules"]
    assert [rule["field"] for rule in gone] == ["motion", "signal"]
    assert moved(MANIFEST, "height", "min", None, name="m.yaml") == MANIFEST
    bare = yaml.safe_load(moved("name: a\nsources: [{files: b}]\n", "signal", "min", 2.5, name="m.yaml"))
    fields = [rule["field"] for rule in bare["select"]["rules"]]
    assert fields == ["frames", "caption_words", "height", "signal"]  # the defaults go on to hold


def test_a_fork_is_sharded_by_other_rules_without_decoding(dataset: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    opened = Output(dataset)
    stricter = opened.with_threshold("frames.min", 40, write=tmp_path / "stricter.yaml")
    forked = opened.fork(tmp_path / "fork").curate(stricter)
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    assert {row["key"] for row in samples(tmp_path / "fork")} == {
        row["key"] for row in samples(dataset) if row["frames"] >= 40
    }
    events = [json.loads(line) for path in (tmp_path / "fork").glob("events*.jsonl") for line in path.open()]
    assert {event["phase"] for event in events if event.get("event") == "start"} <= {"cut", "shard", "caption"}
    assert forked.samples("frames").num_rows == forked.sums["samples"]["in shards"]
    again = opened.fork(tmp_path / "fork")
    assert again.recipe == forked.recipe


def test_a_fork_never_falls_on_another_output(out: Path, dataset: Path, tmp_path: Path) -> None:
    for into in (out, dataset):
        with pytest.raises(UserError, match="itself|other sources"):
            Output(out).fork(into)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        Output(out).fork(tmp_path)


def test_what_cannot_be_looked_at_is_one_line(out: Path, tmp_path: Path) -> None:
    for ask, expected in (
        (lambda: Output(tmp_path), "no output of reelmill"),
        (lambda: Output(out).clips("sgnal"), "no column 'sgnal'"),
        (lambda: Output(out).edge_figure("signal"), "say signal.min or signal.max"),
        (lambda: Output(out).edge_figure("brightness.min"), "say which value"),
        (lambda: Output(out).joint("signal.min", "signal.min"), "two thresholds"),
    ):
        with pytest.raises(UserError, match=expected) as told:
            ask()
        assert "\n" not in str(told.value)
