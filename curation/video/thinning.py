"""Lower frame rates by leaving out whole frames: none is repeated, moved or mixed, and each keeps its time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T")
# Times are sums of whole ticks; what floating point makes of them must not fall below its slot.
_MARGIN = 1e-6


def thinned(timed: Iterable[tuple[int, T]], time_base: Fraction, fps: float | None) -> Iterator[tuple[int, T]]:
    """The first of the frames in every slot of 1/fps seconds; all of them without `fps`.

    Args:
        timed: (pts, frame), pts counted from the first frame of the clip.
    """
    last = None
    tick = time_base.numerator / time_base.denominator
    for pts, frame in timed:
        slot = math.floor(pts * tick * fps + _MARGIN) if fps else None
        if slot is None or slot != last:
            yield pts, frame
        last = slot


def expression(fps: float) -> str:
    """The same as an expression of FFmpeg's `select` filter."""
    return f"isnan(prev_selected_t)+gt(floor(t*{fps:g}+{_MARGIN}),floor(prev_selected_t*{fps:g}+{_MARGIN}))"
