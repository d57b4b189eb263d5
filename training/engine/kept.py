"""Samples that are not trained on, for measuring and for showing: the same ones every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from curation.errors import UserError
from training.engine.ranks import Ranks
from training.recipe import Recipe
from training.stream.loader import Batch, Position
from training.stream.opened import open_loader
from training.stream.plan import Cursor
from training.stream.stock import Generation

# Not the run's own, so that runs with other seeds are measured with the same noise.
_SEED = 0


class Kept:
    """The data of `train.held_out.url`, or what `data.held_out` keeps back.

    Args:
        batch: samples of a batch, over all ranks.
        first: the generation of each dataset that the run began with, so that a dataset that grows changes nothing.

    Raises:
        UserError: there are none, or they cannot be read.
    """

    def __init__(self, recipe: Recipe, ranks: Ranks, *, batch: int, first: Mapping[str, Generation]):
        url = recipe.train.held_out.url
        # All datasets alike, whatever the curriculum says of a step.
        sources = tuple(source.model_copy(update={"weight": 1.0}) for source in recipe.data.datasets)
        more = {"url": url, "datasets": (), "held_out": 0.0} if url else {"datasets": sources}
        self._first = {} if url else {name: [generation] for name, generation in first.items()}
        with ranks.together():
            try:
                self._loader = open_loader(
                    recipe.data.model_copy(update={**more, "prefetch": 1}),
                    seed=_SEED,
                    batch=batch,
                    text_dropout=0.0,
                    position=self._begin(),
                    rank=ranks.rank,
                    world=ranks.world,
                    agree=lambda newest: None,
                    held_out=not url,
                )
            except UserError as error:
                raise UserError(f"train.held_out.url: {error}" if url else str(error)) from error
        self.batch = batch
        stocks = self._loader.plan.stocks
        if len({*ranks.gather(" ".join(stock.first.hash for stock in stocks))}) > 1:
            raise UserError("train.held_out.url: the dataset was changed while it was opened; start again")
        self.clips = sum(len(stock.latest.rows.clips) for stock in stocks)
        """How many there are."""

    def _begin(self) -> Position:
        return Position(cursor=Cursor(generations={name: list(found) for name, found in self._first.items()}))

    def __call__(self, batches: int) -> Iterator[Batch]:
        """This rank's slices of the first batches."""
        self._loader.position = self._begin()
        stream = iter(self._loader)
        try:
            for _ in range(batches):
                yield next(stream)
        finally:
            stream.close()

    def close(self) -> None:
        """Give back files and threads."""
        for stock in self._loader.plan.stocks:
            stock.close()
