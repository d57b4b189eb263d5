"""Drawing on a figure in whole pixels from the top left: pictures, text, histograms, a funnel."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from curation.phases.report.drawn.palette import Palette
from curation.phases.report.numbers.amounts import count, number, span
from curation.phases.report.numbers.distributions import Distribution
from curation.phases.report.numbers.funnel import Step
from curation.phases.report.page.pictures import Image

DPI = 100
Box = tuple[int, int, int, int]
"""Left, top, width, height."""

_REASONS = 5  # losses that a funnel shows one by one
_LETTERS = 26


def canvas(width: int, height: int, colours: Palette) -> Figure:
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=colours.paper)


def write(figure: Figure, x: float, y: float, text: str, colour: str, points: float, **options: Any) -> None:
    """Text with its top at y; letters that cannot be printed are left out."""
    width, height = _size(figure)
    text = "".join(letter for letter in text if letter.isprintable())
    options.setdefault("va", "top")
    figure.text(x / width, 1 - y / height, text, color=colour, fontsize=points, parse_math=False, **options)


def place(figure: Figure, picture: Image, x: int, y: int, width: int, height: int) -> None:
    """A picture that fills this box; what reaches beyond it is cut off evenly."""
    high, wide = picture.shape[:2]
    scale = max(width / wide, height / high)
    across, down = max(round(wide * scale), width), max(round(high * scale), height)
    scaled = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA)
    left, top = (across - width) // 2, (down - height) // 2
    bottom = round(_size(figure)[1]) - y - height
    figure.figimage(scaled[top : top + height, left : left + width], x, bottom, origin="upper")


def histogram(figure: Figure, chart: Distribution, box: Box, colours: Palette) -> None:
    """All clips, the kept ones in front of them, and the thresholds."""
    x, y, _, _ = box
    write(figure, x, y - 48, chart.title, colours.ink, 12, weight="bold")
    axes = _axes(figure, box)
    at = np.arange(len(chart.all)) + 0.5
    axes.bar(at, chart.all, 0.9, color=colours.rest)
    axes.bar(at, chart.kept, 0.9, color=colours.kept)
    axes.set_xlim(0, len(chart.all))
    axes.set_ylim(0, max(int(chart.all.max()), 1) * 1.02)
    for mark in chart.marks:
        axes.axvline(mark.at * len(chart.all), color=colours.rule, linestyle=(0, (4, 3)), linewidth=1.6, clip_on=False)
    axes.set_xticks([at * len(chart.all) for at, _ in chart.ticks], [text for _, text in chart.ticks])
    axes.set_yticks([])
    axes.tick_params(colors=colours.soft, labelsize=9, length=3)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(colours.soft)
    told = [f"median {number(chart.median)}", *(mark.text for mark in chart.marks)]
    unit = f"{chart.unit}, " if chart.unit and len(chart.unit) < 12 else ""
    write(figure, x, y - 24, unit + ", ".join(told), colours.soft, 9)


def legend(figure: Figure, x: int, y: int, colours: Palette) -> None:
    """What the colours of histograms mean."""
    for text, colour in (("all clips", colours.rest), ("kept clips", colours.kept)):
        place(figure, np.full((14, 14, 3), _rgb(colour), np.uint8), x, y, 14, 14)
        write(figure, x + 22, y + 7, text, colours.soft, 10, va="center_baseline")
        x += 120
    axes = _axes(figure, (x, y - 2, 14, 18))
    axes.set_axis_off()
    axes.axvline(0.5, color=colours.rule, linestyle=(0, (3, 2)), linewidth=1.6)
    write(figure, x + 22, y + 7, "threshold of a rule", colours.soft, 10, va="center_baseline")


def bars(figure: Figure, groups: list[list[Step]], box: Box, colours: Palette) -> int:
    """The funnel: what was there, what each reason took away, what is left. Returns where it ends."""
    groups = [_shortened(group) for group in groups]
    x, y, width, height = box
    lines = sum(len(group) for group in groups) + 0.6 * (len(groups) - 1)
    pitch = min(height / lines, 60)
    colour_of = {"stage": colours.rest, "kept": colours.kept, "loss": colours.dropped}
    label, amount = round(width * 0.36), round(width * 0.25)
    track = width - label - amount
    top = float(y)
    for group in groups:
        for step in group:
            axes = _axes(figure, (x + label, round(top), track, round(pitch * 0.62)))
            axes.set_axis_off()
            axes.set_xlim(0, 1)
            axes.barh(0, 1, color=colours.rest, alpha=0.18)
            axes.barh(0, max(step.width, 0.004) if step.count else 0, left=step.start, color=colour_of[step.kind])
            axes.set_ylim(-0.4, 0.4)
            loss = step.kind == "loss"
            text = step.label if len(step.label) <= _LETTERS else step.label[: _LETTERS - 1] + "…"
            middle = top + pitch * 0.31
            ink, weight = (colours.soft, "normal") if loss else (colours.ink, "bold")
            write(figure, x + 14 * loss, middle, text, ink, 11, va="center_baseline", weight=weight)
            right = x + label + track
            shown = ("−" if loss else "") + count(step.count)
            write(figure, right + 80, middle, shown, colours.ink, 11, va="center_baseline", ha="right", weight=weight)
            if step.seconds is not None:
                write(figure, x + width, middle, span(step.seconds), colours.soft, 10, va="center_baseline", ha="right")
            top += pitch
        top += pitch * 0.6
    return round(top)


def _shortened(steps: list[Step]) -> list[Step]:
    """The steps, and where many losses follow each other, the smaller ones as one."""
    shown = []
    for kind, run in groupby(steps, key=lambda step: step.kind):
        some = list(run)
        few = some[_REASONS - 1 :] if kind == "loss" and len(some) > _REASONS else []
        shown += some[: len(some) - len(few)]
        if few:
            seconds = None if few[0].seconds is None else sum(step.seconds or 0 for step in few)
            amount, width = sum(step.count for step in few), sum(step.width for step in few)
            shown.append(Step("loss", f"{len(few)} other reasons", amount, few[0].whole, few[-1].start, width, seconds))
    return shown


def _axes(figure: Figure, box: Box) -> Axes:
    x, y, wide, high = box
    width, height = _size(figure)
    return figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height), facecolor="none")


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _size(figure: Figure) -> tuple[float, float]:
    width, height = figure.get_size_inches()
    return float(width * DPI), float(height * DPI)
