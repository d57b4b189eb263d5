"""What learns and what does not: frozen parts, adapters, and what is left of them in checkpoints and models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from curation.errors import UserError
from curation.validate import load
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.train import train

UNET = "model/unet/diffusion_pytorch_model.safetensors"


def run(dataset: Path, recipe: Path, out: Path, *more: str, steps: int = 2) -> tuple[dict, dict, dict]:
    """A short run: its last checkpoint's tensors, the network that it wrote, and the one that it began with."""
    overrides = [f"data.url={dataset}", f"train.out={out}", f"train.steps={steps}", "train.device=cpu", *more]
    train(str(recipe), overrides)
    (path,) = (out / f"checkpoints/step-{steps:08d}").glob("*.safetensors")
    settings = load(recipe, Recipe, overrides)
    torch.manual_seed(settings.train.seed)
    begun = Stage.build(settings.model, "base").unet.state_dict()
    return load_file(path), load_file(out / UNET), begun


def test_frozen_parts_stay_as_they_are_to_the_bit(dataset: Path, recipe: Path, tmp_path: Path) -> None:
    saved, written, begun = run(dataset, recipe, tmp_path / "run", "train.frozen=[unet.*.attn1.*, text.*]")
    frozen = {name for name in begun if ".attn1." in name}
    assert frozen and written.keys() == begun.keys()
    for name, value in written.items():
        assert torch.equal(value, begun[name]) == (name in frozen), name
    trained = {name.removeprefix("model/unet.") for name in saved if name.startswith("model/")}
    assert trained == begun.keys() - frozen


def test_adapters_alone_learn_and_the_model_has_them_merged(dataset: Path, recipe: Path, tmp_path: Path) -> None:
    lora = "train.lora={rank: 2, targets: [attn1.to_q, attn1.to_v]}"
    run(dataset, recipe, tmp_path / "run", lora, "train.checkpoint_every=1", steps=1)
    saved, written, begun = run(dataset, recipe, tmp_path / "run", lora)  # resumed
    names = [name for name in saved if not name.startswith("rng/")]
    assert names and all(".lora_" in name for name in names)
    assert written.keys() == begun.keys()
    for name, value in written.items():
        assert torch.equal(value, begun[name]) != name.endswith(("attn1.to_q.weight", "attn1.to_v.weight")), name
    assert Stage.load(tmp_path / "run/model").unet.state_dict().keys() == begun.keys()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "train.frozen=[unet.nothing.*]",
            r"train.frozen: no parameter fits 'unet.nothing.\*'; they have names such as",
        ),
        ("train.frozen=['*']", "train.frozen: nothing is left to learn"),
        ("train.lora={targets: [to_nothing]}", "train.lora: .*to_nothing"),
    ],
)
def test_patterns_that_fit_nothing_are_one_line(
    dataset: Path, recipe: Path, tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        train(str(recipe), [f"data.url={dataset}", f"train.out={tmp_path / 'run'}", override])
    assert "\n" not in str(error.value)
