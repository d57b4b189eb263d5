"""Why clips were dropped: by reason, and by what decided, alone and together with the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.phases.select import DUPLICATE, OF_CAPTION, Resolved
from curation.recipe_select import Rule, Select

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_BITS = 62


@dataclass(frozen=True)
class Decision:
    """One thing that drops clips: a rule, near-duplicates, a flag of captions, balance."""

    name: str
    """The rule's field, or what else decides."""
    rule: Rule | None = None


OTHERS = Decision("other reasons")


def decisions(select: Select) -> list[Decision]:
    """Everything that decides, in its order."""
    rules = select.every_rule
    found = [Decision(rule.field, rule) for rule in rules if rule.field not in OF_CAPTION]
    if select.duplicates is not None:
        found.append(Decision("near-duplicates"))
    found += [Decision(rule.field, rule) for rule in rules if rule.field in OF_CAPTION]
    found += [Decision(f"caption {flag}") for flag in select.caption_flags]
    if select.balance is not None:
        found.append(Decision("balance"))
    return [*found, OTHERS]


def decided_by(reason: str, every: list[Decision]) -> int:
    """The number of the decision that gave this reason."""
    for number, one in enumerate(every):
        if one.rule is not None and gives(one.rule, reason):
            return number
        if (
            (one.name == "near-duplicates" and reason == DUPLICATE)
            or (one.rule is None and one.name == reason)
            or (one.name == "balance" and reason.startswith("balance"))
        ):
            return number
    return len(every) - 1


def gives(rule: Rule, reason: str) -> bool:
    """Whether a rule drops clips for this reason."""
    if rule.on_numbers:
        none, under, over = Resolved(rule, None, None).reasons
        low, high = rule.bounds
        return reason in [none, *([under] if low is not None else []), *([over] if high is not None else [])]
    if reason == f"no {rule.field}":
        return not rule.forbids
    if rule.one_of is not None or rule.none_of is not None:
        value = reason.removeprefix(f"{rule.field} is ")
        return value != reason and (
            value in (rule.none_of or ()) or (rule.one_of is not None and value not in rule.one_of)
        )
    return reason == (
        f"{rule.field} lacks {rule.matches}" if rule.matches is not None else f"{rule.field} has {rule.lacks}"
    )


@dataclass(frozen=True)
class Cost:
    """What one decision cost."""

    decision: Decision
    any: int
    """Clips that it is against."""
    first: int
    """Clips that it is the first against: what it took from what was left."""
    only: int
    """Clips that nothing else is against: what would be kept without it, up to rules that only then look at them."""
    left: int
    """Clips that are left after it and everything before it."""
    seconds: float
    """Of the clips that it is the first against."""


@dataclass(frozen=True)
class Drops:
    """Why clips were dropped."""

    reasons: list[str]
    """Every reason that occurs; those that come first for most clips come first."""
    by_first: Ints
    """For every reason, the clips that it is the first of."""
    by_any: Ints
    """For every reason, the clips that have it among others."""
    by_only: Ints
    """For every reason, the clips that have no other."""
    seconds: Floats
    """For every reason, the length of the clips that it is the first of."""
    bytes: Floats
    """The same in bytes of the sources; NaN where it is not known of all."""
    rank: Ints
    """From the number that a reason has in the column `first` to its place in these lists."""
    costs: list[Cost]
    """In the order of the decisions; those that dropped something, and all rules."""
    together: Ints
    """(costs, costs): clips that both are against."""


class Counting:
    """Counts reasons as they come."""

    def __init__(self, every: list[Decision]):
        self._every = every
        self._codes: dict[str, int] = {}
        self._decided = np.zeros(0, np.int64)
        self._sums = {name: np.zeros(0) for name in ("first", "any", "only", "seconds", "bytes")}
        self._masks: Counter[int] = Counter()
        self._first = np.zeros(len(every))
        self._first_seconds = np.zeros(len(every))

    def add(self, reasons: pa.ListArray, seconds: Floats, size: Floats) -> npt.NDArray[np.int32]:
        """The number of every clip's first reason; -1 where it is kept."""
        encoded = pc.list_flatten(reasons).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes_of = np.array([self._codes.setdefault(name, len(self._codes)) for name in names], np.int64)
        new = list(self._codes)[len(self._decided) :]
        decided = [decided_by(name, self._every) for name in new]
        self._decided = np.concatenate([self._decided, np.array(decided, np.int64)])
        first = np.full(len(reasons), -1, np.int32)
        if not len(encoded):
            return first
        codes = codes_of[encoded.indices.to_numpy()]
        clip = pc.list_parent_indices(reasons).to_numpy()
        rows, starts, sizes = np.unique(clip, return_index=True, return_counts=True)
        leading = codes[starts]
        first[rows] = leading
        self._add("first", np.bincount(leading))
        self._add("any", np.bincount(codes))
        self._add("only", np.bincount(leading[sizes == 1]))
        self._add("seconds", np.bincount(leading, seconds[rows]))
        self._add("bytes", np.bincount(leading, size[rows]))
        by = self._decided[leading]
        self._first += np.bincount(by, minlength=len(self._every))
        self._first_seconds += np.bincount(by, seconds[rows], minlength=len(self._every))
        bits = np.left_shift(np.int64(1), np.minimum(self._decided[codes], _BITS))
        masks, counts = np.unique(np.bitwise_or.reduceat(bits, starts), return_counts=True)
        self._masks.update(dict(zip(masks.tolist(), counts.tolist())))
        return first

    def _add(self, name: str, more: np.ndarray) -> None:
        there = np.zeros(len(self._codes))
        there[: len(self._sums[name])] = self._sums[name]
        there[: len(more)] += more
        self._sums[name] = there

    def drops(self, clips: int) -> Drops:
        """All that was counted, over this many clips."""
        names = list(self._codes)
        for name in self._sums:
            self._add(name, np.zeros(0))
        first, every, only = (self._sums[name].astype(np.int64) for name in ("first", "any", "only"))
        order = sorted(range(len(names)), key=lambda code: (-first[code], -every[code], names[code]))
        rank = np.empty(len(names), np.int64)
        rank[order] = np.arange(len(names))
        costs, together = self._costs(clips)
        return Drops(
            reasons=[names[code] for code in order],
            by_first=first[order],
            by_any=every[order],
            by_only=only[order],
            seconds=self._sums["seconds"][order],
            bytes=self._sums["bytes"][order],
            rank=rank,
            costs=costs,
            together=together,
        )

    def _costs(self, clips: int) -> tuple[list[Cost], Ints]:
        numbers = np.minimum(np.arange(len(self._every)), _BITS)
        masks = np.array(list(self._masks), np.int64)
        counts = np.array(list(self._masks.values()), np.int64)
        against = (masks[:, None] >> numbers) & 1
        alone = against.sum(axis=1) == 1
        together = (against * counts[:, None]).T @ against
        only = (against[alone] * counts[alone, None]).sum(axis=0)
        left = clips - np.cumsum(self._first).astype(np.int64)
        shown = [n for n, one in enumerate(self._every) if one.rule is not None or together[n, n] or self._first[n]]
        costs = [
            Cost(
                self._every[n],
                int(together[n, n]),
                int(self._first[n]),
                int(only[n]),
                int(left[n]),
                float(self._first_seconds[n]),
            )
            for n in shown
        ]
        return costs, together[np.ix_(shown, shown)]
