"""The page: one HTML file that needs nothing else, made from plain values by a template."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import yaml

from curation.phases.report import RUN_MARK
from curation.phases.report.drawn import palette
from curation.phases.report.numbers import rules
from curation.phases.report.numbers.amounts import count, number, plural, share, size, span
from curation.phases.report.numbers.distributions import Distribution
from curation.phases.report.numbers.drops import Drops
from curation.phases.report.numbers.facts import Facts
from curation.phases.report.numbers.funnel import funnel
from curation.phases.report.numbers.journal import Journal
from curation.phases.report.numbers.picks import evenly
from curation.phases.report.numbers.published import SOURCE, Comparison
from curation.phases.report.page.pictures import Strip, webp
from curation.phases.report.page.run import Timeline, timeline
from curation.phases.report.page.sheets import Shown, shorter, strips_in_turn, with_pictures
from curation.prediction import Line
from curation.recipe import deciding, hash_of
from curation.store import without_secrets

_FRAMES = 8  # in the strip at the top
_CATEGORIES = 16
_KINDS = 8  # codecs and sizes of sources
_REASONS = 200  # rows of the table of reasons
_TOGETHER = 12  # rows and columns of the table of rules that drop the same clips
_BASE64 = 4 / 3
_AROUND = 64  # bytes around a picture


@dataclass(frozen=True)
class Bars:
    """A distribution as SVG in a box of one by one for each bin and 100 high."""

    bins: int
    all: str
    kept: str
    rows: list[tuple[str, int, int]]
    """For each bin from where to where it reaches, and how many clips and kept ones are in it."""


@dataclass(frozen=True)
class Together:
    """Of the clips that one rule is against, the share that another is against too."""

    names: list[str]
    counts: list[list[int]]


def render(
    facts: Facts,
    charts: list[Distribution],
    shown: Shown,
    run: Journal | None,
    predicted: list[Line],
    made_of: str,
    max_bytes: float,
) -> str:
    """The whole page, no larger than `max_bytes`; up to `RUN_MARK` the same for the same tables and recipe.

    Args:
        predicted: what was predicted beside what came; empty without a prediction.
    """
    values = _values(facts, charts, run, made_of)
    values["predicted"] = [(one.what, *(_amount(n, one.unit) for n in _told(one)), one.ratio) for one in predicted]
    values["linked"] = {sheet.number for sheet in shown.sheets}
    page = _template().render(**values, shown=with_pictures(shown, set()), frames=[])
    while len(page.encode()) > max_bytes / 2 and shown.longest > 1:
        shown = shorter(shown, shown.longest // 2)
        page = _template().render(**values, shown=with_pictures(shown, set()), frames=[])
    frames = _frames(shown)
    left = max_bytes - len(page.encode()) - sum(len(frame) * _BASE64 + _AROUND for frame in frames)
    allowed: set[int] = set()
    turns = strips_in_turn(shown)
    times = Counter(id(strip) for strip in turns)  # a clip may stand in several places
    for strip in turns:
        if id(strip) not in allowed:
            left -= times[id(strip)] * (len(strip.webp) * _BASE64 + 4 * _AROUND)
            if left < 0:
                break
            allowed.add(id(strip))
    return _template().render(**values, shown=with_pictures(shown, allowed), frames=frames)


def _values(facts: Facts, charts: list[Distribution], run: Journal | None, made_of: str) -> dict[str, Any]:
    recipe, sources = facts.recipe, facts.sources
    reasons = rules.reasons(facts)
    named = rules.costs(facts)
    settings = deciding(recipe)
    del settings["sources"]
    seconds = facts.sums["sources"]["hours"] * 3600
    return {
        "made_of": made_of,
        "name": recipe.name,
        "headline": _headline(facts),
        "funnel": funnel(facts),
        "compared": [(one, _highest(one)) for one in facts.comparisons],
        "published_by": SOURCE,
        "reasons": reasons,
        "reasons_shown": _REASONS,
        "percentiles": any(reason.value for reason in reasons),
        "costs": named,
        "clips": facts.clips,
        "together": _together(facts.drops, [name for name, _ in named]),
        "charts": [(chart, _bars(chart)) for chart in charts if chart.median is not None],
        "blank": [chart.field for chart in charts if chart.median is None],
        "categories": [(name, labels.shares(_CATEGORIES)) for name, labels in facts.categories.items() if labels.known],
        "words": facts.words,
        "different_captions": facts.different_captions,
        "flags": facts.flags,
        "flag_counts": sorted(facts.flags.counts.items(), key=lambda one: (-one[1], one[0])),
        "captioners": facts.flags.captioners.shares(_KINDS),
        "caption_errors": [one for one in facts.flags.errors.shares(_KINDS) if one.label != "none given"],
        "shares_of_sources": [
            (title, labels.shares(_KINDS))
            for title, labels in (
                ("Codec", sources.codecs),
                ("Container, by the name's ending", sources.containers),
                ("Picture size", sources.sizes),
                ("Licence", sources.licences),
            )
        ],
        "failed": [(without_secrets(one.source_id), one.told) for one in sources.failed],
        "failures": sources.failures,
        "failed_by_reason": list(facts.sums["sources"]["failed_by_reason"].items()),
        "partly": [(without_secrets(one.source_id), one.told) for one in sources.partly],
        "warnings": sources.warnings,
        "settings": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100),
        "dataset_hash": facts.manifest["dataset_hash"],
        "recipe_hash": hash_of(recipe),
        "run": run,
        "run_mark": RUN_MARK,
        "timeline": timeline(run) if run else Timeline([], []),
        "footage_s": seconds,
    }


def _told(one: Line) -> tuple[float, float, float, float]:
    return one.low, one.mid, one.high, one.actual


def _amount(value: float, unit: str) -> str:
    """A predicted amount in its unit."""
    if unit in ("hours", "seconds"):
        return span(value * (3600 if unit == "hours" else 1))
    return size(value) if unit == "bytes" else count(round(value))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curation.phases.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "plural": plural, "number": number, "span": span, "percent": _percent}
    environment.filters |= {"size": size, "part": _part}
    environment.globals |= {"share": share, "light": palette.LIGHT, "dark": palette.DARK, "picture": _picture}
    return environment.get_template("page.html.j2")


def _percent(part: float) -> str:
    """A CSS length."""
    return f"{100 * part:.4g}%"


def _part(part: float | None) -> str:
    """A published share, or that there is none."""
    return "n.p." if part is None else f"{100 * part:.4g} %"


def _picture(data: bytes | Strip) -> str:
    """A picture as the address of an <img>."""
    data = data.webp if isinstance(data, Strip) else data
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def _headline(facts: Facts) -> list[tuple[str, str, str]]:
    """The numbers at the top: what, how much, and a word on it."""
    sources, clips, samples = facts.sums["sources"], facts.sums["clips"], facts.sums["samples"]
    failed = f"{count(sources['failed'])} failed" if sources["failed"] else "all decoded"
    partly = f", {count(sources['in part'])} in part" if sources["in part"] else ""
    return [
        ("Sources", count(facts.sums["inputs"]), failed + partly),
        ("Clips found", count(clips["all"]), f"{span(clips['hours'] * 3600)} of footage"),
        ("Clips kept", count(clips["kept"]), f"{share(clips['kept'], clips['all'])} of those found"),
        ("Footage in shards", span(samples["hours"] * 3600), plural(samples["in shards"], "sample")),
        ("Shards", count(samples["shards"]), size(samples["bytes"])),
    ]


def _frames(shown: Shown) -> list[bytes]:
    """A few pictures of kept clips."""
    found = [card.strip for card in shown.kept if card.strip]
    return [webp(found[at].still()) for at in evenly(len(found), _FRAMES)]


def _highest(one: Comparison) -> float:
    """The share that fills the width of a figure."""
    shares = [part for row in one.bins for part in (row.share, row.vimeo25m, row.webvid10m) if part is not None]
    return max(shares, default=1.0) or 1.0


def _bars(chart: Distribution) -> Bars:
    top = max(int(chart.all.max()), 1)
    edges = [number(round(float(edge), 9)) for edge in chart.edges]
    rows = list(
        zip([f"{low} to {high}" for low, high in zip(edges, edges[1:])], chart.all.tolist(), chart.kept.tolist())
    )
    return Bars(len(chart.all), _path(chart.all.tolist(), top), _path(chart.kept.tolist(), top), rows)


def _path(heights: list[int], top: int) -> str:
    """Columns as one SVG path; a column that is not empty can always be seen."""
    return "".join(f"M{at}.05 100v-{max(100 * n / top, 1):.4g}h.9V100z" for at, n in enumerate(heights) if n)


def _together(drops: Drops, names: list[str]) -> Together:
    """The decisions that drop most, in their order."""
    most = sorted(range(len(names)), key=lambda n: -drops.costs[n].any)[:_TOGETHER]
    chosen = [n for n in sorted(most) if drops.costs[n].any]
    return Together([names[n] for n in chosen], [[int(drops.together[a, b]) for b in chosen] for a in chosen])
