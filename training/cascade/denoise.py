"""Noise to a clean clip: the one loop that all stages of the cascade share, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.cascade.bars import Over
from training.cascade.chunks import WHOLE, Box, Cut, Cuts, averaged
from training.cascade.schedulers import Scheduler
from training.diffusion import normal
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.plan import Draws


@dataclass(frozen=True)
class Room:
    """How the work is divided to fit into memory. Nothing of it changes what is computed but for rounding,
    except `tile`: a tile does not see what lies beyond it."""

    together: bool = True
    """Both predictions of guidance in one call."""
    tile: int | None = None
    """Height and width of spatial tiles, in places of the latent grid."""
    tile_overlap: int = 0
    """Places that neighbouring tiles share."""


ROOMY = Room()
"""Everything at once."""


@torch.no_grad()
def denoise(
    stage: Stage,
    recipe: Recipe,
    captions: Sequence[str],
    draws: Sequence[Draws],
    shape: tuple[int, int, int],
    *,
    condition: Tensor | None = None,
    noise_level: int | None = None,
    image: bool = False,
    frames: Cut = WHOLE,
    room: Room = ROOMY,
    progress: Over = iter,
) -> Tensor:
    """Clean latents (pixels, for a model that works on them), fp32 (batch, channels, frames, height, width).

    Guidance (Ho and Salimans, arXiv 2207.12598) moves the prediction away from that of the negative caption:
    e = e_negative + guidance * (e_caption - e_negative). Both get the same condition, as in LaVie.

    Args:
        stage: in evaluation mode; the clip is made on its device.
        recipe: the model's noise schedule, and how it is sampled (`recipe.sample`).
        captions: one for each clip of the batch.
        draws: of each clip; what it draws does not depend on the others.
        shape: frames, height and width of the latents.
        condition: channels that are given beside the noisy ones, (batch, channels, *shape).
        noise_level: of the condition of the super resolution model.
        image: `shape` is one single frame, which passes by all attention over time.
        frames: how a longer clip is cut into windows, see `chunks`.
    """
    settings = recipe.sample
    weights = next(stage.parameters())  # the network's come first
    device = weights.device
    scheduler = Scheduler(settings, recipe.diffusion, bounded=stage.space.bounded, device=device)
    places = 2 if image else 1  # the first is the clip's, also where there is none
    sides = [stage.embed([[f"{caption}{settings.suffix}"] * places for caption in captions])]
    if settings.guidance != 1:
        sides.append(stage.embed([[settings.negative] * places] * len(captions)))
    if room.together:
        sides = [torch.cat(sides)]
    level = None if noise_level is None else torch.full((len(captions),), noise_level, device=device)
    generators = [torch.Generator().manual_seed(int(one.rng("steps").integers(2**63))) for one in draws]
    x = normal(draws, "sample", (len(captions), stage.space.channels, *shape)).to(device) * scheduler.deviation

    def predicted(box: Box, x: Tensor, t: Tensor) -> Tensor:
        part = x[box] if condition is None else torch.cat((x[box], condition[box]), dim=1)
        seen = 0 if image else part.shape[2]
        found = []
        for text in sides:
            times = len(text) // len(captions)
            more = {} if level is None else {"noise_level": level.repeat(times)}
            both = part.to(weights.dtype).repeat(times, 1, 1, 1, 1)
            prediction = stage(both, t.expand(len(text)), text, frames=seen, **more)
            found += prediction.float().split(len(captions))
        towards, *away = found
        return away[0] + settings.guidance * (towards - away[0]) if away else towards

    side = Cut(room.tile, room.tile_overlap) if room.tile else WHOLE
    cuts: Cuts = (frames, side, side)
    for t in progress(scheduler.timesteps):
        noisy = scheduler.scaled(x, t)
        prediction = averaged(lambda box, noisy=noisy, t=t: predicted(box, noisy, t), cuts, shape)  # type: ignore[misc]
        x = scheduler.step(prediction, t, x, generators)
    return x
