"""Schedules, losses and the sampler against their definitions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from training.diffusion import losses, normal, sampling_schedule, target, timesteps, training_schedule
from training.generate import generate
from training.models.lavie.latents import Pixels
from training.recipe import Diffusion
from training.stream.plan import Draws


class OneClip(nn.Module):
    """The exact prediction where the data is a single clip: e = (x_t - sqrt(a_t) x_0) / sqrt(1 - a_t),
    or v = sqrt(a_t) e - sqrt(1 - a_t) x_0 (arXiv 2202.00512)."""

    def __init__(self, clip: torch.Tensor, prediction: str):
        super().__init__()
        self.prediction = prediction
        self.space = Pixels()
        self.clip = nn.Parameter(clip)
        self.alphas = training_schedule(Diffusion()).alphas_cumprod

    def embed(self, captions: list[list[str]]) -> torch.Tensor:
        return torch.zeros(len(captions), 1, 1, 1)

    def forward(self, x: torch.Tensor, t: torch.Tensor, text: torch.Tensor, *, frames: int) -> torch.Tensor:
        a = self.alphas.to(x.device)[t].view(-1, 1, 1, 1, 1)
        noise = (x - a.sqrt() * self.clip) / (1 - a).sqrt()
        return noise if self.prediction == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * self.clip


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("steps", "guidance"), [(4, 1.0), (50, 1.0), (10, 7.5)])
def test_sampling_ends_at_the_only_clip_there_is(
    steps: int, guidance: float, prediction: Literal["epsilon", "v_prediction"]
) -> None:
    torch.manual_seed(0)
    clip = torch.rand(1, 3, 5, 8, 8) * 2 - 1
    video = generate(
        OneClip(clip, prediction),
        Diffusion(prediction=prediction),
        "",
        frames=5,
        size=(8, 8),
        steps=steps,
        guidance=guidance,
        seed=0,
    )
    expected = ((clip[0] + 1) * 127.5).permute(1, 2, 3, 0).numpy()
    assert video.shape == (5, 8, 8, 3)
    assert np.abs(video - expected).max() < 2.5


def test_betas_are_linear_and_the_same_for_training_and_sampling() -> None:
    trained, sampled = training_schedule(Diffusion()), sampling_schedule(Diffusion(), bounded=False)
    torch.testing.assert_close(trained.betas, torch.linspace(1e-4, 0.02, 1000))
    assert torch.equal(trained.alphas_cumprod, sampled.alphas_cumprod)


def test_what_is_learned_is_what_the_sampler_expects() -> None:
    clean, noise, steps = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 4, 8, 8), torch.tensor([30, 900])
    schedule = training_schedule(Diffusion())
    assert target(schedule, clean, noise, steps) is noise
    schedule = training_schedule(Diffusion(prediction="v_prediction"))
    a = schedule.alphas_cumprod[steps].view(-1, 1, 1, 1, 1)
    expected = a.sqrt() * noise - (1 - a).sqrt() * clean
    torch.testing.assert_close(target(schedule, clean, noise, steps), expected)


def test_losses_of_clips_and_images_are_separate_means() -> None:
    prediction, noise = torch.zeros(2, 3, 6, 4, 4), torch.zeros(2, 3, 6, 4, 4)
    noise[:, :, :4], noise[:, :, 4:] = 1.0, 2.0
    loss = losses(prediction, noise, frames=4, image_weight=0.5)
    assert (loss.total.item(), loss.video.item(), loss.image.item()) == (3.0, 1.0, 4.0)
    alone = losses(prediction[:, :, :4], noise[:, :, :4], frames=4, image_weight=0.5)
    assert (alone.total.item(), alone.image.item()) == (1.0, 0.0)


def test_noise_and_timesteps_belong_to_the_sample() -> None:
    draws = [Draws(0, number // 400, "hash", number % 400) for number in range(500)]
    noise = normal(draws, "noise", (500, 3, 8, 8))
    assert abs(noise.mean().item()) < 0.01 and abs(noise.std().item() - 1) < 0.01
    assert torch.equal(normal(draws[7:8], "noise", (1, 3, 8, 8))[0], noise[7])
    steps = timesteps(draws, 1000)
    assert steps.min() >= 0 and steps.max() < 1000 and abs(steps.float().mean().item() - 499.5) < 60
    assert torch.equal(timesteps([Draws(0, 0, "hash", 3)], 1000), steps[3:4])
