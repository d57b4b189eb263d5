"""The order of training: a pure function that takes every sample once an epoch, and goes on from a few integers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Synthetic, keys, plan

from curation.errors import UserError
from training.stream.buckets import kept_back
from training.stream.order import Epoch, permutation
from training.stream.plan import Cursor, Draws, turn
from training.stream.stock import Generation


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 12))
def test_an_epoch_has_every_sample_once(counts: list[int], window: int) -> None:
    order = Epoch(np.repeat(np.arange(len(counts)), counts), window, 0, 0, "hash")
    assert sorted(order.at(place) for place in range(len(order))) == list(range(sum(counts)))


def test_a_place_is_found_without_those_before_it() -> None:
    shards = np.repeat(np.arange(50), 20)
    order = Epoch(shards, 8, 0, 3, "hash")
    whole = [order.at(place) for place in range(1000)]
    assert [Epoch(shards, 8, 0, 3, "hash").at(place) for place in range(999, 0, -7)] == whole[999:0:-7]


def test_samples_are_mixed_over_the_window_and_few_shards_are_open() -> None:
    shards = np.repeat(np.arange(100), 32)
    order = Epoch(shards, 16, 0, 0, "hash")
    seen = shards[[order.at(place) for place in range(len(order))]]
    for start in range(0, len(seen) - 32, 32):
        assert len(set(seen[start : start + 32])) == 16
    for start in range(0, len(seen) - 320, 64):  # ten shards' worth
        assert len(set(seen[start : start + 320])) <= 16 + 10 + 1
    assert np.mean(seen[:-1] == seen[1:]) < 0.1


def test_a_window_of_everything_is_a_permutation_of_everything() -> None:
    order = Epoch(np.repeat(np.arange(10), 100), 10, 0, 0, "hash")
    places = np.array([order.at(place) for place in range(1000)])
    assert abs(np.corrcoef(places, np.arange(1000))[0, 1]) < 0.1
    assert places.tolist() == permutation(1000, 0, 0, "hash").tolist()


def test_order_depends_on_seed_epoch_and_dataset() -> None:
    orders = [permutation(50, *key) for key in ((0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"))]
    assert len({tuple(order) for order in orders}) == 4


def test_order_never_changes_between_versions() -> None:
    assert permutation(8, 0, 0, "hash").tolist() == [1, 3, 7, 6, 0, 5, 2, 4]
    order = Epoch(np.repeat(np.arange(5), 3), 2, 0, 0, "hash")
    assert [order.at(place) for place in range(15)] == [5, 14, 4, 13, 12, 2, 0, 6, 1, 7, 11, 8, 10, 9, 3]


def test_order_is_the_same_in_another_process() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/training'); from synthetic import *;"
        "print(keys(plan(Synthetic('a', [5, 6, 7]), Synthetic('b', [9]), window=2), Cursor(), 12))"
    )
    here = keys(plan(Synthetic("a", [5, 6, 7]), Synthetic("b", [9]), window=2), Cursor(), 12)
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


def test_epochs_follow_each_other_without_drop_or_padding() -> None:
    stream = keys(plan(Synthetic("a", [4, 5, 4]), batch=5), Cursor(), 13)
    for epoch in range(5):
        assert sorted(number for _, number in stream[epoch * 13 : epoch * 13 + 13]) == list(range(13))


def test_a_cursor_goes_on_through_json_at_any_step() -> None:
    def mixed() -> object:
        return plan(
            Synthetic("a", [30, 30], frames=[20, 100] * 30),
            Synthetic("b", [25]),
            weights=[1.0, [[0, 0.0], [20, 3.0]]],
            buckets=[{"size": [48, 64], "frames": 16}, {"size": [48, 64], "frames": 4}],
            stride=2,
        )

    whole = keys(mixed(), Cursor(), 40)
    for stop in (1, 7, 23):
        at = Cursor()
        before = keys(mixed(), at, stop)
        after = Cursor.from_json(json.loads(json.dumps(dataclasses.asdict(at))))
        assert before + keys(mixed(), after, 40 - stop) == whole


def test_shares_of_datasets_follow_the_curriculum() -> None:
    at = Cursor()
    taken = plan(Synthetic("web", [100]), Synthetic("vimeo", [100]), weights=[1.0, [[50, 0.0], [150, 1.0]]], batch=8)
    counts = [Counter(name for name, _ in keys(taken, at, 50)) for _ in range(4)]
    assert counts[0]["vimeo"] == 0
    assert abs(counts[1]["vimeo"] / 400 - 0.1912) < 0.01  # the mean of w / (1 + w) for w from 0 to 1/2
    assert abs(counts[2]["vimeo"] / 400 - 0.4246) < 0.01
    assert abs(counts[3]["vimeo"] - 200) <= 1


def test_a_dataset_of_a_mixture_takes_each_sample_once_an_epoch() -> None:
    taken, at = plan(Synthetic("a", [7, 8]), Synthetic("b", [31]), weights=[1.0, 2.0], batch=6), Cursor()
    seen = Counter(pick.clip.draws for _ in range(60) for pick in taken.take(at))
    assert set(seen.values()) == {1}
    for name, count in (("a", 15), ("b", 31)):
        for epoch in (0, 1, 2):
            numbers = [draws.number for draws in seen if (draws.dataset, draws.epoch) == (name, epoch)]
            assert sorted(numbers) == list(range(count))


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=5), st.integers(1, 200))
def test_turns_keep_shares_to_within_one(shares: list[float], rounds: int) -> None:
    if not sum(shares):
        with pytest.raises(ValueError, match="nobody"):
            turn([0] * len(shares), shares)
        return
    credits = [0] * len(shares)
    counts = Counter(turn(credits, shares) for _ in range(rounds))
    for number, share in enumerate(shares):
        assert abs(counts[number] - rounds * share / sum(shares)) <= len(shares)


def test_a_step_has_one_bucket_and_every_sample_is_in_one() -> None:
    widths, heights = [64, 48, 64, 48, 96] * 20, [48, 64, 48, 64, 32] * 20
    buckets = [{"size": [48, 64]}, {"size": [64, 48]}, {"size": [32, 96]}]
    taken = plan(Synthetic("a", [100], width=widths, height=heights), batch=4, buckets=buckets)
    at, seen = Cursor(), []
    for _ in range(26):
        picks = taken.take(at)
        assert len({pick.shape for pick in picks}) == 1
        for pick in picks:
            ratio = pick.shape.size[1] / pick.shape.size[0]
            assert widths[pick.clip.draws.number] / heights[pick.clip.draws.number] == pytest.approx(ratio)
        seen += [pick.clip.draws.number for pick in picks]
    assert set(seen) == set(range(100)) and max(Counter(seen).values()) <= 2


def test_images_of_a_dataset_come_once_an_epoch_beside_the_clips() -> None:
    pictures = Synthetic("laion", [10, 11], kind=[1] * 21, frames=[1] * 21)
    taken = plan(Synthetic("web", [9]), pictures, images=3, batch=2)
    at, images = Cursor(), []
    for _ in range(7):
        for pick in taken.take(at):
            assert pick.clip.dataset.name == "web"
            images += [(choice.dataset.name, choice.draws.number) for choice in pick.images]
    assert sorted(images[:21]) == sorted(images[21:42]) == [("laion", number) for number in range(21)]


def test_without_images_the_single_frames_are_of_other_clips() -> None:
    for pick in plan(Synthetic("web", [9]), images=4, batch=9).take(Cursor()):
        assert len(pick.images) == 4
        others = [int(choice.rows[choice.place]) for choice in pick.images]
        assert pick.clip.draws.number not in others
        assert len(set(others)) == 4


def test_a_dataset_that_grows_is_taken_up_at_the_end_of_an_epoch() -> None:
    old, new = Synthetic("old", [6, 6]), Synthetic("new", [6, 6, 8])
    published = [Generation(0, "old")]
    taken = plan(old, batch=5)
    stock = taken.stocks[0]
    stock._open = lambda url: new
    stock.newest = lambda: published[-1]
    at = Cursor()
    first = keys(taken, at, 2)
    published.append(Generation(0, "new"))
    rest = keys(taken, at, 6)
    assert [name for name, _ in first + rest[:2]] == ["old"] * 12
    assert sorted(number for _, number in first + rest[:2]) == list(range(12))
    assert rest[2:22] == rest[2:22] and sorted(number for _, number in rest[2:22]) == list(range(20))
    assert at.generations["old"] == [Generation(0, "old"), Generation(1, "new")]


def test_no_weight_and_no_clip_are_one_line() -> None:
    with pytest.raises(UserError, match="no dataset with clips has a weight in step 0"):
        plan(Synthetic("a", [5]), weights=[0.0]).take(Cursor())
    with pytest.raises(UserError, match="none of its 5 samples has the 151 frames that data.frames .* longest has 100"):
        plan(Synthetic("a", [5]), stride=10)


def test_purposes_and_samples_draw_different_numbers() -> None:
    first, second = Draws(0, 0, "hash", 1), Draws(0, 0, "hash", 2)
    numbers = [first.rng("a").random(), first.rng("b").random(), second.rng("a").random()]
    assert len(set(numbers)) == 3
    assert first.rng("a").random() == numbers[0]


def test_what_is_held_out_is_never_trained_on_and_both_parts_are_everything() -> None:
    a = Synthetic("a", [30, 40, 30], kind=[0] * 80 + [1] * 20)
    trained, held_out = (
        [pick for _ in range(60) for pick in of.take(at)]
        for at, of in ((Cursor(), plan(a, held_out=0.3, kept_back=part, images=2, window=2)) for part in (False, True))
    )
    seen = [
        {int(c.rows[c.place]) for pick in picks for c in (pick.clip, *pick.images)} for picks in (trained, held_out)
    ]
    assert not seen[0] & seen[1] and seen[0] | seen[1] == set(range(100))
    assert 15 <= len(seen[1]) <= 45
    assert {int(row) for pick in trained for row in pick.clip.rows} <= seen[0]  # those that may stand in


def test_a_key_stays_on_its_side_when_the_dataset_grows() -> None:
    small, large = (kept_back(Synthetic("a", [count]), 0.2) for count in (50, 80))
    assert small.tolist() == large[:50].tolist() and 0 < small.sum() < 50


def test_a_share_that_holds_nothing_out_is_one_line() -> None:
    with pytest.raises(UserError, match=r"data.held_out=1e-06 holds none of its clips out; raise it"):
        plan(Synthetic("a", [5]), held_out=1e-6, kept_back=True)


def test_views_repeat_after_as_many_epochs_as_there_shall_be_and_noise_does_not() -> None:
    def numbers(views: int | None, epoch: int) -> tuple[float, float]:
        draws = Draws(0, epoch, "hash", 7, views)
        return draws.view("clip").random(), draws.rng("noise").random()

    seen = [numbers(2, epoch) for epoch in range(4)]
    assert seen[0][0] == seen[2][0] != seen[1][0] == seen[3][0]
    assert len({noise for _, noise in seen}) == 4
    assert len({numbers(None, epoch)[0] for epoch in range(4)}) == 4
