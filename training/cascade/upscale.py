"""The third stage: every frame four times as high and wide, a few frames at a time without seams."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.cascade.bars import Over
from training.cascade.chunks import Cut
from training.cascade.denoise import ROOMY, Room, denoise
from training.diffusion import normal
from training.models.lavie import conditions
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.plan import Draws


def upscale(
    stage: Stage,
    recipe: Recipe,
    captions: Sequence[str],
    draws: Sequence[Draws],
    low: Tensor,
    *,
    room: Room = ROOMY,
    progress: Over = iter,
) -> Tensor:
    """Latents of the large clips, (batch, channels, frames, height, width).

    Chunks are as long as the clips of the training. The noise on the small frames and the noise to begin with are
    drawn once for the whole video, so that chunks agree where they overlap.

    Args:
        low: the small frames, RGB in -1 to 1, (batch, 3, frames, height, width).
    """
    level = recipe.sample.noise_level
    scale, factor = recipe.data.degradation.scale, stage.space.factor
    shape = (low.shape[2], low.shape[3] * scale // factor, low.shape[4] * scale // factor)
    levels = torch.full((len(captions),), level, device=low.device)
    noise = normal(draws, "low_noise", tuple(low.shape)).to(low)
    condition = conditions.super_resolution(low, levels, noise, shape[1:])
    cut = Cut(recipe.data.frames, recipe.sample.overlap)
    return denoise(
        stage,
        recipe,
        captions,
        draws,
        shape,
        condition=condition,
        noise_level=level,
        frames=cut,
        room=room,
        progress=progress,
    )
