"""The second stage: frames between frames; 16 become 61 at four times the rate."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from training.cascade.bars import Over
from training.cascade.chunks import Cut
from training.cascade.denoise import ROOMY, Room, denoise
from training.diffusion import normal
from training.models.lavie import conditions
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.plan import Draws


def interpolate(
    stage: Stage,
    recipe: Recipe,
    captions: Sequence[str],
    draws: Sequence[Draws],
    keys: Tensor,
    *,
    room: Room = ROOMY,
    progress: Over = iter,
) -> Tensor:
    """Latents of the dense clips, (batch, channels, every * (n - 1) + 1, height, width).

    The known frames are made anew as well, not copied through, as LaVie does. More frames than those of a training
    clip go in windows that begin at known frames, so that each window is such a clip.

    Args:
        keys: the known frames, RGB in -1 to 1, (batch, 3, n, height, width).
    """
    every = recipe.data.every
    clean = stage.space.encode(keys, lambda shape: normal(draws, "posterior", shape))
    condition = conditions.interpolation(clean, every)
    cut = Cut(recipe.data.frames, recipe.sample.overlap, every)
    shape = (condition.shape[2], condition.shape[3], condition.shape[4])
    return denoise(stage, recipe, captions, draws, shape, condition=condition, frames=cut, room=room, progress=progress)
