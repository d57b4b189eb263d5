"""Schedules, losses and the sampler against their definitions."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

from curation.errors import UserError
from training.cascade.denoise import denoise
from training.cascade.schedulers import CLASSES, Scheduler
from training.diffusion import losses, normal, target, timesteps, training_schedule
from training.models.lavie.latents import Pixels
from training.recipe import Data, Diffusion, Recipe, Sample
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
        # Some schedulers ask between the steps of the training.
        low, high = self.alphas[t.floor().long()].log(), self.alphas[t.ceil().long()].log()
        a = torch.lerp(low, high, t.frac() if t.is_floating_point() else torch.zeros(len(t))).exp().view(-1, 1, 1, 1, 1)
        noise = (x - a.sqrt() * self.clip) / (1 - a).sqrt()
        if self.prediction == "sample":
            return self.clip.expand_as(x)
        return noise if self.prediction == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * self.clip


def settings(prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon", **sample: Any) -> Recipe:
    return Recipe(data=Data(url="x"), diffusion=Diffusion(prediction=prediction), sample=Sample(**sample))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("steps", "guidance"), [(4, 1.0), (50, 1.0), (10, 7.5)])
def test_sampling_ends_at_the_only_clip_there_is(
    steps: int, guidance: float, prediction: Literal["epsilon", "v_prediction"]
) -> None:
    clip = torch.rand(1, 3, 5, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name in ("ddim", "ddpm"):
        recipe = settings(prediction, scheduler=name, steps=steps, guidance=guidance)
        found = denoise(OneClip(clip, prediction), recipe, [""], [Draws(0, 0, "", 0)], (5, 8, 8))
        torch.testing.assert_close(found, clip, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_every_scheduler_by_name_leads_there(
    name: str, spacing: str, prediction: Literal["epsilon", "v_prediction"]
) -> None:
    clip = torch.rand(1, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    recipe = settings(prediction, scheduler=name, steps=20, spacing=spacing, guidance=1.0)
    draws = [Draws(0, 0, "", 0)]
    found = denoise(OneClip(clip, prediction), recipe, [""], draws, (2, 8, 8))
    assert (found - clip).abs().max() < 0.1
    assert torch.equal(found, denoise(OneClip(clip, prediction), recipe, [""], draws, (2, 8, 8)))


def test_models_that_predict_the_clean_clip_take_the_schedulers_that_know_them() -> None:
    clip = torch.rand(1, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for name in CLASSES:
        recipe = settings("sample", scheduler=name, steps=10, guidance=2.0)
        if name in ("euler-ancestral", "heun"):
            with pytest.raises(UserError, match=f"the scheduler {name} does not work with .* use one of ddpm, ddim"):
                denoise(OneClip(clip, "sample"), recipe, [""], [Draws(0, 0, "", 0)], (2, 8, 8))
        else:
            found = denoise(OneClip(clip, "sample"), recipe, [""], [Draws(0, 0, "", 0)], (2, 8, 8))
            assert (found - clip).abs().max() < 0.1


def test_betas_are_linear_and_the_same_for_training_and_sampling() -> None:
    trained = training_schedule(Diffusion())
    torch.testing.assert_close(trained.betas, torch.linspace(1e-4, 0.02, 1000))
    for name in CLASSES:
        sampled = Scheduler(Sample(scheduler=name), Diffusion(), bounded=False, device=torch.device("cpu"))
        torch.testing.assert_close(sampled._scheduler.alphas_cumprod, trained.alphas_cumprod)


@pytest.mark.parametrize("steps", [1, 50, 999, 1000])
def test_every_number_of_steps_stays_within_the_training(steps: int) -> None:
    for name in CLASSES:
        settings = Sample(scheduler=name, steps=steps)
        scheduler = Scheduler(settings, Diffusion(), bounded=False, device=torch.device("cpu"))
        assert scheduler.timesteps.min() >= 0 and scheduler.timesteps.max() <= 999


def test_what_is_learned_is_what_the_sampler_expects() -> None:
    clean, noise, steps = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 4, 8, 8), torch.tensor([30, 900])
    schedule = training_schedule(Diffusion())
    assert target(schedule, clean, noise, steps) is noise
    schedule = training_schedule(Diffusion(prediction="v_prediction"))
    a = schedule.alphas_cumprod[steps].view(-1, 1, 1, 1, 1)
    expected = a.sqrt() * noise - (1 - a).sqrt() * clean
    torch.testing.assert_close(target(schedule, clean, noise, steps), expected)
    assert target(training_schedule(Diffusion(prediction="sample")), clean, noise, steps) is clean


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
