"""Outputs behind a web server, which may list nothing: what was published tells which parts should be there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from curation.store import Place, telling

_BY_SOURCE = ("inputs", "sources", "clips", "scores", "captions")


def listed(out: Place, shards: int = 0) -> Place:
    """The place; where it is a web server, one that knows what should be there.

    Args:
        shards: how many shards its generation has.
    """
    if not out.over_http:
        return out
    sources = json.loads(out.text("inputs/units.json"))["units"] if out.exists("inputs/units.json") else 0
    return _Web(out.root, dict.fromkeys(_BY_SOURCE, sources) | {"shards": shards})


class _Web(Place):
    """A place that names the parts that should be there; whether they are is found when they are read."""

    def __init__(self, root: str, units: dict[str, int]):
        super().__init__(root)
        self._units = units

    def names(self, folder: str, suffix: str = "") -> list[str]:
        return [f"{unit:05d}{suffix}" for unit in range(self._units.get(folder, 0))]

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """Tables are not read from front to back; a server that gives no ranges gives them whole."""
        with telling("look at", self.url(path)):
            by_ranges = self.fs.info(self._full(path)).get("partial")
        if by_ranges:
            with super().open(path) as file:
                yield file
        else:
            yield io.BytesIO(self.read(path))
