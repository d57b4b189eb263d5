"""LaVie's figures of its data set, for the data set at hand: five distributions beside what was published.

Source of all published shares: LaVie (arXiv 2309.15103), section 5.1 and its figures of Vimeo25M and WebVid10M. What
cannot be told from them is None here, and never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curation.phases.report.numbers.columns import Columns
from curation.phases.report.numbers.distributions import KEPT
from curation.phases.report.numbers.labels import Labels

SOURCE = "LaVie, arXiv 2309.15103, section 5.1 and its figures"
CATEGORIES = (
    *("Ads and Commercials", "Animation", "Branded Content", "Comedy", "Documentary", "Experimental", "Music"),
    *("Narrative", "Sports", "Travel"),
)
_OWN = 10  # categories that the paper does not have


@dataclass(frozen=True)
class Bin:
    """One bar of a comparison. Shares are of 1."""

    label: str
    ours: int | None
    """Kept clips; None where this data set has no such column."""
    share: float | None
    vimeo25m: float | None
    webvid10m: float | None


@dataclass(frozen=True)
class Comparison:
    """One of LaVie's figures."""

    name: str
    title: str
    field: str | None
    """The column that it is of; None where this data set has none."""
    bins: list[Bin]
    known: int
    """Kept clips that have a value."""
    notes: list[str]
    """What was published in another form, or not at all."""


@dataclass(frozen=True)
class _Figure:
    name: str
    title: str
    field: str
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    vimeo25m: tuple[float | None, ...]
    webvid10m: tuple[float | None, ...]
    notes: tuple[str, ...]


_INF = float("inf")
_NONE6: tuple[float | None, ...] = (None,) * 6
_FIGURES = (
    _Figure(
        *("duration", "Clip duration, seconds", "duration_s"),
        edges=(-_INF, 2, 4, 8, 14, 20, _INF),
        labels=("0–2", "2–4", "4–8", "8–14", "14–20", "> 20"),
        vimeo25m=_NONE6,
        webvid10m=_NONE6,
        notes=(
            "Vimeo25M: in these six bins are 2, 4, 6, 13, 21 and 54 % of the clips; which share belongs to which bin "
            "cannot be told from the text.",
            "WebVid10M: not published there.",
        ),
    ),
    _Figure(
        *("caption", "Caption length, words", "caption_words"),
        edges=(-_INF, 4, 7, 9, 11, 13, _INF),
        labels=("< 4", "4–7", "7–9", "9–11", "11–13", "≥ 13"),
        vimeo25m=_NONE6,
        webvid10m=_NONE6,
        notes=(
            "Vimeo25M: mostly about 10 words, and the fullest bin holds 41 %; the other shares cannot be told from "
            "the text. Captions of fewer than 3 words were dropped.",
            "WebVid10M: not published there.",
        ),
    ),
    _Figure(
        *("aesthetic", "Aesthetic score", "aesthetic"),
        edges=(-_INF, 2, 4, 6, _INF),
        labels=("< 2", "2–4", "4–6", "> 6"),
        vimeo25m=(None, None, 0.7912, 0.1689),
        webvid10m=(None, 0.1996, 0.7258, 0.0722),
        notes=(
            "Vimeo25M: the 3.99 % that are left lie below 4, without a number for each bin.",
            "WebVid10M: the 0.24 % that are left lie below 2 or were rounded away.",
            "The paper names no threshold on this score.",
        ),
    ),
    _Figure(
        *("height", "Resolution, height in pixels", "height"),
        edges=(-_INF, 400, 600, 800, _INF),
        labels=("< 400", "400–600", "600–800", "> 800"),
        vimeo25m=(0.0018, 0.0150, 0.5993, 0.3840),
        webvid10m=(0.9999, None, None, None),
        notes=("WebVid10M: 99.99 % below 400; the rest was not published by bin.",),
    ),
)


def comparisons(columns: Columns, categories: Mapping[str, Labels]) -> list[Comparison]:
    """LaVie's five figures over the kept clips; a value on an edge counts to the bin above it.

    Args:
        categories: text columns that name categories; the first that any clip has is taken.
    """
    found = [_categories(categories)]
    for one in _FIGURES:
        counts = _counts(columns, one) if one.field in columns else None
        known = sum(counts) if counts is not None else 0
        bins = [
            Bin(
                label,
                None if counts is None else counts[at],
                None if counts is None or not known else counts[at] / known,
                one.vimeo25m[at],
                one.webvid10m[at],
            )
            for at, label in enumerate(one.labels)
        ]
        field = None if counts is None else one.field
        found.append(Comparison(one.name, one.title, field, bins, known, list(one.notes)))
    return found


def _counts(columns: Columns, figure: _Figure) -> list[int]:
    counts = np.zeros(len(figure.labels), np.int64)
    for values, kept in columns.pieces(figure.field, KEPT):
        there = values[kept & np.isfinite(values)]
        at = np.searchsorted(figure.edges, there, side="right") - 1
        counts += np.bincount(at, minlength=len(counts))
    return [int(n) for n in counts]


def _categories(columns: Mapping[str, Labels]) -> Comparison:
    field = next((name for name, labels in columns.items() if labels.known), None)
    counts = {} if field is None else {name: kept for name, _, kept in columns[field].counts() if name and kept}
    known = sum(counts.values()) + (columns[field].unnamed_kept if field else 0)
    theirs = {_plain(name): name for name in CATEGORIES}
    ours = dict.fromkeys(CATEGORIES, 0)
    own: dict[str, int] = {}
    for name, kept in counts.items():
        if _plain(name) in theirs:
            ours[theirs[_plain(name)]] += kept
        else:
            own[name] = kept
    some = sorted(own.items(), key=lambda one: (-one[1], one[0]))
    rest = known - sum(ours.values()) - sum(n for _, n in some[:_OWN])
    rows = [
        *sorted(ours.items(), key=lambda one: (-one[1], one[0])),
        *some[:_OWN],
        *([("others", rest)] if rest else []),
    ]
    bins = [
        Bin(name, None if field is None else kept, kept / known if known else None, None, None) for name, kept in rows
    ]
    notes = [
        "Vimeo25M: most categories hold 10 to 12 %, the smallest about 4 to 7 %, the largest about 13 %; which share "
        "belongs to which name cannot be told from the text.",
        "WebVid10M: not published there.",
    ]
    return Comparison("category", "Category", field, bins, known, notes)


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("&", "and").replace("_", " ").split())
