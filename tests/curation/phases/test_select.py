"""Rules decide by columns alone, with every reason, and percentiles mean what they say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import tables
from curation.errors import UserError
from curation.phases.select import columns, decide
from curation.recipe import Rule

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
    ],
)
def test_rule_that_cannot_work_is_refused(rule: Rule, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        columns([rule], SCHEMA)
