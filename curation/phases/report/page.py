"""The page: one HTML file that needs nothing else, made from plain values by a template."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache

import jinja2
import numpy as np
import pyarrow as pa
import yaml

from curation.phases.report import palette, rules
from curation.phases.report.amounts import count, number, plural, share, size, span
from curation.phases.report.distributions import Distribution, Share, distributions, shares
from curation.phases.report.facts import Facts
from curation.phases.report.funnel import funnel
from curation.phases.report.pictures import Strip, evenly, webp
from curation.phases.report.sheets import Sheet
from curation.recipe import Recipe, deciding, hash_of
from curation.store import without_secrets

_FRAMES = 8  # in the strip at the top
_CATEGORIES = 16
_KINDS = 8  # codecs and sizes of sources
_LISTED = 100  # failed sources by name


@dataclass(frozen=True)
class Bars:
    """A distribution as SVG in a box of one by one for each bin and 100 high."""

    bins: int
    all: str
    kept: str
    told: list[str]
    """One sentence for each bin, empty where there is nothing."""


def render(facts: Facts, recipe: Recipe, shown: list[Sheet], made_of: str) -> str:
    """The whole page; the same for the same output and recipe."""
    sources = facts.sources
    decoded = [status == "ok" for status in sources["status"].to_pylist()]
    sizes = [f"{w}×{h}" if w else None for w, h in zip(sources["width"].to_pylist(), sources["height"].to_pylist())]
    reasons = rules.reasons(facts)
    charts = distributions(facts)
    categories = facts.clips["category"]
    settings = deciding(recipe)
    del settings["sources"]
    return _template().render(
        made_of=made_of,
        name=recipe.name,
        headline=_headline(facts),
        frames=_frames(shown),
        funnel=funnel(facts),
        reasons=reasons,
        percentiles=any(reason.value for reason in reasons),
        idle=rules.idle(facts),
        charts=[(chart, _bars(chart)) for chart in charts if chart.median is not None],
        blank=[chart.field for chart in charts if chart.median is None],
        categories=shares(categories.to_pylist(), facts.kept, _CATEGORIES) if _any(categories) else [],
        sheets=shown,
        codecs=_counted(sources["codec"].to_pylist(), decoded),
        sizes=_counted(sizes, decoded),
        failed=_troubled(facts, "error"),
        partly=_troubled(facts, "warning"),
        listed=_LISTED,
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100),
        dataset_hash=facts.dataset_hash,
        recipe_hash=hash_of(recipe),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curation.phases", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "plural": plural, "number": number, "span": span, "percent": _percent}
    environment.globals |= {"share": share, "light": palette.LIGHT, "dark": palette.DARK, "picture": _picture}
    return environment.get_template("page.html.j2")


def _percent(part: float) -> str:
    """A CSS length."""
    return f"{100 * part:.4g}%"


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


def _frames(shown: list[Sheet]) -> list[bytes]:
    """A few pictures of kept clips."""
    found = [card.strip for card in shown[0].cards if card.strip]
    return [webp(found[at].still()) for at in evenly(len(found), _FRAMES)]


def _bars(chart: Distribution) -> Bars:
    top = max(int(chart.all.max()), 1)
    unit = f" {chart.unit}" if chart.unit.isalpha() else ""
    told = [
        f"{number(low)} to {number(high)}{unit}: {plural(every, 'clip')}, {count(good)} kept" if every else ""
        for low, high, every, good in zip(chart.edges, chart.edges[1:], chart.all.tolist(), chart.kept.tolist())
    ]
    return Bars(len(chart.all), _path(chart.all.tolist(), top), _path(chart.kept.tolist(), top), told)


def _path(heights: list[int], top: int) -> str:
    """Columns as one SVG path; a column that is not empty can always be seen."""
    return "".join(f"M{at}.05 100v-{max(100 * n / top, 1):.4g}h.9V100z" for at, n in enumerate(heights) if n)


def _any(column: pa.ChunkedArray) -> bool:
    """Whether a column has a value."""
    return column.null_count < len(column)


def _counted(labels: list[str | None], decoded: list[bool]) -> list[Share]:
    """What decoded sources are, the most frequent first."""
    good = [label for label, ok in zip(labels, decoded) if ok]
    return shares(good, np.ones(len(good), np.bool_), _KINDS)


def _troubled(facts: Facts, column: str) -> list[tuple[str, str]]:
    """Sources with an error or a warning, and what it says."""
    names, told = facts.sources["source_id"].to_pylist(), facts.sources[column].to_pylist()
    return [(without_secrets(name), text) for name, text in zip(names, told) if text]
