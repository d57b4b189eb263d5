"""The first stage: captions to clips or single frames, also clips that go on from a given frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.cascade.bars import Over
from training.cascade.chunks import WHOLE, Cut
from training.cascade.denoise import ROOMY, Room, denoise
from training.diffusion import normal
from training.models.lavie import conditions
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.plan import Draws


def generate(
    stage: Stage,
    recipe: Recipe,
    captions: Sequence[str],
    draws: Sequence[Draws],
    *,
    frames: int,
    size: tuple[int, int],
    first: Tensor | None = None,
    image: bool = False,
    room: Room = ROOMY,
    progress: Over = iter,
) -> Tensor:
    """Latents of clips, (batch, channels, frames, height, width), see `denoise`.

    Args:
        frames: of each clip. More than those of the training are predicted all at once, or with `sample.overlap` in
            windows as long as a clip of the training.
        size: height and width in pixels, multiples of `stage.factor`.
        first: the first frame, RGB in -1 to 1, (batch, 3, 1, *size), for a model that is given frames.
        image: one single frame each, as those that the model is trained on beside clips.
    """
    shape = (1 if image else frames, size[0] // stage.space.factor, size[1] // stage.space.factor)
    condition = None
    if takes_frames(stage):
        device = next(stage.unet.parameters()).device
        clean = torch.zeros(len(captions), stage.space.channels, *shape, device=device)
        known = torch.zeros(len(captions), shape[0], dtype=torch.bool, device=device)
        if first is not None:
            known[:, 0] = True
            clean[:, :, :1] = stage.space.encode(first, lambda drawn: normal(draws, "posterior", drawn))
        condition = conditions.known_frames(clean, known)
    return denoise(
        stage,
        recipe,
        captions,
        draws,
        shape,
        condition=condition,
        image=image,
        frames=Cut(recipe.data.frames, recipe.sample.overlap) if recipe.sample.overlap else WHOLE,
        room=room,
        progress=progress,
    )


def takes_frames(stage: Stage) -> bool:
    """Whether the model was trained with `data.known`, so that some frames can be given to it."""
    return stage.unet.form.known
