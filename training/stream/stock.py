"""One dataset of a recipe over its generations: a dataset may grow while it is read."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Union

from curation.errors import StoreError, UserError
from curation.store import Place
from training.recipe_data import Data, Source
from training.stream.buckets import Rows, rows
from training.stream.dataset import Dataset

Open = Callable[[Union[str, Sequence[str]]], Dataset]

# Those that streams of one dataset may be in at a time: two, and one that a resumed run looked at.
_KEPT = 3


@dataclass(frozen=True)
class Generation:
    """What a dataset held from one epoch on."""

    epoch: int
    hash: str
    """The dataset's hash."""
    file: str = ""
    """Of the manifest that keeps naming it, beside manifest.json; empty where there is none."""


@dataclass(frozen=True)
class Held:
    """One generation, opened."""

    dataset: Dataset
    rows: Rows


class Stock:
    """A dataset of the recipe, opened as it is needed.

    Args:
        opened: opens a dataset by its address.
        before: the generations that a run has read so far, the last one the newest.
        held_out: hold the samples that `data.held_out` keeps back from training, not the others.

    Raises:
        UserError: it cannot be opened, or is another one than the run has read.
    """

    def __init__(
        self,
        source: Source,
        data: Data,
        opened: Open,
        before: Sequence[Generation] = (),
        *,
        held_out: bool = False,
    ):
        self.source = source
        self.name = source.name
        self._data = data
        self._open = opened
        self._held_out = held_out
        self._held: dict[str, Held] = {}
        dataset = opened(source.url)
        self._hold(dataset)
        found = _newest(source.url)
        file = found.file if found and found.hash == dataset.hash else ""
        self.first = before[0] if before else Generation(0, dataset.hash, file)
        self._current = dataset.hash
        if before:
            self._current = before[-1].hash
            self._find(before[-1])

    @property
    def latest(self) -> Held:
        """The generation that was opened last."""
        return self._held[self._current]

    @property
    def held(self) -> list[Held]:
        """All that are open."""
        return list(self._held.values())

    def at(self, epoch: int, generations: Sequence[Generation]) -> Held:
        """What an epoch reads."""
        wanted = next(found for found in reversed(generations) if found.epoch <= epoch)
        return self._find(wanted)

    def has(self, dataset: Dataset) -> bool:
        return dataset.hash in self._held

    def of(self, dataset: Dataset) -> Held:
        return self._held[dataset.hash]

    def newest(self) -> Generation | None:
        """The generation that is published now; None where it cannot be told."""
        return _newest(self.source.url)

    def nothing(self) -> str:
        """Why it has no clip for the view, as one line."""
        held = self.latest
        if self._held_out:
            return f"{held.dataset.url}: data.held_out={self._data.held_out:g} holds none of its clips out; raise it"
        if not held.rows.short:
            return f"{held.dataset.url}: it has no clips, only {len(held.rows.images)} images"
        needs = min(shape.frames or 0 for shape in self._data.shapes)
        least = (needs - 1) * self._data.strides[0] + 1
        frames = f"none of its {held.rows.short} samples has the {least} frames that data.frames and data.stride need"
        more = f"; {len(held.rows.images)} images are left out" if len(held.rows.images) else ""
        return f"{held.dataset.url}: {frames}; the longest has {held.rows.longest}{more}"

    def _find(self, wanted: Generation) -> Held:
        if wanted.hash not in self._held:
            url = self.source.url
            if wanted.file and isinstance(url, str):
                url = posixpath.join(_folder(url), wanted.file)
            dataset = self._open(url)
            if dataset.hash != wanted.hash:
                raise UserError(
                    f"{dataset.url}: the run was trained on another dataset; give its address, or use another train.out"
                )
            self._hold(dataset)
        return self._held[wanted.hash]

    def _hold(self, dataset: Dataset) -> Held:
        held = self._held[dataset.hash] = Held(dataset, rows(dataset, self._data, held_out=self._held_out))
        self._current = dataset.hash
        while len(self._held) > _KEPT:
            self._held.pop(next(iter(self._held))).dataset.close()
        return held

    def close(self) -> None:
        for held in self._held.values():
            held.dataset.close()


def _folder(url: str) -> str:
    return posixpath.split(url)[0] if url.endswith(".json") else url


def _newest(url: str | Sequence[str]) -> Generation | None:
    """The generation that a manifest names now; None for what has no generations."""
    if not isinstance(url, str) or url.endswith(".tar") or any(mark in url for mark in "{*"):
        return None
    name = posixpath.basename(url) if url.endswith(".json") else "manifest.json"
    try:
        manifest = json.loads(Place(_folder(url) or ".").read(name))
        return Generation(0, str(manifest["dataset_hash"]), f"manifest-{int(manifest['generation']):05d}.json")
    except (StoreError, UserError, ValueError, KeyError, TypeError):
        return None
