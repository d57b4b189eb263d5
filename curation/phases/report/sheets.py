"""Contact sheets: the clips that were kept, and for each first reason those that were dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import parts
from curation.phases.report.amounts import clock, number, span
from curation.phases.report.facts import Facts, Ints
from curation.phases.report.pictures import Strip, evenly, strips
from curation.store import Place, without_secrets
from curation.tables import CARRIED, Row

_FULL_SHEETS = 24  # with more sheets than this each becomes shorter, so that the page stays readable
_OF_CLIPS = ("source_id", "kind", "start_s", "end_s", "duration_s", "frames", "fps", "width", "height", *CARRIED)


@dataclass(frozen=True)
class Card:
    """One clip on a sheet."""

    clip_id: str
    strip: Strip | None
    caption: str | None
    facts: str
    source: str
    reasons: list[str]
    """Why it was dropped, or why it could not be cut; empty for a sample."""
    measures: list[tuple[str, str]]


@dataclass(frozen=True)
class Sheet:
    """Some of the clips that ended in the same way."""

    anchor: str
    title: str
    total: int
    cards: list[Card]
    reason: str | None = None
    """The first drop reason of all these clips."""


def sheets(out: Place, facts: Facts, most: int) -> list[Sheet]:
    """The sheet of kept clips, that of clips which could not be cut if there are any, and one for each reason."""
    drops = facts.drops
    leading = [number for number, n in enumerate(drops.by_first) if n]
    ids = facts.clips["clip_id"]
    uncut = pc.is_in(ids, pa.array(sorted(facts.uncut), pa.string())).to_numpy()
    samples = np.flatnonzero(facts.kept & ~uncut)
    groups: list[tuple[str, str, str | None, Ints]] = [("kept", "In the shards", None, samples)]
    if uncut.any():
        groups.append(("not-cut", "Kept, but could not be cut", None, np.flatnonzero(uncut)))
    for reason in leading:
        name = drops.reasons[reason]
        groups.append((f"dropped-{reason}", name, name, np.flatnonzero(drops.first == reason)))
    short = max(most * _FULL_SHEETS // max(len(leading), 1), 1)
    chosen = [rows[evenly(len(rows), min(most, short))] for *_, rows in groups]
    cards = _cards(out, facts, np.unique(np.concatenate(chosen)))
    return [
        Sheet(anchor, title, len(rows), [cards[row] for row in shown.tolist()], reason)
        for (anchor, title, reason, rows), shown in zip(groups, chosen)
    ]


def _cards(out: Place, facts: Facts, rows: Ints) -> dict[int, Card]:
    """Everything about a few clips, read part by part."""
    ids = facts.clips["clip_id"].take(pa.array(rows)).to_pylist()
    reasons = facts.clips["drop_reasons"].take(pa.array(rows)).to_pylist()
    units = facts.part[rows].tolist()
    wanted: dict[int, set[str]] = {}
    for unit, clip_id in zip(units, ids):
        wanted.setdefault(unit, set()).add(clip_id)
    shown = strips(out, wanted)
    told = {row["clip_id"]: row for unit, names in wanted.items() for row in _rows(out, facts, unit, names)}
    cards = {}
    for row, clip_id, why in zip(rows.tolist(), ids, reasons):
        if clip_id in facts.uncut:
            why = [f"not cut: {facts.uncut[clip_id]}"]
        cards[row] = _card(told[clip_id], shown.get(clip_id), why, _order(facts))
    return cards


def _rows(out: Place, facts: Facts, unit: int, ids: set[str]) -> list[Row]:
    """These clips of one part, with their scores and captions."""
    clips = out.table(parts.path("clips", unit), ["clip_id", *_OF_CLIPS])
    clips = clips.filter(pc.is_in(clips["clip_id"], pa.array(sorted(ids), pa.string())))
    scores = out.table(parts.path("scores", unit), ["clip_id", *facts.scores])
    captions = out.table(parts.path("captions", unit), ["clip_id", "caption"])
    rows: list[Row] = parts.joined(parts.joined(clips, scores), captions).to_pylist()
    return rows


def _order(facts: Facts) -> list[str]:
    """The measures: those that the rules look at, then each scorer's overall one, then the others."""
    ruled = [resolved.rule.field for resolved in facts.resolved]
    detailed = [name for name in facts.scores if any(name.startswith(f"{other}_") for other in facts.scores)]
    known = [*(name for name in facts.scores if name not in detailed), *CARRIED, *detailed]
    return sorted(known, key=lambda name: name not in ruled)


def _card(row: Row, strip: Strip | None, reasons: list[str], order: list[str]) -> Card:
    size, source = f"{row['width']}×{row['height']}", without_secrets(row["source_id"])
    facts = ["image", size]
    if row["kind"] != "image":
        facts = [span(row["duration_s"]), f"{number(row['fps'])} fps", size, f"{row['frames']:,} frames"]
        source = f"{source}, {clock(row['start_s'])} to {clock(row['end_s'])}"
    return Card(
        clip_id=row["clip_id"],
        strip=strip,
        caption=row["caption"],
        facts=" · ".join(facts),
        source=source,
        reasons=reasons,
        measures=[(name.replace("_", " "), number(row[name])) for name in order if row[name] is not None],
    )
