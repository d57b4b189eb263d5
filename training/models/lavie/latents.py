"""The space that diffusion works in: latents of a frozen AutoencoderKL, or pixels as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from training.transfer import sent

Normal = Callable[[tuple[int, ...]], Tensor]
"""A shape to standard normal numbers; the first axis is the batch."""


AT_ONCE = 16
"""Frames that are encoded together, which bounds the memory: 7 GB at 320x512 pixels."""


class Pixels(nn.Module):
    """No encoding: RGB in -1 to 1."""

    channels = 3
    factor = 1
    bounded = True
    """Whether clean values lie in -1 to 1."""

    def encode(self, video: Tensor, normal: Normal) -> Tensor:
        return video

    def decode(self, latents: Tensor) -> Tensor:
        return latents


class Latents(nn.Module):
    """Each frame through a frozen AutoencoderKL, scaled by its own factor (LaVie: that of SD 1.4)."""

    bounded = False

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae.requires_grad_(False).eval()
        self.channels = int(vae.config.latent_channels)
        self.factor = int(2 ** (len(vae.config.block_out_channels) - 1))

    @torch.no_grad()
    def encode(self, video: Tensor, normal: Normal) -> Tensor:
        """RGB in -1 to 1, (batch, 3, t, h, w), to a sample of (batch, channels, t, h/factor, w/factor)."""
        mean, deviation = self.posterior(video.transpose(1, 2).flatten(0, 1))
        return self.drawn(mean.unflatten(0, (len(video), -1)), deviation.unflatten(0, (len(video), -1)), normal)

    @torch.no_grad()
    def posterior(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation for pictures: RGB in -1 to 1, (n, 3, h, w), to (n, channels, …)."""
        found = [self.vae.encode(some).latent_dist for some in pictures.split(AT_ONCE)]
        return torch.cat([one.mean for one in found]), torch.cat([one.std for one in found])

    def drawn(self, mean: Tensor, deviation: Tensor, normal: Normal) -> Tensor:
        """Of posteriors (batch, t, channels, …), scaled samples (batch, channels, t, …)."""
        latents = mean + deviation * sent(normal(tuple(mean.shape)), mean.device).to(mean)
        return latents.transpose(1, 2) * float(self.vae.config.scaling_factor)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The way back of `encode`, to RGB that may overshoot -1 to 1."""
        scaled = latents.transpose(1, 2) / self.vae.config.scaling_factor
        # A frame at a time bounds the memory.
        clips = [torch.cat([self.vae.decode(frame[None]).sample for frame in clip]) for clip in scaled]
        return torch.stack(clips).transpose(1, 2)


def open_space(folder: str | Path | None) -> Pixels | Latents:
    """Pixels, or the latents of the AutoencoderKL in a folder."""
    if folder is None:
        return Pixels()
    return Latents(AutoencoderKL.from_pretrained(str(folder), local_files_only=True, use_safetensors=True))
