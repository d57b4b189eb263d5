"""A figure that a notebook shows, and that is saved for a paper in any format."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """What is drawn when it is shown or saved."""

    draw: Callable[[], Figure]

    def save(self, path: str | Path) -> None:
        """Write it as PDF, SVG or PNG, by the ending of the name."""
        self._write(path, Path(path).suffix.removeprefix("."))

    def png(self, dpi: int = 100) -> bytes:
        found = io.BytesIO()
        self._write(found, "png", dpi)
        return found.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def _write(self, to: str | Path | io.BytesIO, kind: str, dpi: int = 100) -> None:
        # Text stays text in PDF (type 42) and in SVG. No date, so that the same figure is the same file.
        fonts = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "reelmill"}
        dated = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with style.context(["default", fonts], after_reset=True), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # letters that the built-in font lacks become boxes
            self.draw().savefig(to, format=kind, dpi=dpi, metadata=dated.get(kind))
