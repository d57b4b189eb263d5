"""Contact sheets: kept clips, for each reason clips that were dropped, the ends of scores, near-duplicates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from curation.phases.report.numbers import picks as of_rows
from curation.phases.report.numbers.facts import Facts
from curation.phases.report.page import playing
from curation.phases.report.page.cards import Card, cards
from curation.phases.report.page.pictures import Strip
from curation.store import Place

_FULL_SHEETS = 24  # with more reasons than this each has fewer clips, so that the page stays readable
_SHEETS = 100  # reasons that have a sheet
_ENDS = 4  # clips at each end of a score
_PAIRS = 12


@dataclass(frozen=True)
class Sheet:
    """Some of the clips that ended in the same way."""

    anchor: str
    title: str
    total: int
    cards: list[Card]
    reason: str | None = None
    """The first drop reason of all these clips."""
    number: int | None = None
    """Its place in `Drops`."""


@dataclass(frozen=True)
class Extremes:
    """The clips at both ends of a score."""

    field: str
    least: list[Card]
    greatest: list[Card]


@dataclass(frozen=True)
class Pair:
    """A clip that was dropped for a better one like it."""

    clip: Card
    better: Card


@dataclass(frozen=True)
class Shown:
    """All clips that the page shows."""

    sheets: list[Sheet]
    extremes: list[Extremes]
    pairs: list[Pair]
    twice: int
    """Near-duplicates that there are."""
    repeated: list[tuple[str, int]]
    """The captions on most kept clips, and on how many."""

    @property
    def longest(self) -> int:
        """Clips of the largest group."""
        return max([len(sheet.cards) for sheet in self.sheets] + [len(self.pairs)])

    @property
    def kept(self) -> list[Card]:
        return self.sheets[0].cards


def shown(out: Place, facts: Facts) -> Shown:
    """What there is to look at, with pictures."""
    drops, most = facts.drops, facts.recipe.report.clips
    leading = [number for number, n in enumerate(drops.by_first) if n][:_SHEETS]
    short = max(min(most, most * _FULL_SHEETS // max(len(leading), 1)), 1)
    code = {int(place): number for number, place in enumerate(drops.rank)}
    samples = playing.samples(out, facts.manifest, most)
    of_samples = of_rows.rows_of(facts.columns, [sample.clip_id for sample in samples])
    picks = of_rows.picks(
        facts.columns,
        uncut=(len(facts.uncut), most),
        dropped={code[number]: (int(drops.by_first[number]), short) for number in leading},
        twice=(facts.twice, min(_PAIRS, most)),
    )
    scored = [name for name in _scores(facts) if name in facts.columns]
    of_scores = {name: of_rows.ends(facts.columns, name, min(_ENDS, most)) for name in scored}
    kept = sorted(of_samples.values())
    rows = [*kept, *picks.uncut, *picks.twice, *(row for some in picks.dropped.values() for row in some)]
    rows += [row for least, greatest in of_scores.values() for row in (*least, *greatest)]
    rows += [row for row, _ in facts.repeated]
    found = cards(out, facts, rows)
    better = of_rows.rows_of(facts.columns, [twin for row in picks.twice if (twin := found[row].duplicate_of)])
    found |= cards(out, facts, set(better.values()) - set(found))
    where = {sample.clip_id: sample for sample in samples}
    of_kept = playing.playing(out, [found[row] for row in kept], where, facts.recipe.report.playing)
    sheets = [Sheet("kept", "In the shards", facts.sums["samples"]["in shards"], of_kept)]
    if picks.uncut:
        of_uncut = [found[row] for row in picks.uncut]
        sheets.append(Sheet("not-cut", "Kept, but could not be cut", len(facts.uncut), of_uncut))
    for number in leading:
        name, of_reason = drops.reasons[number], [found[row] for row in picks.dropped[code[number]]]
        sheets.append(Sheet(f"dropped-{number}", name, int(drops.by_first[number]), of_reason, name, number))
    extremes = [
        Extremes(name, [found[row] for row in least], [found[row] for row in greatest])
        for name, (least, greatest) in of_scores.items()
        if least
    ]
    pairs = [
        Pair(found[row], found[better[twin]])
        for row in picks.twice
        if (twin := found[row].duplicate_of) and twin in better
    ]
    repeated = [(found[row].caption or "", n) for row, n in facts.repeated]
    return Shown(sheets, extremes, pairs, facts.twice, repeated)


def _scores(facts: Facts) -> list[str]:
    """Each scorer's overall measure, and what is measured while decoding."""
    overall = [name for name in facts.scores if not any(name.startswith(f"{other}_") for other in facts.scores)]
    return list(dict.fromkeys([*overall, "motion", "sharpness", "brightness", "duration_s", "caption_score"]))


def with_pictures(shown: Shown, allowed: set[int]) -> Shown:
    """The same with the pictures of these strips alone, given by their `id`."""

    def plain(card: Card) -> Card:
        return card if card.strip is None or id(card.strip) in allowed else replace(card, strip=None, left_out=True)

    return _each(shown, lambda cards: [plain(card) for card in cards])


def shorter(shown: Shown, most: int) -> Shown:
    """The same with at most so many clips in every group."""
    return _each(replace(shown, pairs=shown.pairs[:most]), lambda cards: cards[:most])


def _each(shown: Shown, change: Callable[[list[Card]], list[Card]]) -> Shown:
    """The same with every list of cards changed."""
    return replace(
        shown,
        sheets=[replace(sheet, cards=change(sheet.cards)) for sheet in shown.sheets],
        extremes=[replace(one, least=change(one.least), greatest=change(one.greatest)) for one in shown.extremes],
        pairs=[Pair(*change([pair.clip])[:1], *change([pair.better])[:1]) for pair in shown.pairs],
    )


def strips_in_turn(shown: Shown) -> list[Strip]:
    """The strips in the order in which they should be given room: the first of every group, then the second."""
    groups = [*(sheet.cards for sheet in shown.sheets)]
    groups += [[*one.least, *one.greatest] for one in shown.extremes]
    groups.append([card for pair in shown.pairs for card in (pair.clip, pair.better)])
    longest = max((len(group) for group in groups), default=0)
    turns = [group[at] for at in range(longest) for group in groups if at < len(group)]
    return [card.strip for card in turns if card.strip is not None]
