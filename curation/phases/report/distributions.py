"""How the clips are spread over a column: bars for all and for the kept ones, thresholds as lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.ticker import MaxNLocator

from curation.phases.report.amounts import number
from curation.phases.report.facts import Bools, Facts, Ints
from curation.phases.select import Resolved

Floats = npt.NDArray[np.float64]

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
    median: float | None
    median_kept: float | None
    missing: int
    """Clips without a value."""
    folded: str
    """What the outer bars hold beside their own bin; empty if nothing."""


@dataclass(frozen=True)
class Share:
    """One value of a text column."""

    label: str
    all: int
    kept: int


def distributions(facts: Facts) -> list[Distribution]:
    """Every column that is worth a picture: the well-known ones, all scores, and what the rules name."""
    ruled = [resolved.rule.field for resolved in facts.resolved]
    names = dict.fromkeys((*_FIRST, *ruled, *facts.scores, *_LAST))
    return [_distribution(facts, name) for name in names if _numeric(facts.clips.schema.field(name).type)]


def shares(labels: list[str | None], kept: Bools, most: int) -> list[Share]:
    """The most frequent values, then all others as one, then those without a value."""
    every = Counter(labels)
    good = Counter(label for label, keep in zip(labels, kept) if keep)
    named = sorted((label for label in every if label is not None), key=lambda label: (-every[label], label))
    found = [Share(label, every[label], good[label]) for label in named[:most]]
    if rest := named[most:]:
        all_, kept_ = sum(every[label] for label in rest), sum(good[label] for label in rest)
        found.append(Share(f"{len(rest):,} others", all_, kept_))
    if every[None]:
        found.append(Share("none given", every[None], good[None]))
    return found


def _numeric(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _distribution(facts: Facts, name: str) -> Distribution:
    field = facts.clips.schema.field(name)
    whole = pa.types.is_integer(field.type)
    column = facts.clips[name].to_numpy().astype(np.float64)
    known = np.isfinite(column)
    values, kept = column[known], column[known & facts.kept]
    bounds = _bounds(facts.resolved, name, whole)
    edges = _edges(values, [at for at, _ in bounds], name, whole)
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return Distribution(
        field=name,
        title=_TITLES.get(name, name.replace("_", " ").capitalize()),
        unit=metadata.get("unit", ""),
        doc=_DOCS.get(name) or metadata.get("doc", ""),
        edges=edges,
        all=_counts(values, edges),
        kept=_counts(kept, edges),
        marks=[Mark(_place(at, edges), text) for at, text in bounds],
        ticks=_ticks(edges, name),
        median=float(np.median(values)) if len(values) else None,
        median_kept=float(np.median(kept)) if len(kept) else None,
        missing=int((~known).sum()),
        folded=_folded(values, edges),
    )


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


def _edges(values: Floats, bounds: list[float], name: str, whole: bool) -> Floats:
    """Round numbers around nearly all values and, where it is not far off, every threshold."""
    if not len(values):
        return np.array([0.0, 1.0])
    fold = len(values) >= _FOLD_FROM
    low, high = np.quantile(values, [0.005, 0.995]) if fold else (values.min(), values.max())
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


def _counts(values: Floats, edges: Floats) -> Ints:
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    return np.histogram(inside, edges)[0].astype(np.int64)


def _place(value: float, edges: Floats) -> float:
    return float(np.interp(value, edges, np.linspace(0, 1, len(edges))))


def _ticks(edges: Floats, name: str) -> list[tuple[float, str]]:
    if name == "height":
        shown = edges if len(edges) < _CROWDED else edges[:-1]
        return [(_place(edge, edges), f"{edge:.0f}") for edge in shown]
    at = MaxNLocator(_TICKS, steps=_STEPS).tick_values(edges[0], edges[-1])
    room = 1e-9 * (edges[-1] - edges[0])
    return [(_place(tick, edges), number(round(tick, 9))) for tick in at if edges[0] - room <= tick <= edges[-1] + room]


def _folded(values: Floats, edges: Floats) -> str:
    if not len(values):
        return ""
    told = []
    if values.min() < edges[0]:
        told.append(f"first bar: everything down to {number(float(values.min()))}")
    if values.max() > edges[-1]:
        told.append(f"last bar: everything up to {number(float(values.max()))}")
    return "; ".join(told)
