"""Everything that a run shows of itself while it goes on: its log, its boards, the held-out loss, and videos."""

from __future__ import annotations

import contextlib
from pathlib import Path

from rich.console import Console

from training.engine.board import boards
from training.engine.ema import Ema
from training.engine.flops import Speed
from training.engine.held_out import HeldOut
from training.engine.kept import Kept
from training.engine.metrics import Metrics
from training.engine.ranks import Ranks
from training.engine.samples import Samples
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.loader import Loader


class Watch(contextlib.ExitStack):
    """Looks on, and never moves a number of the training.

    Args:
        stage: as it is trained.
        loader: of the training.
        step: where it goes on.

    Raises:
        UserError: a board cannot be used, or there is no held-out data where it is asked for.
    """

    def __init__(
        self,
        stage: Stage,
        recipe: Recipe,
        ranks: Ranks,
        loader: Loader,
        console: Console,
        *,
        step: int,
        speed: Speed | None = None,
    ):
        super().__init__()
        settings = recipe.train
        self._settings, self._ranks, self._loader = settings, ranks, loader
        self._out = Path(settings.out)
        with ranks.together():
            found = boards(recipe, self._out, step=step) if ranks.first else []
        for board in found:
            self.callback(board.close)
        first = {stock.name: stock.first for stock in loader.plan.stocks}
        self._held_out = self._samples = None
        if recipe.holds_out:
            kept = Kept(recipe, ranks, batch=settings.batch, first=first)
            self.callback(kept.close)
            self._held_out = HeldOut(stage, recipe, ranks, kept)
        if settings.samples.every:
            clips = None
            if recipe.data.view != "base":
                clips = Kept(recipe, ranks, batch=-(-settings.samples.clips // ranks.world) * ranks.world, first=first)
                self.callback(clips.close)
            self._samples = Samples(stage, recipe, ranks, clips, found)
        self.metrics = self.enter_context(
            Metrics(self._out, console, recipe, ranks, step=step, boards=found, speed=speed)
        )

    def due(self, step: int) -> bool:
        """Whether a line is to be written after a step."""
        measured = self._held_out is not None and step % self._settings.held_out.every == 0
        return measured or step % self._settings.log_every == 0

    def tell(self, step: int, ema: Ema, *, lr: float) -> None:
        """Write the line for the steps up to `step`, with the held-out loss where it is due; all ranks call this.

        Raises:
            UserError: the loss is not a finite number, or a spike.
        """
        more = {}
        with self.metrics.pause():
            self._loader.settle(self._ranks.sum)
            if self._held_out and step % self._settings.held_out.every == 0:
                more["held_out"] = self._held_out(ema)
        self.metrics.write(
            step, lr=lr, replaced=self._loader.position.replaced, report=self._loader.report(), more=more
        )

    def show(self, step: int, ema: Ema) -> None:
        """Make videos where they are due; all ranks call this. What it costs in memory may end a run: first save.

        Raises:
            UserError: they cannot be written.
        """
        if self._samples and step % self._settings.samples.every == 0:
            with self.metrics.pause():
                self._samples(step, ema, self._out)
