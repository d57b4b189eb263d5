"""The pictures beside the page: an overview for a README, all distributions, two contact sheets."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, zip_longest

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from curation.phases.report.drawn.drawing import DPI, bars, canvas, histogram, legend, place, write
from curation.phases.report.drawn.palette import DARK, LIGHT, Palette
from curation.phases.report.numbers.amounts import count, plural, share, size, span
from curation.phases.report.numbers.distributions import Distribution
from curation.phases.report.numbers.facts import Facts
from curation.phases.report.numbers.funnel import funnel
from curation.phases.report.numbers.picks import evenly
from curation.phases.report.page.cards import Card
from curation.phases.report.page.sheets import Shown

_ACROSS, _DOWN = 6, 4
_WIDE, _HIGH = 256, 144
_GAP, _TEXT, _MARGIN, _TITLE = 16, 44, 28, 64
_LETTERS = 40  # in a line below a picture
_OVERVIEW = ("duration_s", "caption_words", "height", "signal", "motion", "brightness")


def figures(facts: Facts, charts: list[Distribution], shown: Shown) -> Iterator[tuple[str, bytes]]:
    """Every picture by its name, as PNG; the same bytes for the same output."""
    name, sheets = facts.recipe.name, shown.sheets
    charts = [chart for chart in charts if chart.median is not None]
    kept = [card for sheet in sheets if sheet.reason is None for card in sheet.cards]
    by_turns = chain.from_iterable(zip_longest(*(sheet.cards for sheet in sheets if sheet.reason is not None)))
    dropped = [card for card in by_turns if card is not None][: _ACROSS * _DOWN]
    some_kept = [kept[at] for at in evenly(len(kept), _ACROSS * _DOWN)]
    sums = facts.sums["clips"]
    drawn: dict[str, Callable[[], Figure]] = {
        "overview": lambda: _overview(facts, name, charts, kept, dropped, LIGHT),
        "overview-dark": lambda: _overview(facts, name, charts, kept, dropped, DARK),
        "distributions": lambda: _distributions(name, charts, LIGHT),
        "kept": lambda: _contact(f"{name}: kept", sums["kept"], some_kept, _caption, LIGHT),
        "dropped": lambda: _contact(f"{name}: dropped", sums["dropped"], dropped, _reasons, LIGHT),
    }
    for title, draw in drawn.items():
        png = io.BytesIO()
        with style.context("default", after_reset=True), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # letters that the built-in font lacks become boxes
            draw().savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        yield title, png.getvalue()


def _overview(
    facts: Facts, name: str, charts: list[Distribution], kept: list[Card], dropped: list[Card], colours: Palette
) -> Figure:
    """A strip of kept clips, the funnel, where there is room some dropped clips, and six distributions."""
    figure = canvas(1800, 1000, colours)
    pictures = [card.strip.still() for card in kept if card.strip]
    strip = [pictures[at] for at in evenly(len(pictures), 7)]
    for at, picture in enumerate(strip):
        left, right = round(at * 1800 / len(strip)), round((at + 1) * 1800 / len(strip))
        place(figure, picture, left, 0, right - left - (4 if at < len(strip) - 1 else 0), 146)
    clips, samples = facts.sums["clips"], facts.sums["samples"]
    told = [
        plural(facts.sums["inputs"], "source"),
        plural(clips["all"], "clip"),
        f"{count(clips['kept'])} kept ({share(clips['kept'], clips['all'])})",
        f"{span(samples['hours'] * 3600)} in {plural(samples['shards'], 'shard')}",
        size(samples["bytes"]),
    ]
    write(figure, 44, 176, name, colours.ink, 30, weight="bold")
    write(figure, 44, 236, "   ·   ".join(told), colours.soft, 14)
    end = bars(figure, funnel(facts), (44, 310, 640, 640), colours)
    if end < 800:
        _some_dropped(figure, dropped, 800, colours)
    legend(figure, 1380, 243, colours)
    found = {chart.field: chart for chart in charts}
    chosen = [found[field] for field in dict.fromkeys((*_OVERVIEW, *found)) if field in found][:6]
    for at, chart in enumerate(chosen):
        row, across = divmod(at, 3)
        histogram(figure, chart, (780 + across * 340, 360 + row * 320, 296, 220), colours)
    return figure


def _some_dropped(figure: Figure, dropped: list[Card], top: int, colours: Palette) -> None:
    """Three dropped clips beside each other."""
    for at, card in enumerate([card for card in dropped if card.strip][:3]):
        assert card.strip
        x = 44 + at * 218
        place(figure, card.strip.still(), x, top, 204, 115)
        text = textwrap.shorten(_reasons(card), 30, placeholder=" …")
        write(figure, x, top + 122, text, colours.dropped, 9)


def _distributions(name: str, charts: list[Distribution], colours: Palette) -> Figure:
    """Every distribution, four in a row."""
    figure = canvas(1600, 100 + -(-len(charts) // 4) * 290, colours)
    write(figure, 44, 24, f"{name}: distributions", colours.ink, 20, weight="bold")
    legend(figure, 1200, 32, colours)
    for at, chart in enumerate(charts):
        row, across = divmod(at, 4)
        histogram(figure, chart, (44 + across * 390, 130 + row * 290, 340, 180), colours)
    return figure


def _contact(title: str, total: int, cards: list[Card], told: Callable[[Card], str], colours: Palette) -> Figure:
    """A contact sheet, six clips in a row, two lines of text below each."""
    rows = max(-(-len(cards) // _ACROSS), 1)
    width = 2 * _MARGIN + _ACROSS * _WIDE + (_ACROSS - 1) * _GAP
    figure = canvas(width, 2 * _MARGIN + _TITLE + rows * (_HIGH + _TEXT) + (rows - 1) * _GAP, colours)
    write(figure, _MARGIN, _MARGIN, title, colours.ink, 20, weight="bold")
    of = f"{count(len(cards))} of {plural(total, 'clip')}" if len(cards) < total else plural(total, "clip")
    write(figure, width - _MARGIN, _MARGIN + 8, of, colours.soft, 14, ha="right")
    for at, card in enumerate(cards):
        row, across = divmod(at, _ACROSS)
        x, y = _MARGIN + across * (_WIDE + _GAP), _MARGIN + _TITLE + row * (_HIGH + _TEXT + _GAP)
        picture = card.strip.middle() if card.strip else np.full((_HIGH, _WIDE, 3), 40, np.uint8)
        place(figure, picture, x, y, _WIDE, _HIGH)
        if not card.strip:
            write(figure, x + _WIDE // 2, y + _HIGH // 2 - 8, "no thumbnails", "#9b9ca5", 9, ha="center")
        for line, text in enumerate(textwrap.wrap(told(card), _LETTERS, max_lines=2, placeholder=" …")):
            write(figure, x, y + _HIGH + 6 + line * 15, text, colours.soft, 8)
    return figure


def _caption(card: Card) -> str:
    return card.caption or "not captioned"


def _reasons(card: Card) -> str:
    return ", ".join(card.reasons)
