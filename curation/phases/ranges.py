"""Time ranges that a table gives of its films: the clips of a published dataset, each with its caption.

Datasets write them in two ways: a row for each film with lists of ranges and captions in its cells (Panda-70M), or a
row for each clip (InternVid), whose rows of the same film are one source here, so that it is decoded once.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from curation.tables import Row

# What lists of times and texts are made of as Python writes them. Python's own parser may run out of stack on more.
_LITERALS = re.compile(
    r"""(?:[\[\](),\s]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|None)*""",
    re.DOTALL,
)
_CLOCK = re.compile(r"^(?:(\d+):)?(?:(\d{1,2}):)?(\d+(?:\.\d+)?)$")


def seconds(value: Any) -> float:
    """Of a moment as a number, or as text such as 7.2, 0:00:07.240 or 02:07.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = float(value)
    else:
        match = _CLOCK.match(str(value).strip())
        if match is None:
            raise ValueError(f"{str(value)[:40]!r} is no time such as 7.2 or 0:00:07.240")
        first, second, rest = match.groups()
        hours, minutes = (first, second) if second is not None else (0, first or 0)
        found = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    if not 0 <= found < float("inf"):
        raise ValueError(f"{value!r} is no time in a film")
    return found


def listed(cell: Any) -> list[Any]:
    """A cell that holds a list: as such, in JSON, or as Python writes one.

    Raises:
        ValueError: it holds something else.
    """
    text = str(cell)
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            try:
                cell = ast.literal_eval(cell) if _LITERALS.fullmatch(cell) else None
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                cell = None
            if cell is None:
                raise ValueError(f"{text[:40]!r} is no list") from None
    if not isinstance(cell, (list, tuple)):
        raise ValueError(f"{text[:40]!r} is no list")
    return list(cell)


def of_film(ranges: Any, captions: Any) -> list[Row]:
    """The ranges of one film, from the cells of its row, in the order of time.

    Raises:
        ValueError: a cell cannot be read, or there are not as many captions as ranges.
    """
    pairs = [listed(pair) for pair in listed(ranges)]
    texts = [None] * len(pairs) if captions is None else listed(captions)
    if len(texts) != len(pairs):
        raise ValueError(f"{len(pairs)} ranges and {len(texts)} captions")
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a range is not a start and an end")
    return in_order(of_clip(start, end, text) for (start, end), text in zip(pairs, texts))


def of_clip(start: Any, end: Any, caption: Any) -> Row:
    """One range.

    Raises:
        ValueError: its times cannot be read, or it ends before it starts.
    """
    first, last = seconds(start), seconds(end)
    if last <= first:
        raise ValueError(f"a range ends at {last:g} s and starts at {first:g} s")
    text = None if caption is None else str(caption).strip()
    if text is not None and not text.isascii():
        text.encode()  # a byte that is no UTF-8 costs the row
    return {"start_s": first, "end_s": last, "caption": text or None}


def in_order(ranges: Iterable[Row]) -> list[Row]:
    return sorted(ranges, key=lambda row: (row["start_s"], row["end_s"]))


def joined(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows of one clip each as rows of one film each, in the order in which films first appear.

    What else the rows say of their clips comes together in `meta`: a list by name, in the order of the ranges.
    """
    films: dict[str, list[Row]] = {}
    for row in rows:
        films.setdefault(row["source_id"] if row["error"] else f"{row['uri']}\0", []).append(row)
    for of_one in films.values():
        of_one = sorted(of_one, key=lambda row: [(each["start_s"], each["end_s"]) for each in row.get("ranges") or []])
        first = of_one[0]
        if len(of_one) == 1 or first["error"]:
            yield from of_one
            continue
        said = [json.loads(row["meta"] or "{}") for row in of_one]
        names = sorted({name for one in said for name in one})
        meta = json.dumps({name: [one.get(name) for one in said] for name in names}, ensure_ascii=False)
        yield first | {"ranges": [each for row in of_one for each in row["ranges"]], "meta": meta}


def caption_of(ranges: Iterable[Row], middle_s: float) -> str | None:
    """The caption of the range that a moment lies in. Times from the first frame on. Seconds."""
    return next((row["caption"] for row in ranges if row["start_s"] <= middle_s < row["end_s"]), None)
