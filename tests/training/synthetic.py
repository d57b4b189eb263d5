"""A dataset without media, for the order of samples alone."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Data, Source
from training.stream.dataset import Column, Entry, Traffic
from training.stream.plan import Cursor, Plan
from training.stream.stock import Stock


class Synthetic:
    """Shards of so many samples each, all videos of 100 frames unless `columns` says otherwise."""

    def __init__(self, name: str, shards: Sequence[int], **columns: Sequence[int]):
        self.name = self.url = self.hash = name
        self.left_out: dict[str, int] = {}
        self.traffic = Traffic()
        count = sum(shards)
        self._columns: dict[str, NDArray] = {
            "shard": np.repeat(np.arange(len(shards), dtype=np.int32), shards),
            "kind": np.zeros(count, np.uint8),
            "frames": np.full(count, 100, np.int32),
            "width": np.full(count, 64, np.int32),
            "height": np.full(count, 48, np.int32),
            "fps": np.full(count, 25.0, np.float32),
            "duration_s": np.full(count, 4.0, np.float32),
            **{column: np.asarray(values) for column, values in columns.items()},
        }

    def __len__(self) -> int:
        return len(self._columns["shard"])

    def column(self, name: Column) -> NDArray:
        return self._columns[name]

    def all_keys(self) -> Iterator[str]:
        return (f"{self.name}-{number}" for number in range(len(self)))

    def entry(self, number: int) -> Entry:
        return Entry(number, f"{self.name}-{number}", "", "video", "mp4", 0, 1, None, "", 100, 4.0, 25.0, 64, 48, None)

    def media(self, entry: Entry) -> bytes:
        return b""

    def reader(self, entry: Entry) -> BinaryIO:
        return io.BytesIO()

    def prefetch(self, entries: Iterable[Entry]) -> None:
        pass

    def close(self) -> None:
        pass


def plan(
    *datasets: Synthetic,
    batch: int = 4,
    seed: int = 0,
    weights: Sequence[object] = (),
    kept_back: bool = False,
    **data: object,
) -> Plan:
    """The plan of one dataset or several."""
    sources = [
        {"url": dataset.name, "name": dataset.name, "weight": weights[number] if weights else 1.0}
        for number, dataset in enumerate(datasets)
    ]
    settings = Data.model_validate({"datasets": sources, "frames": 16, "images": 0, **data})
    by_name = {dataset.name: dataset for dataset in datasets}
    stocks = [
        Stock(Source.model_validate(source), settings, lambda url: by_name[str(url)], held_out=kept_back)
        for source in sources
    ]
    return Plan(stocks, settings, seed=seed, batch=batch)


def keys(of: Plan, at: Cursor, steps: int) -> list[tuple[str, int]]:
    """Dataset and number of every sample of the next steps."""
    return [(pick.clip.dataset.name, pick.clip.draws.number) for _ in range(steps) for pick in of.take(at)]
