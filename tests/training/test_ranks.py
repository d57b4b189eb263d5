"""Runs of several processes: the same samples and, within rounding, the same numbers as one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from ranks import start
from safetensors import safe_open

from training.train import train

STEPS = 3
# Sums in another order; other samples, or another draw, change a loss by a hundred times as much.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> torch.Tensor:
    return torch.tensor([[line["loss"], line["loss_image"], line["grad_norm"]] for line in lines(out)])


def position(out: Path, step: int) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / f"checkpoints/step-{step:08d}/state.json").read_text())["position"]
    return found


def whole(out: Path, step: int) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, put together from the shards of all ranks; its generators left out."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted((out / f"checkpoints/step-{step:08d}").glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            offsets = json.loads(file.metadata()["DCP_SHARDING_INFO"])
            parts = {name: (offsets[name]["saved_offsets"], file.get_tensor(name)) for name in offsets}
        for name, (offset, part) in parts.items():
            if not name.startswith("rng/"):
                found.setdefault(name, {})[tuple(offset)] = part
    return {
        name: torch.cat([parts[at] for at in sorted(parts)]) if () not in parts else parts[()]
        for name, parts in found.items()
    }


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: `alone` of one process, and what two made of the same recipe in several ways."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.yaml").write_text(TINY)

    def job(name: str, steps: int, *more: str) -> tuple[str, list[str]]:
        fixed = ["train.batch=4", "train.checkpoint_every=99", "train.keep=9", "train.log_every=1", "train.device=cpu"]
        address = [f"data.url={dataset}", f"train.out={folder / name}", f"train.steps={steps}"]
        return str(folder / "tiny.yaml"), [*address, *fixed, *more]

    measured = (f"train.held_out.url={dataset}", "train.held_out.every=1", "train.held_out.batches=1")
    shown = ("train.samples.every=2", "train.samples.steps=1", "train.samples.prompts=[red, green, blue]")
    train(*job("alone", STEPS, "train.checkpoint_every=1", *measured, *shown))
    train(*job("moved", 1))
    train(*job("accumulated", STEPS, "train.accumulate=4", "train.recompute=true"))
    sharded = ("train.parallel=fsdp", "train.accumulate=2", "train.recompute=true")
    jobs = [
        job("moved", 2),
        job("ddp", 2, "train.accumulate=2", *measured, *shown),
        job("fsdp", 2, *sharded, *measured, *shown),
        job("fsdp-again", 1, *sharded),
        job("fsdp-again", 2, *sharded),
        job("ddp", STEPS, "train.parallel=fsdp"),
        job("fsdp", STEPS),
        job("uneven", 2, "train.batch=5"),
        (*job("lost", 2), ["data.url=/nowhere"]),
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    start(folder / "jobs.json", 2)
    train(*job("moved", STEPS))
    return folder


def test_one_process_and_two_and_one_again_see_the_same_samples_and_losses(runs: Path) -> None:
    for step in (1, 2, 3):
        assert position(runs / "moved", step) == position(runs / "alone", step)
    torch.testing.assert_close(losses(runs / "moved"), losses(runs / "alone"), **CLOSE)


@pytest.mark.parametrize("name", ["ddp", "fsdp", "accumulated"])
def test_a_batch_in_shards_and_parts_gives_the_numbers_of_the_whole(runs: Path, name: str) -> None:
    """Two processes, the last steps with the other way of sharding than the first; or four parts after another."""
    torch.testing.assert_close(losses(runs / name), losses(runs / "alone"), **CLOSE)
    tensors, expected = whole(runs / name, STEPS), whole(runs / "alone", STEPS)
    assert tensors.keys() == expected.keys()
    for kind in ("model", "ema", "exp_avg", "exp_avg_sq"):
        found, wanted = (
            torch.cat([values[name].flatten() for name in sorted(expected) if name.startswith(f"{kind}/")])
            for values in (tensors, expected)
        )
        # As a whole: where a gradient is zero but for rounding, as of a key's bias, AdamW makes steps of the rounding.
        assert (found - wanted).norm() < 0.01 * wanted.norm(), kind
    assert position(runs / name, STEPS) == position(runs / "alone", STEPS)


def test_the_same_processes_go_on_to_the_same_bits(runs: Path) -> None:
    one, other = whole(runs / "fsdp", 2), whole(runs / "fsdp-again", 2)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert lines(runs / "fsdp")[1]["loss"] == lines(runs / "fsdp-again")[1]["loss"]


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_two_processes_measure_and_show_what_one_does(runs: Path, name: str) -> None:
    """That it does not move sharded training either is told by `fsdp-again`, which has nothing of it."""
    for one, other in zip(lines(runs / "alone")[:2], lines(runs / name)):
        assert one["held_out"].keys() == other["held_out"].keys()
        assert other["held_out"] == pytest.approx(one["held_out"], rel=CLOSE["rtol"], abs=CLOSE["atol"])
    films = [runs / which / "samples/step-00000002" for which in ("alone", name)]
    assert [sorted(path.name for path in folder.iterdir()) for folder in films] == [
        ["00.mp4", "01.mp4", "02.mp4", "grid.png"]
    ] * 2
    one_grid, other_grid = (np.asarray(Image.open(folder / "grid.png")).astype(int) for folder in films)
    assert np.abs(one_grid - other_grid).mean() < 2
    assert len(list((runs / name / "tensorboard").iterdir())) == 2  # the first process's, of both parts


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_each_of_two_processes_writes_its_part_and_nothing_is_pickled(runs: Path, name: str) -> None:
    folder = runs / name / "checkpoints/step-00000002"
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) == 2 and {path.name for path in folder.iterdir()} == {"state.json", *(p.name for p in shards)}
    sizes = [path.stat().st_size for path in shards]
    assert max(sizes) < 1.5 * min(sizes)


def test_a_fault_of_one_rank_is_told_by_all(runs: Path) -> None:
    """Before the first step, in the middle of one, and by a process that is gone."""
    first, last = ((runs / f"jobs.json.{rank}").read_text().splitlines() for rank in range(2))
    assert first[:7] == last[:7] == ["done"] * 7
    assert first[7:9] == last[7:9]
    assert "5 samples cannot be shared evenly by 2 processes" in first[7]
    assert first[8] == "rank 1: cannot read /nowhere/manifest.json: does not exist"
    assert first[9] == "rank 1 stopped: the loss is not a number"
    assert last[9] == "the loss is not a number"
    assert first[10].startswith("lost another process") and len(first) == 11
