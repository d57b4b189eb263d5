"""Offset noise and min-SNR weights against their formulas."""

from __future__ import annotations

import torch

from training.diffusion import losses, min_snr, noise, normal, training_schedule
from training.recipe import Diffusion
from training.stream.plan import Draws

STEPS = torch.tensor([0, 1, 150, 400, 700, 999])


def snr(steps: torch.Tensor) -> torch.Tensor:
    """a / (1 - a) of a linear schedule, in float64."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[steps]
    return kept / (1 - kept)


def test_weights_of_noise_are_one_where_there_is_little_signal_and_fall_with_more() -> None:
    weights = min_snr(training_schedule(Diffusion()), STEPS, 5.0)
    expected = torch.minimum(snr(STEPS), torch.tensor(5.0)) / snr(STEPS)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-3, atol=1e-6)
    assert weights.dtype == torch.float32 and weights[0] < 0.001 and weights[-1] == 1


def test_weights_of_the_velocity_are_those_of_the_clean_clip() -> None:
    """|v - v'|^2 is (SNR + 1) |x - x'|^2, and min(SNR, 5) is the weight of the clean clip."""
    schedule = training_schedule(Diffusion(prediction="v_prediction"))
    weights = min_snr(schedule, STEPS, 5.0)
    torch.testing.assert_close((weights * (snr(STEPS) + 1)).float(), snr(STEPS).clamp(max=5).float(), rtol=1e-3, atol=0)
    clean = min_snr(training_schedule(Diffusion(prediction="sample")), STEPS, 5.0)
    torch.testing.assert_close(clean, snr(STEPS).clamp(max=5).float(), rtol=1e-3, atol=0)


def test_weighted_losses_are_means_of_weighted_samples() -> None:
    prediction, wanted = torch.randn(3, 2, 5, 4, 4), torch.randn(3, 2, 5, 4, 4)
    weights = torch.tensor([0.5, 1.0, 0.0])
    found = losses(prediction, wanted, frames=4, image_weight=2.0, weights=weights)
    errors = (prediction - wanted) ** 2
    video, image = (part.mean(dim=(1, 2, 3, 4)) @ weights / 3 for part in (errors[:, :, :4], errors[:, :, 4:]))
    torch.testing.assert_close(torch.stack(found), torch.stack((video + 2 * image, video, image)))
    plain = losses(prediction, wanted, frames=4, image_weight=2.0)
    torch.testing.assert_close(losses(prediction, wanted, frames=4, image_weight=2.0, weights=torch.ones(3)), plain)


def test_offset_noise_is_one_number_for_a_channel_of_a_sample_and_off_by_default() -> None:
    draws = [Draws(0, 0, "hash", number) for number in range(400)]
    shape = (400, 3, 2, 4, 4)
    plain = noise(draws, shape)
    assert torch.equal(plain, normal(draws, "noise", shape))
    offset = noise(draws, shape, offset=0.1) - plain
    assert (offset - offset[:, :, :1, :1, :1]).abs().max() < 1e-5
    assert abs(offset[:, :, 0, 0, 0].std().item() - 0.1) < 0.01 and abs(offset.mean().item()) < 0.01
    assert torch.equal(noise(draws[5:6], (1, *shape[1:]), offset=0.1), noise(draws, shape, offset=0.1)[5:6])
