"""Every view learns: on one batch, over and over, the loss falls."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.models.lavie.stage import Stage
from training.objective import Objective
from training.recipe import Recipe
from training.stream.opened import open_loader

MODEL = {"widths": [8, 16], "attention": [False, True], "layers": 1, "heads": 2, "groups": 4}
TEXT = {"text_width": 16, "text_layers": 1, "text_length": 24}
VIEWS = {"base": {"frames": 3, "images": 1}, "interpolation": {"frames": 5}, "vsr": {"frames": 2}}


@pytest.mark.parametrize("view", VIEWS)
def test_the_loss_of_one_batch_falls(view: str, dataset: Path) -> None:
    data = {"url": str(dataset), "view": view, "stride": 1, "size": [16, 16], "threads": 0, **VIEWS[view]}
    diffusion = {"prediction": "v_prediction"}
    recipe = Recipe.model_validate({"data": data, "model": {**MODEL, **TEXT}, "diffusion": diffusion})
    batch = next(iter(open_loader(recipe.data, seed=0, batch=2, text_dropout=0.0)))
    torch.manual_seed(0)
    objective = Objective(Stage.build(recipe.model, recipe.data.view), recipe)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = objective(batch).total
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
