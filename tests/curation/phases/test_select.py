"""Rules decide by columns alone, with every reason, and percentiles mean what they say."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import tables
from curation.errors import UserError
from curation.phases.select import decide
from curation.phases.select.rules import check
from curation.recipe_select import Rule, Select

SCHEMA = pa.schema([*tables.CLIPS, tables.column("signal", pa.float32(), "", null=True), *tables.CAPTIONS])


def _clips(**values: list) -> pa.Table:
    count = len(next(iter(values.values())))
    return pa.table({"clip_id": [f"{number:016x}" for number in range(count)], **values})


def _decide(clips: pa.Table, *rules: Rule, captioned: bool = True) -> list[list[str]]:
    selection, _ = decide(clips, list(rules), captioned=captioned)
    rows = selection.to_pylist()
    assert all(row["kept"] == (not row["drop_reasons"]) for row in rows)
    return [row["drop_reasons"] for row in rows]


def test_every_failing_rule_is_a_reason() -> None:
    clips = _clips(frames=[10, 20, 10], height=[720, 100, 100])
    rules = (Rule(field="frames", min=16), Rule(field="height", min=240))
    assert _decide(clips, *rules) == [["frames < 16"], ["height < 240"], ["frames < 16", "height < 240"]]


def test_bounds_are_inclusive_and_two_sided() -> None:
    clips = _clips(motion=[0.1, 0.2, 0.3, 0.4, 0.5])
    assert _decide(clips, Rule(field="motion", between=(0.2, 0.4))) == [["motion < 0.2"], [], [], [], ["motion > 0.4"]]


def test_missing_values_are_dropped_for_that_reason() -> None:
    clips = _clips(signal=[1.0, None, float("nan")])
    assert _decide(clips, Rule(field="signal", min=0)) == [[], ["no signal"], ["no signal"]]


def test_rules_on_captions_see_only_clips_that_passed_the_others() -> None:
    clips = _clips(frames=[10, 20, 20], caption_words=[None, 5, 2])
    rules = (Rule(field="caption_words", min=3), Rule(field="frames", min=16))
    assert _decide(clips, *rules) == [["frames < 16"], [], ["caption_words < 3"]]
    assert _decide(clips, *rules, captioned=False) == [["frames < 16"], [], []]


def test_text_columns_are_chosen_by_value() -> None:
    clips = _clips(category=["Travel", "Ads", None])
    assert _decide(clips, Rule(field="category", one_of=["Travel"])) == [[], ["category is Ads"], ["no category"]]


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
    low=st.integers(0, 100),
    high=st.integers(0, 100),
)
def test_percentiles_are_those_of_numpy(values: list[float], low: int, high: int) -> None:
    low, high = sorted((low, high))
    clips = _clips(signal=pa.array(values, pa.float32()))
    _, (resolved,) = decide(clips, [Rule(field="signal", between=(f"p{low}", f"p{high}"))], captioned=True)
    expected = np.percentile(np.array(values, np.float32).astype(float), [low, high])
    assert [resolved.least, resolved.greatest] == pytest.approx(list(expected), rel=1e-6, abs=1e-6)


@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), count=st.integers(1, 200), at=st.floats(0, 99))
def test_percentiles_of_equal_values_drop_none_of_them(value: float, count: int, at: float) -> None:
    clips = _clips(signal=pa.array([value] * count, pa.float32()), category=["a"] * count)
    for by in (None, "category"):
        rule = Rule(field="signal", between=(f"p{at:.6f}", f"p{at:.6f}"), by=by)
        assert _decide(clips, rule) == [[]] * count


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.none() | st.floats(-1e300, 1e300)), min_size=1, max_size=60
    ),
    at=st.integers(0, 100),
)
def test_percentiles_by_group_are_those_of_each_group_alone(
    rows: list[tuple[str | None, float | None]], at: int
) -> None:
    clips = _clips(
        category=pa.array([name for name, _ in rows], pa.string()), signal=pa.array([v for _, v in rows], pa.float64())
    )
    decided = _decide(clips, Rule(field="signal", min=f"p{at}", by="category"))
    for group in {name for name, _ in rows}:
        own = [place for place, (name, _) in enumerate(rows) if name == group]
        alone = _decide(clips.take(own), Rule(field="signal", min=f"p{at}"))
        told = {f"signal < p{at} of category": f"signal < p{at}"}
        assert [[told.get(reason, reason) for reason in decided[place]] for place in own] == alone


@given(values=st.lists(st.floats(width=32) | st.none(), min_size=1, max_size=30), at=st.integers(0, 100))
def test_what_is_not_finite_never_moves_a_percentile(values: list[float | None], at: int) -> None:
    clips = _clips(signal=pa.array(values, pa.float32()))
    finite = [value for value in values if value is not None and np.isfinite(value)]
    _, (resolved,) = decide(clips, [Rule(field="signal", min=f"p{at}")], captioned=True)
    if finite:
        assert min(finite) <= resolved.least <= max(finite)
    else:
        assert resolved.least is None


def test_infinite_values_are_beyond_every_bound() -> None:
    clips = _clips(signal=[float("-inf"), 1.0, float("inf")])
    assert _decide(clips, Rule(field="signal", between=(0, 2))) == [["signal < 0"], [], ["signal > 2"]]


def test_bounds_are_inclusive_in_the_precision_of_the_column() -> None:
    clips = _clips(black=pa.array([0.3, 0.7], pa.float32()))
    assert _decide(clips, Rule(field="black", between=(0.3, 0.7))) == [[], []]


def test_a_rule_for_videos_is_none_for_images() -> None:
    clips = _clips(kind=["scene", "image", "scene"], frames=[10, 1, 20], height=[100, 100, 900])
    rules = (Rule(field="frames", min=16, kind="video"), Rule(field="height", min="p100", kind="video"))
    assert _decide(clips, *rules) == [["frames < 16", "height < p100"], [], []]
    assert _decide(clips, Rule(field="height", min=240, kind="image")) == [[], ["height < 240"], []]


def test_an_image_passes_the_default_rules_as_its_picture_deserves() -> None:
    clips = _clips(
        kind=["image", "image", "scene", "dissolve"],
        black=[0.0, 1.0, 0.0, 0.0],
        frozen=[None, None, 0.95, 0.0],
        frames=[1, 1, 40, 40],
        height=[512, 512, 512, 512],
        caption_words=[5, 5, 5, 5],
    )
    why = [[], ["black > 0.5"], ["frozen > 0.9"], ["kind is dissolve"]]
    assert _decide(clips, *Select().every_rule) == why


def test_clips_without_a_value_can_be_kept() -> None:
    clips = _clips(signal=[1.0, None, 5.0])
    assert _decide(clips, Rule(field="signal", min=2, missing="keep")) == [["signal < 2"], [], []]


def test_text_can_be_forbidden_and_searched() -> None:
    clips = _clips(category=["Travel", "Ads", None], caption=["a red car", "A Logo appears", None])
    assert _decide(clips, Rule(field="category", none_of=["Ads"])) == [[], ["category is Ads"], []]
    assert _decide(clips, Rule(field="caption", lacks="(?i)logo")) == [[], ["caption has (?i)logo"], []]
    assert _decide(clips, Rule(field="caption", matches="car$")) == [[], ["caption lacks car$"], ["no caption"]]


def test_no_clips_are_no_trouble() -> None:
    clips = _clips(signal=pa.array([], pa.float32()), kind=pa.array([], pa.string()))
    rules = [Rule(field="signal", min="p5", by="kind", kind="video"), Rule(field="kind", one_of=["scene"])]
    assert _decide(clips, *rules) == []


def test_percentile_rule_keeps_its_share() -> None:
    clips = _clips(signal=[float(value) for value in range(100)])
    dropped = [why for why in _decide(clips, Rule(field="signal", min="p25")) if why]
    assert dropped == [["signal < p25"]] * 25


def test_order_of_clips_is_the_order_of_decisions() -> None:
    clips = _clips(frames=[20, 10, 30])
    selection, _ = decide(clips, [Rule(field="frames", min=16)], captioned=True)
    assert selection["clip_id"].to_pylist() == clips["clip_id"].to_pylist()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(field="sharpnes", min=1), "did you mean 'sharpness'?"),
        (Rule(field="category", min=1), "no min or max; use one_of"),
        (Rule(field="frames", one_of=["a"]), "holds numbers"),
        (Rule(field="phash", min=1), "'phash' holds list"),
        (Rule(field="signal", min="p5", by="categry"), "0.by: no column 'categry'; did you mean 'category'?"),
        (Rule(field="signal", min="p5", by="height"), "'height' holds no text"),
        (Rule(field="caption", lacks="(?<x"), "select.rules.0.lacks: not a regular expression"),
    ],
)
def test_rule_that_cannot_work_is_refused(rule: Rule, expected: str) -> None:
    with pytest.raises(UserError, match=re.escape(expected)):
        check([rule], SCHEMA)
