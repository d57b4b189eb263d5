"""From a recipe's `data` to a loader."""

from __future__ import annotations

import functools
from collections.abc import Callable

from training.recipe_data import Data, Source
from training.stream.loader import Allocate, Loader, Position
from training.stream.meter import Meter
from training.stream.opening import open_dataset
from training.stream.plan import Plan
from training.stream.samples import Maker
from training.stream.stock import Generation, Open, Stock


def open_loader(
    data: Data,
    *,
    seed: int,
    batch: int,
    text_dropout: float,
    position: Position | None = None,
    rank: int = 0,
    world: int = 1,
    allocate: Allocate | None = None,
    agree: Callable[[Generation | None], Generation | None] = lambda newest: newest,
    held_out: bool = False,
) -> Loader:
    """Open the datasets of a recipe, and load from a position on.

    Args:
        batch: samples of a step, over all ranks.
        position: where to go on, and what moves; the beginning unless given.
        agree: see `Plan`.
        held_out: load what `data.held_out` keeps back from training, not the rest.

    Raises:
        UserError: a dataset cannot be opened, is another one than before, or has nothing for the view.
    """
    position = position or Position()
    before = position.cursor.generations
    stocks = [
        Stock(source, data, _opening(source, data), before.get(source.name, ()), held_out=held_out)
        for source in data.sources
    ]
    plan = Plan(stocks, data, seed=seed, batch=batch, agree=agree)
    make = Maker(data, text_dropout=text_dropout, meter=Meter())
    more = {} if allocate is None else {"allocate": allocate}
    return Loader(
        plan, make, threads=data.threads, prefetch=data.prefetch, position=position, rank=rank, world=world, **more
    )


def _opening(source: Source, data: Data) -> Open:
    return functools.partial(
        open_dataset,
        name=source.name,
        caption=source.caption,
        texts=source.texts,
        cache_dir=data.cache_dir,
        cache_bytes=data.cache_bytes,
        room=data.cache_bytes // len(data.sources),
    )
