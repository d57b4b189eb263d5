"""Several videos as one picture: a row each, frames from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_COLUMNS, _LARGEST = 8, 192
_GAP, _LINE = 4, 16
_GROUND, _INK, _FAINT = (24, 24, 27), (235, 235, 235), (150, 150, 155)


@dataclass(frozen=True)
class Row:
    """A video and what is said of it."""

    text: str
    """Above it; empty for a row that belongs to the one before."""
    mark: str
    """Beside it, such as "made"."""
    film: NDArray[np.uint8]
    """RGB (frames, height, width, 3)."""


def grid(rows: Sequence[Row], title: str) -> NDArray[np.uint8]:
    """RGB (height, width, 3): of each video up to eight frames, evenly chosen, all at the size of the largest."""
    tallest = max(rows, key=lambda row: row.film.shape[1]).film.shape[1:3]
    scale = _LARGEST / max(tallest)
    height, width = max(1, round(tallest[0] * scale)), max(1, round(tallest[1] * scale))
    columns = min(_COLUMNS, max(len(row.film) for row in rows))
    left = 64 if any(row.mark for row in rows) else _GAP
    size = left + columns * (width + _GAP), 2 * _LINE + sum(height + _GAP + (_LINE if row.text else 0) for row in rows)
    picture = Image.new("RGB", size, _GROUND)
    pen, font = ImageDraw.Draw(picture), _font()
    pen.text((_GAP, 2), title, fill=_FAINT, font=font)
    y = _LINE + _GAP
    for row in rows:
        if row.text:
            pen.text((_GAP, y), _shortened(row.text, size[0] - 2 * _GAP, font), fill=_INK, font=font)
            y += _LINE
        pen.text((_GAP, y + height // 2 - _LINE // 2), row.mark, fill=_FAINT, font=font)
        chosen = np.linspace(0, len(row.film) - 1, min(columns, len(row.film))).round().astype(int)
        for column, number in enumerate(chosen):
            frame = Image.fromarray(row.film[number])
            way = Image.Resampling.BOX if frame.width > width else Image.Resampling.NEAREST
            picture.paste(frame.resize((width, height), way), (left + column * (width + _GAP), y))
        y += height + _GAP
    return np.asarray(picture)


def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 11)


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    text = " ".join(text.split())
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip("…") + "…"
    return text
