"""The order of training: a pure function that visits every sample once an epoch."""

from __future__ import annotations

import subprocess
import sys

from training.stream.plan import Plan, permutation


def test_every_sample_comes_once_an_epoch() -> None:
    plan = Plan(3, "hash", 101)
    for epoch in range(3):
        draws = [plan.at(epoch * 101 + place) for place in range(101)]
        assert {draw.epoch for draw in draws} == {epoch}
        assert sorted(draw.index for draw in draws) == list(range(101))


def test_order_depends_on_seed_epoch_and_dataset() -> None:
    orders = [permutation(0, 0, "a", 50), permutation(1, 0, "a", 50), permutation(0, 1, "a", 50)]
    orders.append(permutation(0, 0, "b", 50))
    assert len({tuple(order) for order in orders}) == 4


def test_order_is_the_same_in_another_process() -> None:
    code = (
        "from training.stream.plan import Plan; plan = Plan(7, 'hash', 20);"
        "print([plan.at(i).index for i in range(45)], plan.at(30).rng('noise').integers(1000, size=5).tolist())"
    )
    plan = Plan(7, "hash", 20)
    here = f"{[plan.at(i).index for i in range(45)]} {plan.at(30).rng('noise').integers(1000, size=5).tolist()}"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == here


def test_order_never_changes_between_versions() -> None:
    assert permutation(0, 0, "hash", 8).tolist() == [1, 3, 7, 6, 0, 5, 2, 4]


def test_purposes_and_samples_draw_different_numbers() -> None:
    plan = Plan(0, "hash", 10)
    first, second = plan.at(0), plan.at(1)
    numbers = [first.rng("a").random(), first.rng("b").random(), second.rng("a").random()]
    assert len(set(numbers)) == 3
    assert first.rng("a").random() == numbers[0]
