"""Numbers as a reader wants them: three digits that count, and the unit that fits."""

from __future__ import annotations

import math


def count(value: int) -> str:
    return f"{value:,}"


def plural(value: int, thing: str) -> str:
    return f"{value:,} {thing}" if value == 1 else f"{value:,} {thing}s"


def number(value: float | None) -> str:
    """Three significant digits, without an exponent where it can be avoided."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent; never 0 or 100 unless it is."""
    if not whole:
        return "–"
    if 0 < part < whole * 0.001:
        return "< 0.1 %"
    if whole * 0.999 < part < whole:
        return "> 99.9 %"
    return f"{100 * part / whole:.3g} %"


def span(seconds: float) -> str:
    """A length of footage in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.3g} min"
    hours = seconds / 3600
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"


def size(amount: float) -> str:
    """Bytes in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} PB"


def clock(seconds: float) -> str:
    """A moment in a source: 0:08.4 or 1:02:08.4."""
    tenths = round(max(seconds, 0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
