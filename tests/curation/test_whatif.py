"""What-if says what a run with that threshold would keep, and touches nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.errors import UserError
from curation.phases import select
from curation.phases.select.what_if import sweep
from curation.plan import Plan
from curation.recipe import Recipe
from curation.recipe_select import Rule
from curation.store import Place
from curation.validate import as_yaml, parse
from curation.whatif import lines, what_if
from tests.conftest import Reelmill
from tests.curation.phases.test_report import a_clip, finished
from tests.curation.phases.test_report import recipe as a_recipe

RULES = [
    {"field": "frames", "min": 16},
    {"field": "signal", "min": "p20"},
    {"field": "motion", "between": ["p5", 0.4], "missing": "keep"},
    {"field": "caption_words", "min": 3},
]


@pytest.fixture(scope="module")
def made() -> Recipe:
    return a_recipe(RULES)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, made: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("whatif") / "out"
    place = finished(folder, made, [a_clip(number, caption="w " * (3 + number % 2)) for number in range(90)])
    place.commit("recipe.yaml", as_yaml(made).encode())
    return folder


def _state(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_line_is_what_those_rules_keep(out: Path, made: Recipe) -> None:
    """With all captions there: each value against a decision by a recipe with that value in its place."""
    clips = Plan(made, Place(out)).clips(["duration_s", "height", "category", "kind", "black", "frozen", *_fields()])
    clips = clips.set_column(
        clips.column_names.index("caption_words"),
        "caption_words",
        pa.array([3 + at % 2 for at in range(clips.num_rows)]),
    )
    for field, end, values in (
        ("signal", "min", [1.0, "p50", 9.0]),
        ("motion", "max", ["p50", 0.1]),
        ("height", "min", [360]),
    ):
        found = sweep(clips, made.select.every_rule, field, end, values, captioned=True)
        for row in found.rows.to_pylist():
            if row["bound"] == "none":
                continue
            bound = row["bound"] if row["bound"].startswith("p") else float(row["bound"])
            rules = [_with(Rule(**rule), field, end, bound) for rule in RULES]
            rules += [Rule(field="height", min=bound)] if field == "height" else []
            built_in = made.select.every_rule[: -len(RULES)]
            selection, _ = select.decide(clips, [*built_in, *rules], captioned=True)
            kept = selection["kept"].to_numpy()
            assert row["clips"] == kept.sum()
            assert row["hours"] == pytest.approx(clips["duration_s"].to_numpy()[kept].sum() / 3600)


def _fields() -> list[str]:
    return [str(rule["field"]) for rule in RULES]


def _with(rule: Rule, field: str, end: str, bound: float | str) -> Rule:
    if rule.field != field:
        return rule
    low, high = rule.bounds
    low, high = (bound, high) if end == "min" else (low, bound)
    return Rule(field=field, min=low, max=high, missing=rule.missing)


def test_an_output_is_swept_by_its_own_recipe_and_stays_as_it_is(out: Path) -> None:
    before = _state(out)
    (low, high) = what_if(str(out), "motion")
    assert (low.end, high.end) == ("min", "max")
    assert [row["bound"] for row in low.rows.to_pylist() if row["now"]] == ["p5"]
    assert [row["bound"] for row in high.rows.to_pylist() if row["now"]] == ["0.4"]
    kept = Place(out).table("selection.parquet")["kept"].to_pylist().count(True)
    for found in (low, high, *what_if(str(out), "signal=1:3:1"), *what_if(str(out), "height.max")):
        rows = {row["bound"]: row for row in found.rows.to_pylist()}
        assert next(row for row in rows.values() if row["now"])["clips"] == kept
        assert len({len(line.removesuffix("  <- now")) for line in lines(found)[1:]}) == 1
    assert _state(out) == before


def test_looser_rules_say_what_they_would_have_to_caption(out: Path) -> None:
    (found,) = what_if(str(out), "frames=4,16")
    loose, now = found.rows.to_pylist()
    assert now["now"] and now["uncaptioned"] == 0 and loose["uncaptioned"] > 0
    assert "to caption" in lines(found)[1]


def test_clips_without_captions_are_swept_by_the_other_rules(out: Path, tmp_path: Path, made: Recipe) -> None:
    for table in ("clips", "scores"):
        (tmp_path / table).mkdir()
        for path in (out / table).iterdir():
            (tmp_path / table / path.name).write_bytes(path.read_bytes())
    (found,) = what_if(str(tmp_path), "signal=p20", made)
    plan = Plan(made, Place(tmp_path))
    assert found.rows["clips"].to_pylist() == [sum(plan.selection(captioned=False)["kept"].to_pylist())]


def test_percentiles_by_group_are_swept_as_such() -> None:
    chance = np.random.default_rng(0)
    table = pa.table(
        {
            "clip_id": [f"{number:016x}" for number in range(100)],
            "duration_s": [36.0] * 100,
            "category": ["a", "b"] * 50,
            "signal": chance.random(100) + np.tile([0, 5], 50),
        }
    )
    found = sweep(table, [Rule(field="signal", min="p50", by="category")], "signal", "min", captioned=False)
    rows = {row["bound"]: row for row in found.rows.to_pylist()}
    assert rows["p50"]["now"] and rows["p50"]["clips"] == 50 and rows["p50"]["hours"] == pytest.approx(0.5)
    assert rows["p90"]["clips"] == 10 and rows["p90"]["value"] is None
    assert list(rows) == sorted(rows, key=lambda name: float(name[1:]))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("sgnal", "no column 'sgnal'; did you mean 'signal'"),
        ("category", "'category' holds string; a threshold needs numbers"),
        ("frames.least", "say frames.min or frames.max"),
        ("frames=1:2", "expected START:STOP:STEP"),
        ("frames=1:1e9:1e-9", "expected START:STOP:STEP"),
        ("frames=p101", "expected START:STOP:STEP"),
        ("frames=nan", "expected START:STOP:STEP"),
    ],
)
def test_what_cannot_be_swept_is_one_line(out: Path, asked: str, expected: str) -> None:
    with pytest.raises(UserError) as told:
        what_if(str(out), asked)
    assert expected in str(told.value) and "\n" not in str(told.value)


def test_the_command_prints_sweeps_and_writes_nothing(out: Path, tmp_path: Path, reelmill: Reelmill) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        as_yaml(parse({"name": "a", "sources": [{"files": ["b"]}], "select": {"rules": RULES}}, Recipe))
    )
    before = _state(out)
    found = reelmill("select", manifest, "--out", out, "--what-if", "signal", "--what-if", "frames=16,32")
    assert found.returncode == 0, found.stderr
    assert "signal at least" in found.stdout and "<- now" in found.stdout and "frames at least" in found.stdout
    assert _state(out) == before
