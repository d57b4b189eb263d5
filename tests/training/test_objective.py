"""What each view learns from real batches, and the conditions that it is given."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY

from curation.validate import loads
from training.models.lavie import conditions
from training.models.lavie.stage import Stage
from training.objective import Objective
from training.recipe import Data, Recipe
from training.stream.loader import Batch
from training.stream.opened import open_loader

VIEWS = {
    "base": ["data.known=mask"],
    "interpolation": ["data.view=interpolation", "data.frames=9", "data.images=1"],
    "vsr": ["data.view=vsr", "data.size=[32, 32]", "data.images=1"],
}


def prepared(dataset: Path, tmp_path: Path, view: str) -> tuple[Objective, Batch]:
    """An objective with a tiny model and the first batch of its view."""
    more = [f"data.url={dataset}", f"data.cache_dir={tmp_path}", "data.stride=1", "data.threads=0", *VIEWS[view]]
    recipe = loads(TINY, Recipe, more, name="tiny")
    torch.manual_seed(0)
    stage = Stage.build(recipe.model, recipe.data.view, known=recipe.data.known != "none")
    loader = open_loader(recipe.data, seed=0, batch=2, text_dropout=0.0)
    return Objective(stage, recipe), next(iter(loader))


def seen_by(objective: Objective, batch: Batch) -> tuple[torch.Tensor, dict[str, Any]]:
    """What the network is called with: its input, and what is said by name."""
    calls: list[Any] = []
    with objective.stage.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True
    ):
        objective(batch)
    (((x, *_), named),) = calls
    return x, named


def rgb(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 4, 1, 2, 3) / 127.5 - 1


@pytest.mark.parametrize("view", VIEWS)
def test_a_loss_belongs_to_its_samples(dataset: Path, tmp_path: Path, view: str) -> None:
    """Finite, the same whatever torch draws, that of the parts together, and it reaches all that learns."""
    objective, batch = prepared(dataset, tmp_path, view)
    losses = objective(batch)
    assert all(loss.isfinite() and loss > 0 for loss in losses)
    torch.manual_seed(7)
    assert torch.equal(torch.stack(objective(batch)), torch.stack(losses))
    parts = torch.stack([torch.stack(objective(part)) for part in batch.split(2)])
    torch.testing.assert_close(parts.mean(dim=0), torch.stack(losses), rtol=1e-4, atol=1e-5)
    losses.total.backward()
    assert all(value.grad is not None for value in objective.stage.trained().values())


def test_interpolation_is_given_known_frames_alone(dataset: Path, tmp_path: Path) -> None:
    objective, batch = prepared(dataset, tmp_path, "interpolation")
    x, named = seen_by(objective, batch)
    assert x.shape[1:3] == (6, 10) and named["frames"] == 9 and named["noise_level"] is None
    assert batch.known[0].nonzero()[0].tolist() == [0, 4, 8]
    clean = rgb(batch.pixels)
    for frame in range(9):
        assert torch.equal(x[:, 3:, frame], clean[:, :, 4 * ((frame + 1) // 4)])
    assert not x[:, 3:, 9:].any()  # nothing is known of an image


@pytest.mark.parametrize("more", [{"frames": 16}, {"buckets": [{"size": [8, 8]}, {"size": [8, 8], "frames": 12}]}])
def test_clips_of_interpolation_end_with_a_known_frame(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"frames must be a multiple of every \(4\) and one more, not 1[26]"):
        Data.model_validate({"url": "x", "view": "interpolation", **more})


def test_super_resolution_is_given_the_noisy_small_copy_and_its_level(dataset: Path, tmp_path: Path) -> None:
    objective, batch = prepared(dataset, tmp_path, "vsr")
    assert batch.low is not None
    x, named = seen_by(objective, batch)
    assert x.shape[1] == 6 and torch.equal(named["noise_level"], torch.from_numpy(batch.noise_level))
    clear = dataclasses.replace(batch, noise_level=np.zeros_like(batch.noise_level))
    x, named = seen_by(objective, clear)
    small = torch.nn.functional.avg_pool2d(x[:, 3:].transpose(1, 2).flatten(0, 1), 4)
    wanted = rgb(batch.low).transpose(1, 2).flatten(0, 1)
    assert torch.corrcoef(torch.stack((small.flatten(), wanted.flatten())))[0, 1] > 0.95


def test_a_base_model_with_given_frames_sees_these_and_which(dataset: Path, tmp_path: Path) -> None:
    objective, batch = prepared(dataset, tmp_path, "base")
    x, _ = seen_by(objective, batch)
    known = torch.from_numpy(batch.known)
    assert x.shape[1] == 3 + 1 + 3
    for frame in range(batch.frames):
        for sample in range(2):
            given = bool(known[sample, frame])
            assert (x[sample, 3, frame] == float(given)).all()
            expected = rgb(batch.pixels)[sample, :, frame] if given else torch.zeros(())
            assert (x[sample, 4:, frame] == expected).all()


def test_every_one_of_61_frames_carries_its_key() -> None:
    keys = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(2, 4, 16, 3, 5)
    out = conditions.interpolation(keys)
    assert out.shape == (2, 4, 61, 3, 5)
    assert out[1, 2, :, 0, 0].tolist() == [(frame + 1) // 4 for frame in range(61)]
    # As the released sampler comes to it: stretched, every fourth of it, repeated, cut.
    stretched = np.linspace(0, 15, 61).astype(int)
    assert out[0, 0, :, 0, 0].tolist() == np.repeat(stretched[::4], 4)[1:-2].tolist()
    assert conditions.interpolation(keys[:, :, :3], every=2)[0, 0, :, 0, 0].tolist() == [0, 0, 1, 1, 2]


def test_the_small_copy_gets_the_noise_of_the_upscalers_schedule() -> None:
    torch.manual_seed(0)
    low, noise = torch.rand(2, 3, 2, 4, 6) * 2 - 1, torch.randn(2, 3, 2, 4, 6)
    level = torch.tensor([0, 350])
    betas = torch.linspace(1e-4**0.5, 0.02**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[level].view(2, 1, 1, 1, 1)
    expected = kept.sqrt() * low + (1 - kept).sqrt() * noise
    out = conditions.super_resolution(low, level, noise, (4, 6))
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-5)
    larger = conditions.super_resolution(low, level, noise, (16, 24))
    assert larger.shape == (2, 3, 2, 16, 24)
    torch.testing.assert_close(larger.mean(dim=(3, 4)), out.mean(dim=(3, 4)), rtol=0, atol=0.2)
