"""Numbers to single figures, ready for a paper: each takes numbers and, if wanted, the axes to draw on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from curation.phases.report.drawn.palette import LIGHT, Palette
from curation.phases.report.numbers.amounts import count, number
from curation.phases.report.numbers.distributions import Distribution
from curation.phases.report.numbers.drops import Cost
from curation.phases.report.numbers.funnel import Step
from curation.phases.report.numbers.labels import Share
from curation.phases.report.numbers.published import Comparison

_WIDTH = 5.0  # inches: a column and a half of a paper


def histogram(chart: Distribution, axes: Axes | None = None, colours: Palette = LIGHT) -> Figure:
    """All clips, the kept ones in front of them, thresholds as dashed lines."""
    axes = axes if axes is not None else _axes(2.6)
    at = np.arange(len(chart.all)) + 0.5
    axes.bar(at, chart.all, 0.9, color=colours.rest, label="all clips")
    axes.bar(at, chart.kept, 0.9, color=colours.kept, label="kept clips")
    for place, mark in enumerate(chart.marks):
        axes.axvline(mark.at * len(chart.all), color=colours.rule, linestyle="--", linewidth=1.3)
        axes.annotate(
            mark.text,
            (mark.at * len(chart.all), 1 - 0.08 * place),
            xycoords=("data", "axes fraction"),
            xytext=(3, -2),
            textcoords="offset points",
            color=colours.rule,
            fontsize=8,
            va="top",
        )
    axes.set_xlim(0, len(chart.all))
    axes.set_xticks([at * len(chart.all) for at, _ in chart.ticks], [text for _, text in chart.ticks])
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel(f"{chart.field} ({chart.unit})" if chart.unit else chart.field)
    axes.set_ylabel("clips")
    axes.set_title(f"{chart.title}, median {number(chart.median)}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return _done(axes)


def comparison(
    one: Comparison, ours: str = "this dataset", axes: Axes | None = None, colours: Palette = LIGHT
) -> Figure:
    """The kept clips beside Vimeo25M and WebVid10M; what was not published has no bar."""
    axes = axes if axes is not None else _axes(1.0 + 0.32 * len(one.bins))
    groups = [
        (ours, colours.kept, [row.share for row in one.bins]),
        ("Vimeo25M", colours.vimeo, [row.vimeo25m for row in one.bins]),
        ("WebVid10M", colours.webvid, [row.webvid10m for row in one.bins]),
    ]
    groups = [group for group in groups if any(part is not None for part in group[2])]
    height = 0.8 / max(len(groups), 1)
    for place, (label, colour, shares) in enumerate(groups):
        at = np.arange(len(one.bins)) + (place - (len(groups) - 1) / 2) * height
        axes.barh(at, [100 * (part or 0) for part in shares], height * 0.9, color=colour, label=label)
    axes.set_yticks(np.arange(len(one.bins)), [row.label for row in one.bins])
    axes.invert_yaxis()
    axes.set_xlabel("% of clips")
    axes.set_title(one.title, fontsize=10)
    if groups:
        axes.legend(frameon=False, fontsize=8)
    return _done(axes)


def shares(found: Sequence[Share], title: str, axes: Axes | None = None, colours: Palette = LIGHT) -> Figure:
    """How often each value of a text column occurs."""
    axes = axes if axes is not None else _axes(0.9 + 0.26 * len(found))
    at = np.arange(len(found))
    axes.barh(at, [one.all for one in found], 0.8, color=colours.rest, label="all")
    axes.barh(at, [one.kept for one in found], 0.8, color=colours.kept, label="kept")
    axes.set_yticks(at, [_short(one.label) for one in found])
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return _done(axes)


def costs(found: Sequence[tuple[str, Cost]], axes: Axes | None = None, colours: Palette = LIGHT) -> Figure:
    """What every rule is against, what it takes of what is left, and what it is alone against."""
    axes = axes if axes is not None else _axes(0.9 + 0.3 * len(found))
    at = np.arange(len(found))
    axes.barh(at, [one.any for _, one in found], 0.8, color=colours.rest, label="fails it")
    axes.barh(at, [one.first for _, one in found], 0.5, color=colours.dropped, label="taken by it, in order")
    axes.barh(at, [one.only for _, one in found], 0.2, color=colours.rule, label="by it alone")
    axes.set_yticks(at, [_short(name) for name, _ in found])
    axes.invert_yaxis()
    axes.set_xlabel("clips")
    axes.legend(frameon=False, fontsize=8)
    return _done(axes)


def funnel(groups: Sequence[Sequence[Step]], axes: Axes | None = None, colours: Palette = LIGHT) -> Figure:
    """From sources to samples: what was there, what each reason took, what is left."""
    steps = [step for group in groups for step in group]
    axes = axes if axes is not None else _axes(0.6 + 0.26 * len(steps))
    colour = {"stage": colours.rest, "kept": colours.kept, "loss": colours.dropped}
    for at, step in enumerate(steps):
        axes.barh(at, step.width, 0.75, left=step.start, color=colour[step.kind])
        sign = "−" if step.kind == "loss" else ""
        axes.text(1.02, at, f"{sign}{count(step.count)}", va="center", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_yticks(range(len(steps)), [_short(step.label) for step in steps])
    axes.invert_yaxis()
    return _done(axes)


def _axes(height: float) -> Axes:
    figure = Figure(figsize=(_WIDTH, height), dpi=150, layout="constrained")
    return figure.add_subplot()


def _done(axes: Axes) -> Figure:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _short(text: str) -> str:
    return text if len(text) <= 34 else f"{text[:33]}…"
