"""How the clips are spread over a column: bins for all and for the kept ones, thresholds, medians. No drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.ticker import MaxNLocator

from curation.phases.report.numbers.amounts import number
from curation.phases.report.numbers.columns import Bools, Columns, Floats, Ints, counted, quantiles
from curation.phases.select import Resolved

KEPT = "kept"
"""A column of truth values."""

_BINS = 32
_TICKS = 5
_STEPS = [1, 2, 2.5, 5, 10]
_FOLD_FROM = 200  # with fewer clips than this every one of them is in the picture
_HEIGHTS = np.array([0, 120, 240, 360, 480, 720, 1080, 1440, 2160, 4320, 8640], np.float64)
_CROWDED = 8  # labels of heights
_TITLES = {
    "duration_s": "Duration",
    "caption_words": "Caption length",
    "height": "Resolution",
    "width": "Width",
    "fps": "Frame rate",
}
_DOCS = {"duration_s": "Length of the clip."}
_FIRST = ("duration_s", "caption_words", "height")
_LAST = ("motion", "brightness", "sharpness")


@dataclass(frozen=True)
class Mark:
    """A threshold of a rule."""

    at: float
    """Where the line stands: 0 at the left edge, 1 at the right."""
    text: str


@dataclass(frozen=True)
class Distribution:
    """One column of the clips in bins. Bins are drawn equally wide."""

    field: str
    title: str
    unit: str
    doc: str
    edges: Floats
    all: Ints
    kept: Ints
    marks: list[Mark]
    ticks: list[tuple[float, str]]
    known: int
    """Clips with a value."""
    least: float | None
    greatest: float | None
    median: float | None
    median_kept: float | None
    missing: int
    """Clips without a value."""
    folded: str
    """What the outer bars hold beside their own bin; empty if nothing."""


def is_number(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def order(ruled: list[str], scores: list[str]) -> list[str]:
    """The columns that are worth a picture: the well-known ones, what the rules name, all scores."""
    return list(dict.fromkeys((*_FIRST, *ruled, *scores, *_LAST)))


def distribution(columns: Columns, field: pa.Field, resolved: list[Resolved]) -> Distribution:
    """One column of the clips in bins.

    Args:
        field: with its meaning and unit as metadata.
        resolved: the rules; those on this column give marks.
    """
    name, whole = field.name, pa.types.is_integer(field.type)

    def values() -> Iterator[np.ndarray]:
        return (some for some, _ in _known(columns, name))

    def kept_values() -> Iterator[np.ndarray]:
        return (some[kept] for some, kept in _known(columns, name))

    rows = known = kept_known = 0
    ends = []
    for some, kept in columns.pieces(name, KEPT):
        there = np.isfinite(some)
        rows, known, kept_known = rows + len(some), known + int(there.sum()), kept_known + int((there & kept).sum())
        if there.any():
            ends += [float(some[there].min()), float(some[there].max())]
    least, greatest = (min(ends), max(ends)) if ends else (None, None)
    low, median, high = quantiles(values, known, [0.005, 0.5, 0.995]) if known else (None, None, None)
    bounds = _bounds(resolved, name, whole)
    fold = known >= _FOLD_FROM
    edges = _edges(low if fold else least, high if fold else greatest, [at for at, _ in bounds], name, whole)
    every, good = np.zeros(len(edges) - 1, np.int64), np.zeros(len(edges) - 1, np.int64)
    for some, kept in _known(columns, name):
        more, more_kept = counted(some, kept, edges)
        every, good = every + more, good + more_kept
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return Distribution(
        field=name,
        title=_TITLES.get(name, name.replace("_", " ").capitalize()),
        unit=metadata.get("unit", ""),
        doc=_DOCS.get(name) or metadata.get("doc", ""),
        edges=edges,
        all=every,
        kept=good,
        marks=[Mark(_place(at, edges), text) for at, text in bounds],
        ticks=_ticks(edges, name),
        known=known,
        least=least,
        greatest=greatest,
        median=median,
        median_kept=quantiles(kept_values, kept_known, [0.5])[0] if kept_known else None,
        missing=rows - known,
        folded=_folded(least, greatest, edges),
    )


def _known(columns: Columns, name: str) -> Iterator[tuple[np.ndarray, Bools]]:
    """The values of clips that have one, in double precision, and which of them are kept."""
    for values, kept in columns.pieces(name, KEPT):
        there = np.isfinite(values)
        yield values[there].astype(np.float64), kept[there]


def _bounds(resolved: list[Resolved], name: str, whole: bool) -> list[tuple[float, str]]:
    """Where values begin and end to be allowed; the greatest whole number is allowed up to the next."""
    found = []
    for rule in (rule for rule in resolved if rule.rule.field == name):
        low, high = rule.rule.bounds
        if rule.least is not None:
            found.append((rule.least, f"≥ {_told(low, rule.least)}"))
        if rule.greatest is not None:
            found.append((rule.greatest + whole, f"≤ {_told(high, rule.greatest)}"))
    return found


def _told(bound: float | str | None, value: float) -> str:
    return f"{number(value)} ({bound})" if isinstance(bound, str) else number(value)


def _edges(low: float | None, high: float | None, bounds: list[float], name: str, whole: bool) -> Floats:
    """Round numbers around these values and, where it is not far off, every threshold."""
    if low is None or high is None:
        return np.array([0.0, 1.0])
    reach = max(high - low, 0.5 * abs(high))
    low = min([low, *(at for at in bounds if at >= low - 2 * reach)])
    high = max([high, *(at for at in bounds if at <= high + 2 * reach)])
    if 0 <= low < 0.5 * high and name != "height":
        low = 0.0
    if name == "height":
        first = np.searchsorted(_HEIGHTS, low, side="right") - 1
        return _HEIGHTS[max(first, 0) : np.searchsorted(_HEIGHTS, high, side="right") + 1]
    if whole:
        low, high = np.floor(low), np.floor(high) + 1
    if high - low <= 1e-6 * max(abs(high), 1e-6):
        room = 0.5 * abs(high) or 0.5
        low, high = low - room, high + room
    return np.asarray(MaxNLocator(_BINS, steps=_STEPS, integer=whole).tick_values(low, high), np.float64)


def _place(value: float, edges: Floats) -> float:
    return float(np.interp(value, edges, np.linspace(0, 1, len(edges))))


def _ticks(edges: Floats, name: str) -> list[tuple[float, str]]:
    if name == "height":
        shown = edges if len(edges) < _CROWDED else edges[:-1]
        return [(_place(edge, edges), f"{edge:.0f}") for edge in shown]
    at = MaxNLocator(_TICKS, steps=_STEPS).tick_values(edges[0], edges[-1])
    room = 1e-9 * (edges[-1] - edges[0])
    return [(_place(tick, edges), number(round(tick, 9))) for tick in at if edges[0] - room <= tick <= edges[-1] + room]


def _folded(least: float | None, greatest: float | None, edges: Floats) -> str:
    told = []
    if least is not None and least < edges[0]:
        told.append(f"first bar: everything down to {number(least)}")
    if greatest is not None and greatest > edges[-1]:
        told.append(f"last bar: everything up to {number(greatest)}")
    return "; ".join(told)
