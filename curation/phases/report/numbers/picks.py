"""Which clips to look at: some of every group, spread evenly over it, and the ends of scores. Rows, no pictures."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.phases.report.numbers.columns import Columns, Ends, Ints

FIRST, ID, TWICE, UNCUT = "first", "id", "duplicate", "uncut"
"""Columns: the number of the first drop reason (-1 for none), the id as a number, whether a clip repeats a better one,
whether it was kept and could not be cut."""


def evenly(available: int, most: int) -> list[int]:
    """Positions of at most `most` things spread evenly over all, the first and the last among them."""
    if available <= most:
        return list(range(available))
    if most == 1:
        return [available // 2]
    return [round(at * (available - 1) / (most - 1)) for at in range(most)]


class Spread:
    """Some rows of a group whose size is known, spread evenly over it, found as its rows come."""

    def __init__(self, total: int, most: int):
        self._wanted = evenly(total, most)
        self._seen = 0
        self.rows: list[int] = []

    def add(self, rows: Ints) -> None:
        first = bisect_left(self._wanted, self._seen)
        end = bisect_left(self._wanted, self._seen + len(rows))
        self.rows += [int(rows[at - self._seen]) for at in self._wanted[first:end]]
        self._seen += len(rows)


@dataclass(frozen=True)
class Picks:
    """Rows of clips, each list in the order of the tables."""

    uncut: list[int]
    dropped: dict[int, list[int]]
    """By the number of the first drop reason in the column `first`."""
    twice: list[int]
    """Clips that repeat a better one."""


def picks(
    columns: Columns, *, uncut: tuple[int, int], dropped: dict[int, tuple[int, int]], twice: tuple[int, int]
) -> Picks:
    """Rows of every group; each group is given by its size and how many of it are wanted."""
    of_uncut, of_twice = Spread(*uncut), Spread(*twice)
    of_dropped = {number: Spread(*wanted) for number, wanted in dropped.items()}
    begin = 0
    for first, cannot, repeats in columns.pieces(FIRST, UNCUT, TWICE):
        rows = np.arange(begin, begin + len(first))
        begin += len(first)
        of_uncut.add(rows[cannot])
        of_twice.add(rows[repeats])
        order = np.argsort(first, kind="stable")
        numbers, starts = np.unique(first[order], return_index=True)
        for number, some in zip(numbers.tolist(), np.split(rows[order], starts[1:])):
            if number in of_dropped:
                of_dropped[number].add(some)
    found = {number: spread.rows for number, spread in of_dropped.items()}
    return Picks(of_uncut.rows, found, of_twice.rows)


def ends(columns: Columns, name: str, most: int) -> tuple[list[int], list[int]]:
    """The rows with the least and with the greatest values of a column, the outermost first."""
    found = Ends(most)
    begin = 0
    for (values,) in columns.pieces(name):
        there = np.flatnonzero(np.isfinite(values))
        found.add(values[there], there + begin)
        begin += len(values)
    return found.least, found.greatest


def rows_of(columns: Columns, ids: Sequence[str]) -> dict[str, int]:
    """The rows of clips by their ids; without those that are not there."""
    wanted = {int(name, 16): name for name in ids}
    found = {}
    begin = 0
    numbers = np.array(sorted(wanted), np.uint64)
    for (there,) in columns.pieces(ID):
        for at in np.flatnonzero(np.isin(there, numbers)).tolist() if len(numbers) else []:
            found[wanted[int(there[at])]] = begin + at
        begin += len(there)
    return found
