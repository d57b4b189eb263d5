"""The colours of the page and of the pictures, by what they mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    paper: str
    card: str
    line: str
    ink: str
    soft: str
    """Text that stands back."""
    kept: str
    dropped: str
    rest: str
    """Of a whole, what is not kept; and what is only passed on."""
    rule: str
    """Thresholds."""
    vimeo: str
    webvid: str


LIGHT = Palette(
    paper="#faf9f6",
    card="#ffffff",
    line="#e5e2da",
    ink="#1c1d21",
    soft="#66676f",
    kept="#12877a",
    dropped="#d9653f",
    rest="#c9ccd1",
    rule="#a35f00",
    vimeo="#3f6fb5",
    webvid="#9a62a9",
)
DARK = Palette(
    paper="#131417",
    card="#1b1d22",
    line="#2e3138",
    ink="#ecebe6",
    soft="#9b9ca5",
    kept="#35c2ac",
    dropped="#f08a5d",
    rest="#494d57",
    rule="#f2b450",
    vimeo="#78a8ee",
    webvid="#c891d6",
)
