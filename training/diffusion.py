"""Noise schedules, noise and losses. The schedulers are those of diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from training.recipe import Diffusion
from training.stream.plan import Draws


def betas(config: Diffusion) -> dict[str, Any]:
    """The noise schedule in the words of diffusers' schedulers."""
    return {
        "num_train_timesteps": config.steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": config.schedule,
        "prediction_type": config.prediction,
    }


def training_schedule(config: Diffusion) -> DDPMScheduler:
    """Adds noise: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e (Ho et al., arXiv 2006.11239, eq. 4)."""
    return DDPMScheduler(**betas(config), clip_sample=False)


def normal(draws: Sequence[Draws], purpose: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal fp32 numbers of shape (len(draws), *shape[1:]), from each sample's own draws."""
    assert shape[0] == len(draws)
    parts = [draw.rng(purpose).standard_normal(shape[1:], np.float32) for draw in draws]
    return torch.from_numpy(np.stack(parts))


def timesteps(draws: Sequence[Draws], steps: int) -> Tensor:
    """A uniform step for each sample, int64 (len(draws),); its single frames share it, as in Latte."""
    return torch.tensor([int(draw.rng("timestep").integers(steps)) for draw in draws])


def noise(draws: Sequence[Draws], shape: tuple[int, ...], *, offset: float = 0.0) -> Tensor:
    """What is added to clean clips, fp32 (batch, channels, pictures, height, width).

    Args:
        offset: deviation of a number that is added to all of a picture's channel, so that the model learns brightness
            as a whole, which plain noise leaves legible (N. Guttenberg, "Diffusion with offset noise", 2023). The
            pictures of a sample share it, since a clip has one brightness; ours.
    """
    plain = normal(draws, "noise", shape)
    return plain + offset * normal(draws, "offset noise", (*shape[:2], 1, 1, 1)) if offset else plain


def min_snr(schedule: DDPMScheduler, timesteps: Tensor, most: float) -> Tensor:
    """Weights of samples by their time steps, fp32 (batch,): min(SNR, most) where the clean clip is predicted, that
    over SNR for the noise, and over SNR + 1 for the velocity (Hang et al., arXiv 2303.09556)."""
    signal = schedule.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = signal / (1 - signal)
    whole = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[schedule.config.prediction_type]
    return (snr.clamp(max=most) / whole).float()


class Losses(NamedTuple):
    """Scalars of one step."""

    total: Tensor
    video: Tensor
    image: Tensor


def target(schedule: DDPMScheduler, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the model should predict, in the shape of `clean`: by the schedule's prediction type."""
    if schedule.config.prediction_type == "v_prediction":
        velocity: Tensor = schedule.get_velocity(clean, noise, timesteps)
        return velocity
    return clean if schedule.config.prediction_type == "sample" else noise


def losses(
    prediction: Tensor, wanted: Tensor, *, frames: int, image_weight: float, weights: Tensor | None = None
) -> Losses:
    """Mean squared error on the clips plus a weighted one on the single frames (LaVie §3.3).

    Args:
        prediction: (batch, channels, frames + images, height, width).
        wanted: the same shape, from `target`.
        frames: how many of the pictures are the clip.
        image_weight: alpha; the two means are separate, so it does not depend on their numbers.
        weights: (batch,), of the samples; all alike unless given.
    """
    video = _error(prediction[:, :, :frames], wanted[:, :, :frames], weights)
    if prediction.shape[2] == frames:
        return Losses(video, video, torch.zeros_like(video))
    image = _error(prediction[:, :, frames:], wanted[:, :, frames:], weights)
    return Losses(video + image_weight * image, video, image)


def _error(prediction: Tensor, wanted: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return F.mse_loss(prediction.float(), wanted)
    errors = F.mse_loss(prediction.float(), wanted, reduction="none")
    return (errors.flatten(1).mean(dim=1) * weights).mean()
