"""Latents that are kept: the same numbers, made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from curation.errors import UserError
from training.train import train


@pytest.fixture
def vae(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, scaling_factor=0.5,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(tmp_path / "vae")  # fmt: skip
    return tmp_path / "vae"


def losses(out: Path) -> torch.Tensor:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return torch.tensor([line["loss"] for line in lines])


def test_pictures_that_come_again_are_encoded_once_and_the_losses_are_the_same(
    dataset: Path, recipe: Path, tmp_path: Path, vae: Path
) -> None:
    """Ten clips in batches of five: an epoch is two steps, and all views are the same in each."""
    kept = tmp_path / "latents"

    def run(name: str, steps: int, *more: str) -> Path:
        fixed = ["data.views=1", "train.batch=5", "train.log_every=1", "train.checkpoint_every=99", "train.device=cpu"]
        address = [f"data.url={dataset}", f"model.vae={vae}", f"train.out={tmp_path / name}", f"train.steps={steps}"]
        train(str(recipe), [*address, *fixed, *more])
        return tmp_path / name

    plain = run("plain", 4)
    run("cached", 2, f"train.latents={kept}")
    files = sorted(kept.glob("*/*.safetensors"))
    assert len(files) == 30  # ten clips and two single frames for each
    times = [path.stat().st_mtime_ns for path in files]
    files[3].write_bytes(b"half")
    cached = run("cached", 4, f"train.latents={kept}")
    torch.testing.assert_close(losses(cached), losses(plain), rtol=1e-3, atol=1e-4)
    assert sorted(kept.glob("*/*")) == files
    changed = [path.stat().st_mtime_ns != time for path, time in zip(files, times)]
    assert changed == [number == 3 for number in range(30)]
    full = run("full", 1, f"train.latents={tmp_path / 'few'}", "train.latents_bytes=12000")
    torch.testing.assert_close(losses(full), losses(plain)[:1], rtol=1e-3, atol=1e-4)
    assert 0 < sum(path.stat().st_size for path in (tmp_path / "few").glob("*/*")) <= 12000


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.latents=x"], "train.latents: no picture comes twice, .* data.views"),
        (["train.latents=x", "data.views=1"], "train.latents: the model works on pixels"),
    ],
)
def test_a_cache_that_would_be_of_no_use_is_one_line(
    dataset: Path, recipe: Path, tmp_path: Path, overrides: list[str], words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        train(str(recipe), [f"data.url={dataset}", f"train.out={tmp_path / 'run'}", *overrides])
    assert "\n" not in str(error.value)
