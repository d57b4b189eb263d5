"""Balance keeps no more of a group than it may, always the same ones, and the best where it is asked to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import tables
from curation.errors import UserError
from curation.phases import select
from curation.phases.select import balanced
from curation.recipe import Recipe
from curation.recipe_select import Balance, Rule, Select
from curation.validate import parse

GROUPS = st.lists(st.tuples(st.sampled_from(["sea", "city", None]), st.integers(0, 3)), max_size=40)


def _clips(rows: list[tuple[str | None, int]]) -> pa.Table:
    ids = [tables.clip_id("film", number, number + 1, "1/25") for number in range(len(rows))]
    groups, scores = pa.array([name for name, _ in rows], pa.string()), pa.array([score for _, score in rows])
    return pa.table({"clip_id": pa.array(ids, pa.string()), "category": groups, "signal": scores})


def _kept(clips: pa.Table, balance: Balance, rows: np.ndarray | None = None) -> set[str]:
    every = np.ones(clips.num_rows, np.bool_) if rows is None else rows
    verdict = balanced(clips, balance, ["signal"], every)
    return set(clips.filter(pa.array(verdict.passed & every))["clip_id"].to_pylist())


@settings(max_examples=60)
@given(rows=GROUPS, most=st.integers(1, 12), choose=st.sampled_from(["best", "random"]), seed=st.integers(0, 9))
def test_groups_keep_their_most_and_no_more_in_any_order(
    rows: list[tuple[str | None, int]], most: int, choose: str, seed: int
) -> None:
    clips = _clips(rows)
    balance = Balance(most=most, choose=choose, seed=seed)
    kept = _kept(clips, balance)
    of = dict(zip(clips["clip_id"].to_pylist(), rows))
    sizes = Counter(name for name, _ in rows)
    assert Counter(of[clip][0] for clip in kept) == {name: min(size, most) for name, size in sizes.items()}
    if choose == "best":
        for clip, (name, score) in of.items():
            assert clip in kept or all(of[other][1] >= score for other in kept if of[other][0] == name)
    mixed = np.random.default_rng(seed).permutation(len(rows))
    assert _kept(clips.take(pa.array(mixed, pa.int64())), balance) == kept


def test_the_limit_can_follow_the_median_group() -> None:
    clips = _clips([("a", 0)] * 2 + [("b", 0)] * 4 + [("c", 0)] * 30)
    assert len(_kept(clips, Balance(times_median=1.5))) == 2 + 4 + 6


def test_another_seed_keeps_other_clips() -> None:
    clips = _clips([("a", 0)] * 40)
    kept = [_kept(clips, Balance(most=20, choose="random", seed=seed)) for seed in range(3)]
    assert kept[0] != kept[1] != kept[2] and all(5 <= len(kept[0] & other) <= 15 for other in kept[1:])


def test_only_what_is_left_counts_and_balance_is_the_last_reason() -> None:
    clips = _clips([("a", 9), ("a", 5), ("a", 1), ("a", 2)])
    selection, _ = select.decide(
        clips,
        [Rule(field="signal", max=6)],
        captioned=True,
        limit=lambda rows: balanced(clips, Balance(most=2), ["signal"], rows),
    )
    why = [["signal > 6"], [], ["balance: more than 2 of one category"], []]
    assert selection["drop_reasons"].to_pylist() == why


def test_balance_that_cannot_work_is_refused() -> None:
    known = pa.schema([*tables.CLIPS, *tables.CAPTIONS.remove(0)])
    with pytest.raises(UserError, match="select.balance.by: no column 'categories'; did you mean 'category'"):
        select.check(Select(balance=Balance(by="categories", most=1)), known)
    with pytest.raises(UserError, match="select.balance.by: 'height' holds no text"):
        select.check(Select(balance=Balance(by="height", most=1)), known)
    with pytest.raises(UserError, match="needs either most or times_median"):
        parse({"name": "a", "sources": [{"files": "b"}]}, Recipe, ["select.balance={by: category}"])
