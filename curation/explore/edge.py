"""The clips on both sides of a threshold: those that it alone drops and those that it only just keeps."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from curation import parts
from curation.errors import UserError
from curation.phases.report.drawn.drawing import canvas, place, write
from curation.phases.report.drawn.palette import LIGHT
from curation.phases.report.numbers.amounts import clock, number
from curation.phases.report.page.pictures import Strip, strips
from curation.phases.select.decide import judge
from curation.phases.select.what_if import End, Movable
from curation.recipe_select import Bound
from curation.store import Place, without_secrets
from curation.whatif import Grounds

_WIDE, _HIGH, _GAP = 240, 135, 14
_LETTERS = 38


@dataclass(frozen=True)
class Neighbour:
    """One clip near a threshold."""

    clip_id: str
    value: float
    source: str
    caption: str | None
    strip: Strip | None


@dataclass(frozen=True)
class Edge:
    """What lies on both sides of one threshold, the nearest first."""

    field: str
    end: End
    threshold: float
    kept: list[Neighbour]
    dropped: list[Neighbour]


def edge(grounds: Grounds, field: str, end: End, bound: Bound | None, most: int) -> Edge:
    """Clips that pass everything else, on both sides of a bound.

    Args:
        bound: by default the one that the rules have.

    Raises:
        UserError: the rules have no such bound, or it is one of groups.
    """
    clips = grounds.clips([field])
    others = grounds.others(clips)
    movable = Movable.among(grounds.rules, field, end, grounds.known)
    bound = movable.now if bound is None else bound
    if bound is None:
        raise UserError(f"no rule has {field}.{end}; say which value to look at, such as p25")
    rules, rule = movable.at(grounds.rules, bound)
    judged = judge(clips, rules, **others)
    resolved = next(one for one in judged.resolved if one.rule is rule)
    threshold = resolved.least if end == "min" else resolved.greatest
    if threshold is None:
        raise UserError(f"the threshold on {field} differs by {rule.by if rule else 'group'}; say a number")
    free = judge(clips, movable.at(grounds.rules, None)[0], **others).kept
    values = np.asarray(clips[field].cast(pa.float64()).fill_null(np.nan).to_numpy())
    passes = values >= threshold if end == "min" else values <= threshold
    near = np.argsort(np.abs(values - threshold), kind="stable")
    candidates = near[(free & np.isfinite(values))[near]]
    inside, outside = candidates[passes[candidates]][:most], candidates[~passes[candidates]][:most]
    known = _neighbours(grounds.place, clips, values, np.concatenate([inside, outside]))
    return Edge(field, end, threshold, known[: len(inside)], known[len(inside) :])


def _neighbours(out: Place, clips: pa.Table, values: np.ndarray, rows: np.ndarray) -> list[Neighbour]:
    """These clips with their pictures and captions."""
    ids = clips["clip_id"].take(pa.array(rows)).to_pylist()
    wanted: dict[int, set[str]] = {}
    told: dict[str, dict] = {}
    for unit in parts.units(out, "clips"):
        some = out.table(parts.path("clips", unit), ["clip_id", "source_id", "start_s", "end_s"])
        some = some.filter(pc.is_in(some["clip_id"], pa.array(ids, pa.string())))
        if not some.num_rows:
            continue
        if unit in parts.units(out, "captions"):
            some = parts.joined(some, out.table(parts.path("captions", unit), ["clip_id", "caption"]))
        found = some.to_pylist()
        wanted[unit] = {row["clip_id"] for row in found}
        told |= {row["clip_id"]: row for row in found}
    shown = strips(out, wanted)
    return [
        Neighbour(
            clip_id=clip_id,
            value=float(values[row]),
            source=f"{without_secrets(told[clip_id]['source_id'])}, {clock(told[clip_id]['start_s'])}",
            caption=told[clip_id].get("caption"),
            strip=shown.get(clip_id),
        )
        for clip_id, row in zip(ids, rows.tolist())
    ]


def drawn(found: Edge) -> Figure:
    """Two rows of pictures: just kept, and only just not."""
    columns = max(len(found.kept), len(found.dropped), 1)
    width = 2 * 24 + columns * _WIDE + (columns - 1) * _GAP
    sign = "≥" if found.end == "min" else "≤"
    figure = canvas(max(width, 640), 2 * (_HIGH + 108) + 64, LIGHT)
    write(figure, 24, 20, f"{found.field} {sign} {number(found.threshold)}", LIGHT.ink, 15, weight="bold")
    for line, (title, clips, colour) in enumerate(
        (("kept, nearest first", found.kept, LIGHT.kept), ("dropped by this alone", found.dropped, LIGHT.dropped))
    ):
        top = 64 + line * (_HIGH + 108)
        write(figure, 24, top, title if clips else f"{title}: none", colour, 11, weight="bold")
        for at, clip in enumerate(clips):
            x, y = 24 + at * (_WIDE + _GAP), top + 24
            picture = clip.strip.middle() if clip.strip else np.full((_HIGH, _WIDE, 3), 40, np.uint8)
            place(figure, picture, x, y, _WIDE, _HIGH)
            write(figure, x, y + _HIGH + 6, f"{clip.value:.4g}", LIGHT.ink, 10, weight="bold")
            text = textwrap.wrap(clip.caption or "no caption", _LETTERS, max_lines=2, placeholder=" …")
            source = clip.source if len(clip.source) <= _LETTERS else "…" + clip.source[1 - _LETTERS :]
            for number_of_line, told in enumerate([*text, source]):
                write(figure, x, y + _HIGH + 24 + number_of_line * 15, told, LIGHT.soft, 8)
    return figure
