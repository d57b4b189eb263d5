"""Clips as cards: pictures, caption, measures, why it was dropped. Only the parts that hold wanted clips are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import parts
from curation.phases.report.numbers.amounts import clock, number, span
from curation.phases.report.numbers.facts import Facts
from curation.phases.report.numbers.scan import SELECTION
from curation.phases.report.page.pictures import Strip, strips
from curation.store import Place, without_secrets
from curation.tables import CARRIED, Row

_OF_CLIPS = ("source_id", "kind", "start_s", "end_s", "duration_s", "frames", "fps", "width", "height", *CARRIED)
_OF_CAPTIONS = ("caption", "caption_words", "caption_score")
_LETTERS = 800  # of a caption; the tables have the rest
_BATCH = 1 << 16


@dataclass(frozen=True)
class Card:
    """One clip."""

    row: int
    clip_id: str
    strip: Strip | None
    caption: str | None
    facts: str
    source: str
    reasons: list[str]
    """Why it was dropped, or why it could not be cut; empty for a sample."""
    duplicate_of: str | None
    measures: dict[str, str]
    left_out: bool = False
    """Whether there are pictures and the page has no room for them."""


def cards(out: Place, facts: Facts, rows: Iterable[int]) -> dict[int, Card]:
    """Cards of these clips, by their rows."""
    wanted = sorted(set(rows))
    chosen = _selected(out, wanted)
    by_part: dict[int, dict[str, int]] = {}
    for row in wanted:
        by_part.setdefault(facts.part(row), {})[chosen[row]["clip_id"]] = row
    shown = strips(out, {part: set(ids) for part, ids in by_part.items()})
    order = _order(facts)
    found = {}
    for part, ids in by_part.items():
        for told in _rows(out, facts, part, set(ids)):
            clip_id = told["clip_id"]
            said = chosen[ids[clip_id]]
            why = said["drop_reasons"]
            if clip_id in facts.uncut:
                why = [f"not cut: {facts.uncut[clip_id]}"]
            found[ids[clip_id]] = _card(ids[clip_id], told, shown.get(clip_id), why, said["duplicate_of"], order)
    return found


def _selected(out: Place, wanted: list[int]) -> dict[int, Row]:
    """What the selection says of these rows."""
    found: dict[int, Row] = {}
    begin, at = 0, 0
    columns = ["clip_id", "drop_reasons", "duplicate_of"]
    with out.open(SELECTION) as file:
        for batch in pq.ParquetFile(file).iter_batches(_BATCH, columns=columns, use_threads=False):
            last = at
            while last < len(wanted) and wanted[last] < begin + batch.num_rows:
                last += 1
            some = batch.take(pa.array([row - begin for row in wanted[at:last]], pa.int64()))
            found |= dict(zip(wanted[at:last], some.to_pylist()))
            begin, at = begin + batch.num_rows, last
            if at == len(wanted):
                break
    return found


def _rows(out: Place, facts: Facts, unit: int, ids: set[str]) -> list[Row]:
    """These clips of one part, with their scores and captions."""
    wanted = pa.array(sorted(ids), pa.string())
    columns = list(dict.fromkeys(["clip_id", *_OF_CLIPS]))
    clips = out.table(parts.path("clips", unit), columns)
    clips = clips.filter(pc.is_in(clips["clip_id"], value_set=wanted))
    scores = out.table(parts.path("scores", unit), ["clip_id", *facts.scores])
    captions = out.table(parts.path("captions", unit), ["clip_id", *_OF_CAPTIONS])
    rows: list[Row] = parts.joined(parts.joined(clips, scores), captions).to_pylist()
    return rows


def _order(facts: Facts) -> list[str]:
    """The measures: those that the rules look at, then each scorer's overall one, then the others."""
    ruled = [resolved.rule.field for resolved in facts.resolved]
    detailed = [name for name in facts.scores if any(name.startswith(f"{other}_") for other in facts.scores)]
    known = [*(name for name in facts.scores if name not in detailed), *CARRIED, *_OF_CAPTIONS[1:], *detailed]
    return sorted(known, key=lambda name: name not in ruled)


def _card(
    row: int, told: Row, strip: Strip | None, reasons: list[str], duplicate_of: str | None, order: list[str]
) -> Card:
    size, source = f"{told['width']}×{told['height']}", without_secrets(told["source_id"])
    facts = ["image", size]
    if told["kind"] != "image":
        facts = [span(told["duration_s"]), f"{number(told['fps'])} fps", size, f"{told['frames']:,} frames"]
        source = f"{source}, {clock(told['start_s'])} to {clock(told['end_s'])}"
    caption = told["caption"]
    if caption is not None and len(caption) > _LETTERS:
        caption = f"{caption[:_LETTERS]}…"
    return Card(
        row=row,
        clip_id=told["clip_id"],
        strip=strip,
        caption=caption,
        facts=" · ".join(facts),
        source=source[:_LETTERS],
        reasons=[reason[:_LETTERS] for reason in reasons],
        duplicate_of=duplicate_of,
        measures={name: number(told[name]) for name in order if told[name] is not None},
    )
