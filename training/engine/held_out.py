"""The loss on samples that are not trained on, by the noise level.

The loss of training hardly tells how good a model is: it differs far more by the time steps that were drawn than by
what was learned. Here samples, noise and time steps are the same every time, and each part of the noise schedule has
a number of its own (as in diffusion-pipe).
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.diffusion import Losses
from training.engine.aside import aside
from training.engine.ema import Ema
from training.engine.kept import Kept
from training.engine.parallel import autocast
from training.engine.ranks import Ranks
from training.models.lavie.stage import Stage
from training.objective import Objective
from training.recipe import Recipe
from training.stream.loader import Batch


class HeldOut:
    """Measures the stage that is trained. Every rank measures as much as the others."""

    def __init__(self, stage: Stage, recipe: Recipe, ranks: Ranks, kept: Kept):
        plain = recipe.diffusion.model_copy(update={"min_snr": None, "offset_noise": 0.0})
        self._objective = Objective(stage, recipe.model_copy(update={"diffusion": plain}))
        self._stage = stage
        self._settings = recipe.train.held_out
        self._accumulate = recipe.train.accumulate
        self._precision = recipe.train.precision
        self._ranks = ranks
        self._kept = kept
        self._parts = parts(recipe.diffusion.steps, self._settings.quantiles)
        self._batches = max(1, min(self._settings.batches, kept.clips // kept.batch))

    def __call__(self, ema: Ema) -> dict[str, float]:
        """Means over all samples and ranks: loss, loss_video and loss_image over the whole noise schedule, and the
        loss of each part of it, named by its time steps: t000-199, …

        Losses are those of the training without the options `diffusion.min_snr` and `diffusion.offset_noise`, so that
        runs with and without them can be compared.
        """
        sums = torch.zeros(len(self._parts), len(Losses._fields), device=self._ranks.device)
        weights = ema if self._settings.ema else None
        with aside(self._stage, weights, self._ranks.device), autocast(self._precision, self._ranks.device):
            for batch in self._kept(self._batches):
                for samples in batch.split(self._accumulate):
                    clean = self._objective.encode(samples)
                    for number, part in enumerate(self._parts):
                        sums[number] += torch.stack(self._objective(samples, drawn(samples, part), clean))
        means = self._ranks.mean(sums / (self._batches * self._accumulate)).double().cpu()
        digits = len(str(self._parts[-1][1] - 1))
        return {
            **dict(zip(("loss", "loss_video", "loss_image"), means.mean(dim=0).tolist())),
            **{f"t{a:0{digits}d}-{b - 1:0{digits}d}": loss for (a, b), loss in zip(self._parts, means[:, 0].tolist())},
        }


def parts(steps: int, count: int) -> list[tuple[int, int]]:
    """The time steps from 0 in `count` parts that are as equal as can be: from, and to before."""
    ends = [steps * number // count for number in range(count + 1)]
    return [(a, b) for a, b in zip(ends, ends[1:]) if a < b]


def drawn(batch: Batch, part: tuple[int, int]) -> Tensor:
    """A time step in a part of the schedule for each sample, int64 (batch,), always the same one."""
    return torch.tensor([int(draw.rng(f"held out {part[0]}").integers(*part)) for draw in batch.draws])
