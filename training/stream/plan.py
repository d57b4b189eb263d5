"""Which samples make each batch: a pure function of the recipe, the datasets, and a few integers.

Every dataset and bucket is an endless stream of its own: epoch after epoch, each sample once in each, in the order
of `order.Epoch`. A step takes its batch from one bucket, and each sample of it from one dataset, by turns that keep
the wanted shares exactly (smooth weighted round-robin, as in nginx). Nothing is dropped or padded where an epoch
ends; the next one simply follows in the same batch.

The integers are a `Cursor`. It knows nothing of ranks, threads or machines, so a run goes on from it on any of them.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.errors import UserError
from training.recipe_data import Bucket, Data
from training.stream.dataset import Dataset
from training.stream.order import Epoch, permutation, philox
from training.stream.stock import Generation, Stock

_SCALE = 1 << 32


@dataclass(frozen=True)
class Draws:
    """The random numbers of one sample in one epoch, a stream of its own for every purpose."""

    seed: int
    epoch: int
    dataset: str
    """The dataset's hash."""
    number: int
    """Of the sample in its dataset."""
    views: int | None = None
    """After so many epochs its views repeat (`data.views`)."""

    def view(self, purpose: str) -> np.random.Generator:
        """A fresh generator for what makes the pictures: frames, crop, side, and whose single frames."""
        if self.views is None:
            return self.rng(purpose)
        return dataclasses.replace(self, epoch=self.epoch % self.views).rng(purpose)

    def rng(self, purpose: str) -> np.random.Generator:
        """A fresh generator; the same purpose gives the same numbers again."""
        return np.random.Generator(philox("draw", self.seed, self.epoch, self.dataset, self.number, purpose))


@dataclass(frozen=True)
class Choice:
    """One sample, and those that may stand in for it."""

    dataset: Dataset
    rows: NDArray[np.int64]
    """Samples of the same use and shape, by number, rising."""
    place: int
    """Of the chosen one in `rows`; the next ones stand in."""
    draws: Draws
    purpose: str = "clip"
    """Tells what one sample draws for this choice from what it draws for others."""


@dataclass(frozen=True)
class Pick:
    """What one training sample is made of."""

    shape: Bucket
    clip: Choice
    images: tuple[Choice, ...]


@dataclass
class Stream:
    """How far the samples of one use of one dataset have come."""

    epoch: int = 0
    place: int = 0
    """Samples of the epoch that were taken."""
    credit: int = 0
    """What is owed to it by the shares so far, of 2^32; negative if it is ahead."""


@dataclass
class Cursor:
    """How far the order has come; all that is needed to go on with it anywhere."""

    step: int = 0
    """Batches that were taken."""
    turns: dict[str, int] = field(default_factory=dict)
    """Credit of every bucket."""
    streams: dict[str, Stream] = field(default_factory=dict)
    """By dataset, and bucket or "images"."""
    generations: dict[str, list[Generation]] = field(default_factory=dict)
    """Of every dataset, those that were read, with the epoch that each began with."""
    decided: dict[str, int] = field(default_factory=dict)
    """The last epoch of every dataset for which its generation is settled."""

    @staticmethod
    def from_json(values: dict[str, Any]) -> Cursor:
        """What `dataclasses.asdict` made of one."""
        return Cursor(
            **{
                **values,
                "streams": {name: Stream(**stream) for name, stream in values["streams"].items()},
                "generations": {
                    name: [Generation(**generation) for generation in found]
                    for name, found in values["generations"].items()
                },
            }
        )

    def copy(self) -> Cursor:
        streams = {name: dataclasses.replace(stream) for name, stream in self.streams.items()}
        return dataclasses.replace(
            self,
            turns=dict(self.turns),
            streams=streams,
            generations=copy.deepcopy(self.generations),
            decided=dict(self.decided),
        )


class Plan:
    """The endless sequence of batches.

    Args:
        batch: samples of a step, over all ranks.
        agree: gives every rank the first rank's value; called by all of them at the same steps, where an epoch ends.

    Raises:
        UserError: no dataset has clips that the view can use.
    """

    def __init__(
        self,
        stocks: Sequence[Stock],
        data: Data,
        *,
        seed: int,
        batch: int,
        agree: Callable[[Generation | None], Generation | None] = lambda newest: newest,
    ):
        self.stocks = stocks
        self.data = data
        self.seed = seed
        self.batch = batch
        self._agree = agree
        self._orders: dict[str, _Order] = {}
        if not any(len(stock.latest.rows.clips) for stock in stocks):
            raise UserError("; ".join(stock.nothing() for stock in stocks))

    def take(self, at: Cursor) -> list[Pick]:
        """The next batch; the cursor moves behind it.

        Raises:
            UserError: no dataset has a weight in this step, or a new generation cannot be opened.
        """
        weights = [stock.source.weight_at(at.step) for stock in self.stocks]
        uses = [str(number) for number in range(len(self.data.shapes))]
        shares = {use: self._shares(at, use, weights) for use in (*uses, "images")}
        of_buckets = [sum(shares[use]) for use in uses]
        if not any(of_buckets):
            raise UserError(f"data.datasets: no dataset with clips has a weight in step {at.step}")
        credits = [at.turns.get(use, 0) for use in uses]
        bucket = turn(credits, of_buckets)
        at.turns = dict(zip(uses, credits))
        picks = []
        for _ in range(self.batch):
            clip = self._next(at, uses[bucket], shares[uses[bucket]])
            if any(shares["images"]):
                images = tuple(self._next(at, "images", shares["images"]) for _ in range(self.data.images))
            else:
                images = self._frames_of_others(clip)
            picks.append(Pick(self.data.shapes[bucket], clip, images))
        if len(self.stocks) > 1:  # turns have a rhythm, and no rank should get all of one dataset
            picks = [picks[number] for number in permutation(self.batch, "turns", self.seed, at.step)]
        at.step += 1
        return picks

    def _next(self, at: Cursor, use: str, shares: Sequence[float]) -> Choice:
        """The next sample of one of the datasets, by turns."""
        streams = [_stream(at, stock, use) for stock in self.stocks]
        credits = [stream.credit for stream in streams]
        chosen = turn(credits, shares)
        for stream, credit in zip(streams, credits):
            stream.credit = credit
        stock, stream = self.stocks[chosen], streams[chosen]
        if stream.place >= len(self._order(at, stock, use).epoch):
            stream.epoch, stream.place = stream.epoch + 1, 0
            self._decide(at, stock, stream.epoch)
        order = self._order(at, stock, use)
        place = order.epoch.at(stream.place)
        stream.place += 1
        draws = Draws(self.seed, stream.epoch, order.dataset.hash, int(order.rows[place]), self.data.views)
        return Choice(order.dataset, order.rows, place, draws)

    def _frames_of_others(self, clip: Choice) -> tuple[Choice, ...]:
        """Clips of the same dataset for single frames: different ones where there are as many, and never
        the clip itself unless it is alone."""
        rows = next(stock.of(clip.dataset).rows.clips for stock in self.stocks if stock.has(clip.dataset))
        own = int(np.searchsorted(rows, clip.draws.number))
        others, rng = max(1, len(rows) - 1), clip.draws.view("images")
        steps = 1 + rng.choice(others, self.data.images, replace=others < self.data.images)
        return tuple(
            Choice(clip.dataset, rows, (own + int(step)) % len(rows), clip.draws, f"image-{number}")
            for number, step in enumerate(steps)
        )

    def _shares(self, at: Cursor, use: str, weights: Sequence[float]) -> list[float]:
        """The share of each dataset in what is of one use, of the sum of all weights."""
        return [weight * self._share(at, stock, use) for stock, weight in zip(self.stocks, weights)]

    def _share(self, at: Cursor, stock: Stock, use: str) -> float:
        """The share of a dataset's clips, or of its images, that this use has."""
        self._decide(at, stock, 0)
        stream = _stream(at, stock, use)
        rows = stock.at(stream.epoch, at.generations[stock.name]).rows
        if not len(rows.of(use)) and at.decided[stock.name] > stream.epoch:  # a later generation may have some
            stream.epoch, stream.place = at.decided[stock.name], 0
            rows = stock.at(stream.epoch, at.generations[stock.name]).rows
        return len(rows.of(use)) / max(1, len(rows.images if use == "images" else rows.clips))

    def _order(self, at: Cursor, stock: Stock, use: str) -> _Order:
        name, epoch = _name(stock, use), _stream(at, stock, use).epoch
        kept = self._orders.get(name)
        if kept is None or kept.number != epoch:
            # A generation without any sample of a use can begin in the middle of a batch, which the one before fills.
            before = [found for found in at.generations[stock.name] if found.epoch <= epoch]
            held = next(held for found in reversed(before) if len((held := stock.at(found.epoch, before)).rows.of(use)))
            rows = held.rows.of(use)
            shards = np.asarray(held.dataset.column("shard"))[rows]
            order = Epoch(shards, self.data.window, self.seed, epoch, held.dataset.hash, use)
            kept = self._orders[name] = _Order(epoch, order, held.dataset, rows)
        return kept

    def _decide(self, at: Cursor, stock: Stock, epoch: int) -> None:
        """Settle which generation of a dataset an epoch reads: the newest when the first of its streams gets there."""
        if at.decided.get(stock.name, -1) >= epoch:
            return
        known = at.generations.setdefault(stock.name, [stock.first])
        if epoch:
            newest = self._agree(stock.newest())
            if newest is not None and newest.hash != known[-1].hash:
                known.append(dataclasses.replace(newest, epoch=epoch))
        at.decided[stock.name] = epoch


@dataclass(frozen=True)
class _Order:
    """The order of one epoch of a stream, and what it orders."""

    number: int
    epoch: Epoch
    dataset: Dataset
    rows: NDArray[np.int64]


def _name(stock: Stock, use: str) -> str:
    return f"{stock.name}/{use}"


def _stream(at: Cursor, stock: Stock, use: str) -> Stream:
    return at.streams.setdefault(_name(stock, use), Stream())


def turn(credits: list[int], shares: Sequence[float]) -> int:
    """Whose turn it is, so that all have had their share at any time, to within one; moves the credits.

    Raises:
        ValueError: all shares are 0.
    """
    total = sum(shares)
    if total <= 0:
        raise ValueError("nobody has a share")
    for number, share in enumerate(shares):
        credits[number] += round(share / total * _SCALE)
    chosen = max((number for number, share in enumerate(shares) if share > 0), key=lambda number: credits[number])
    credits[chosen] -= _SCALE
    return chosen
