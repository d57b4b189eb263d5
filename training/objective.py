"""What each view is trained for: a batch to its loss.

Every random number comes from the samples' own draws, so that neither ranks nor resuming change it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import diffusion
from training.latent_cache import LatentCache
from training.models.lavie import conditions
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.loader import Batch
from training.transfer import sent


class Objective(nn.Module):
    """The loss of a batch, L_video + alpha L_image (LaVie §3.3), for whatever view the stage has.

    Args:
        cache: keeps the latents of pictures that are met again.
    """

    def __init__(self, stage: Stage, recipe: Recipe, cache: LatentCache | None = None):
        super().__init__()
        self.stage = stage
        self.cache = cache
        self.recipe = recipe
        self.schedule = diffusion.training_schedule(recipe.diffusion)

    def forward(self, batch: Batch, timesteps: Tensor | None = None, clean: Tensor | None = None) -> diffusion.Losses:
        """Noise the batch, predict, compare.

        Args:
            timesteps: int64 (batch,); drawn unless given.
            clean: what `encode` gives for the batch, where that is known already.
        """
        config = self.recipe.diffusion
        clean = self.encode(batch) if clean is None else clean
        device = clean.device
        noise = sent(diffusion.noise(batch.draws, tuple(clean.shape), offset=config.offset_noise), device)
        timesteps = sent(diffusion.timesteps(batch.draws, config.steps) if timesteps is None else timesteps, device)
        noisy = self.schedule.add_noise(clean, noise, timesteps)
        given, level = self._given(batch, clean)
        prediction = self.stage(
            noisy if given is None else torch.cat((noisy, given.to(noisy)), dim=1),
            timesteps,
            self.stage.embed(batch.captions),
            frames=batch.frames,
            noise_level=level,
        )
        wanted = diffusion.target(self.schedule, clean, noise, timesteps)
        return diffusion.losses(
            prediction,
            wanted,
            frames=batch.frames,
            image_weight=self.recipe.train.image_weight,
            weights=diffusion.min_snr(self.schedule, timesteps, config.min_snr) if config.min_snr else None,
        )

    def encode(self, batch: Batch) -> Tensor:
        """What is noised: (batch, channels, frames + images, height, width)."""
        device = next(self.stage.parameters()).device

        def normal(shape: tuple[int, ...]) -> Tensor:
            return diffusion.normal(batch.draws, "posterior", shape)

        if self.cache is not None:
            return self.cache.encode(batch.pixels, batch.frames, normal, device)
        return self.stage.space.encode(_rgb(batch.pixels, device), normal)

    def _given(self, batch: Batch, clean: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The channels of the condition, and the noise level in them."""
        clip, images = clean[:, :, : batch.frames], clean.shape[2] - batch.frames
        if self.stage.view == "vsr":
            assert batch.low is not None
            level = sent(torch.from_numpy(batch.noise_level), clean.device)
            low = _rgb(batch.low, clean.device)
            noise = sent(diffusion.normal(batch.draws, "low_noise", tuple(low.shape)), clean.device)
            return conditions.super_resolution(low, level, noise, (clean.shape[-2], clean.shape[-1])), level
        if self.stage.view == "interpolation":
            # All 61 frames are latents here already: they are what is to be predicted.
            every = self.recipe.data.every
            return _padded(conditions.interpolation(clip[:, :, ::every], every), images), None
        if self.stage.unet.form.known:
            known = sent(torch.from_numpy(batch.known), clean.device)
            return _padded(conditions.known_frames(clip, known), images), None
        return None, None


def _rgb(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (batch, pictures, height, width, 3) to (batch, 3, pictures, height, width) in -1 to 1."""
    pixels = sent(torch.from_numpy(pictures), device)
    return pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def _padded(condition: Tensor, images: int) -> Tensor:
    """Nothing is known of single frames: zeros."""
    return nn.functional.pad(condition, (0, 0, 0, 0, 0, images))
