"""What the models are given beside noise, text and time, as further input channels; for trainer and sampler alike."""

from __future__ import annotations

import functools

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F


def interpolation(keys: Tensor, every: int = 4) -> Tensor:
    """Latents of the known frames to the condition of all frames: frame i carries key (i + 1) // 4.

    The released sampler stretches 16 frames to 61 before it encodes them, picks every fourth again, repeats and
    cuts; encoding the 16 gives the same.

    Args:
        keys: (batch, channels, keys, height, width).
        every: frames from one key to the next.

    Returns:
        (batch, channels, (keys - 1) * every + 1, height, width).
    """
    before = every // 2 - 1
    frames = (keys.shape[2] - 1) * every + 1
    return keys.repeat_interleave(every, dim=2)[:, :, before : before + frames]


@functools.cache
def _low_res_schedule() -> DDPMScheduler:
    """That of Stable Diffusion's x4 upscaler (its low_res_scheduler/scheduler_config.json)."""
    return DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="scaled_linear")


def super_resolution(low: Tensor, level: Tensor, noise: Tensor, grid: tuple[int, int]) -> Tensor:
    """The small copy with noise on it, on the grid of the latents.

    Args:
        low: RGB in -1 to 1, (batch, 3, pictures, height, width).
        level: int64 (batch,), step of the noise in 0 to 999; what the network is told as its noise level.
        noise: standard normal, the shape of `low`.
        grid: height and width of the latents. With the upscaler's weights they are those of `low`; else it is
            resized (bilinear; ours).

    Returns:
        (batch, 3, pictures, *grid), fp32.
    """
    noisy: Tensor = _low_res_schedule().add_noise(low.float(), noise.float(), level)
    if tuple(noisy.shape[-2:]) == tuple(grid):
        return noisy
    flat = noisy.transpose(1, 2).flatten(0, 1)
    resized = F.interpolate(flat, size=grid, mode="bilinear", align_corners=False)
    return resized.unflatten(0, (noisy.shape[0], -1)).transpose(1, 2)


def known_frames(clean: Tensor, known: Tensor) -> Tensor:
    """The latents of some frames, and in front of them which ones; zeros elsewhere.

    So SEINE (arXiv 2310.20700 §3.2) and the mask variant in LaVie's released interpolation condition on frames.

    Args:
        clean: (batch, channels, frames, height, width).
        known: bool (batch, frames).

    Returns:
        (batch, 1 + channels, frames, height, width).
    """
    mask = known.to(clean)[:, None, :, None, None]
    return torch.cat((mask.expand(-1, 1, -1, *clean.shape[-2:]), clean * mask), dim=1)
