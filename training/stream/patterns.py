"""Addresses that stand for many: braces as shells and webdataset write them, and `*` where a place can be listed."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re

from curation.errors import UserError
from curation.store import Place, without_secrets

_MOST = 1_000_000
_RANGE = re.compile(r"(-?\d{1,12})\.\.(-?\d{1,12})(?:\.\.(-?\d{1,6}))?")


def expanded(pattern: str) -> list[str]:
    """All addresses that a pattern stands for, in order: `s-{000..099}.tar`, `{a,b}/x.tar`, `shards/*.tar`.

    Raises:
        UserError: braces do not match, it stands for too many or for none, or its place cannot be listed.
    """
    found = braces(pattern)
    return list(itertools.chain.from_iterable(_listed(address) if "*" in address else [address] for address in found))


def braces(pattern: str) -> list[str]:
    """What a pattern with braces stands for. Numbers are as wide as the first with zeros before it.

    Raises:
        UserError: braces do not match, or it stands for more than a million addresses.
    """
    start = pattern.find("{")
    if start < 0:
        if "}" in pattern:
            raise UserError(f"{without_secrets(pattern)}: a brace is closed that was not opened")
        return [pattern]
    depth, commas = 0, [start]
    for end in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[end], 0)
        if pattern[end] == "," and depth == 1:
            commas.append(end)
        if depth == 0:
            break
    else:
        raise UserError(f"{without_secrets(pattern)}: a brace is opened and not closed")
    parts = [pattern[a + 1 : b] for a, b in itertools.pairwise([*commas, end])]
    if len(parts) == 1:
        numbers = _RANGE.fullmatch(parts[0])
        if numbers is None:
            raise UserError(
                f"{without_secrets(pattern)}: {{{parts[0]}}} is neither a range such as {{000..099}} nor a list {{a,b}}"
            )
        middle = _numbers(numbers[1], numbers[2], numbers[3], pattern)
    else:
        middle = list(itertools.chain.from_iterable(braces(part) for part in parts))
    rest = braces(pattern[end + 1 :])
    if len(middle) * len(rest) > _MOST:
        raise UserError(f"{without_secrets(pattern)} stands for more than {_MOST} addresses")
    return [pattern[:start] + some + tail for some in middle for tail in rest]


def _numbers(first: str, last: str, step: str | None, pattern: str) -> list[str]:
    padded = any(len(text.lstrip("-")) > 1 and text.lstrip("-").startswith("0") for text in (first, last))
    width = max(len(first), len(last)) if padded else 0
    start, end = int(first), int(last)
    by = max(1, abs(int(step or 1)))
    if abs(end - start) // by >= _MOST:
        raise UserError(f"{without_secrets(pattern)} stands for more than {_MOST} addresses")
    numbers = range(start, end + 1, by) if start <= end else range(start, end - 1, -by)
    return [f"{number:0{width}d}" for number in numbers]


def _listed(pattern: str) -> list[str]:
    folder, name = posixpath.split(pattern)
    if "*" in folder:
        raise UserError(f"{without_secrets(pattern)}: * may stand in the last part only")
    place = Place(folder or ".")
    if place.over_http:
        raise UserError(f"{without_secrets(pattern)}: a web server cannot be asked for a list; use {{000..099}}")
    found = [place.url(found) for found in place.names("") if fnmatch.fnmatchcase(found, name)]
    if not found:
        raise UserError(f"{without_secrets(pattern)}: no file there fits the pattern")
    return found
