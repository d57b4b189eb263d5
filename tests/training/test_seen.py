"""What a run shows of itself is true, and showing it moves no number of the training."""

from __future__ import annotations

import copy
import json
import math
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from curation.errors import UserError
from curation.validate import loads
from training import recipe_seen
from training.cascade import base
from training.engine import flops
from training.engine.aside import aside
from training.engine.ema import Ema
from training.engine.grid import Row, grid
from training.engine.held_out import HeldOut, drawn, parts
from training.engine.kept import Kept
from training.engine.metrics import flat
from training.engine.ranks import Ranks
from training.engine.spikes import Spikes
from training.models.lavie.stage import Stage
from training.recipe import Optimiser, Recipe
from training.train import train

CPU = torch.device("cpu")
TOLD = ("step", "loss", "loss_video", "loss_image", "grad_norm", "lr", "replaced")
LAST = "checkpoints/step-00000004"
WATCHED = (
    "train.held_out.every=2",
    "train.held_out.batches=1",
    "train.held_out.quantiles=4",
    "train.samples.every=2",
    "train.samples.prompts=[a red square, a blue square]",
    "train.samples.steps=2",
    "train.peak_tflops=0.5",
)


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    (path,) = checkpoint.glob("*.safetensors")
    return load_file(path)


def settings(dataset: Path, out: Path, *more: str) -> list[str]:
    fixed = ("train.device=cpu", "train.steps=4", "train.checkpoint_every=2", "train.log_every=1", "data.held_out=0.56")
    return [f"data.url={dataset}", f"train.out={out}", *fixed, *more]


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `blind`, a run that shows nothing, and `watched`, the same with all there is, in two parts."""
    folder = tmp_path_factory.mktemp("seen")
    (folder / "tiny.yaml").write_text(TINY)
    recipe = str(folder / "tiny.yaml")
    train(recipe, settings(dataset, folder / "blind"))
    train(recipe, settings(dataset, folder / "watched", *WATCHED, "train.steps=2"))
    train(recipe, settings(dataset, folder / "watched", *WATCHED))
    return folder


def test_measuring_and_sampling_do_not_move_training(runs: Path) -> None:
    blind, watched = (lines(runs / name) for name in ("blind", "watched"))
    assert [[line[name] for name in TOLD] for line in blind] == [[line[name] for name in TOLD] for line in watched]
    first, second = (tensors(runs / name / LAST) for name in ("blind", "watched"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_tensorboard_has_what_the_log_has(runs: Path) -> None:
    events = EventAccumulator(str(runs / "watched/tensorboard"), {"scalars": 0, "images": 0})
    events.Reload()
    told: dict[str, list[tuple[int, float]]] = {}
    for line in lines(runs / "watched"):
        for name, value in flat(line):
            told.setdefault(name, []).append((int(line["step"]), value))
    assert sorted(told) == sorted(events.Tags()["scalars"])
    for name, values in told.items():
        seen = [(event.step, event.value) for event in events.Scalars(name)]
        assert seen == [(step, pytest.approx(value, rel=1e-6)) for step, value in values], name
    assert {"train/loss", "train/lr", "train/mfu", "train/memory_gb", "held_out/loss", "held_out/t750-999"} <= set(told)
    assert sorted(events.Tags()["images"]) == ["samples/00", "samples/01", "samples/grid"]
    assert [event.step for event in events.Images("samples/grid")] == [2, 4]


def test_events_of_a_part_that_is_done_again_are_hidden(dataset: Path, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(runs / "watched", out)
    shutil.rmtree(out / LAST)
    train(str(runs / "tiny.yaml"), settings(dataset, out))
    events = EventAccumulator(str(out / "tensorboard"), {"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [line["step"] for line in lines(out)] == [1, 2, 3, 4]


def test_samples_are_videos_with_their_prompts_and_one_picture(runs: Path) -> None:
    folder = runs / "watched/samples/step-00000004"
    assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "01.mp4", "grid.png"]
    with av.open(str(folder / "01.mp4")) as container:
        assert json.loads(container.metadata["comment"])["prompt"] == "a blue square"
        frames = list(container.decode(video=0))
    assert len(frames) == 4 and (frames[0].width, frames[0].height) == (24, 16)
    with Image.open(folder / "grid.png") as picture:
        assert picture.width > 4 * 24 and picture.height > 2 * 16


def test_a_model_that_is_always_given_a_first_frame_is_given_one_that_it_drew(
    dataset: Path, recipe: Path, tmp_path: Path
) -> None:
    given: list[torch.Tensor | None] = []
    shown = ("train.steps=1", "train.samples.every=1", "train.samples.prompts=[a square]", "train.samples.steps=2")
    with pytest.MonkeyPatch.context() as patched:
        original = base.generate
        patched.setattr(base, "generate", lambda *a, **k: (given.append(k.get("first")), original(*a, **k))[1])
        train(str(recipe), settings(dataset, tmp_path / "run", "data.known=first", *shown))
    assert [value if value is None else tuple(value.shape) for value in given] == [None, (1, 3, 1, 16, 24)]
    with pytest.raises(UserError, match="data.known=first a video needs a first frame"):
        train(str(recipe), settings(dataset, tmp_path / "run", "data.known=first", "data.images=0", *shown))


@pytest.mark.parametrize(
    ("view", "more"),
    [("interpolation", ("data.frames=9", "data.size=[16, 24]")), ("vsr", ("data.frames=4", "data.size=[16, 24]"))],
)
def test_other_views_are_sampled_from_held_out_clips(
    dataset: Path, tmp_path: Path, view: str, more: tuple[str, ...]
) -> None:
    _, *rest = TINY.strip().splitlines()
    (tmp_path / "tiny.yaml").write_text("\n".join(["data: {stride: 1, images: 0}", *rest]))
    shown = ("train.steps=1", "train.samples.every=1", "train.samples.clips=9", "train.samples.steps=1")
    train(str(tmp_path / "tiny.yaml"), settings(dataset, tmp_path / "run", f"data.view={view}", *more, *shown))
    folder = tmp_path / "run/samples/step-00000001"
    assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "01.mp4", "02.mp4", "grid.png"]  # all there are
    with av.open(str(folder / "00.mp4")) as container:
        assert len(list(container.decode(video=0))) == int(more[0].rpartition("=")[2])


@pytest.fixture
def tiny(dataset: Path) -> Recipe:
    return loads(TINY, Recipe, settings(dataset, Path("run"), "train.held_out.batches=1"), name="tiny")


def test_held_out_loss_is_the_same_number_again_and_leaves_everything_as_it_was(tiny: Recipe) -> None:
    torch.manual_seed(0)
    stage, ranks = Stage.build(tiny.model, "base").train(), Ranks(CPU)
    kept = Kept(tiny, ranks, batch=2, first={})
    held_out, ema = HeldOut(stage, tiny, ranks, kept), Ema(stage.trained(), 0.9)
    weights, dice = copy.deepcopy(stage.state_dict()), torch.get_rng_state()
    first = held_out(ema)
    assert held_out(ema) == first
    assert torch.equal(torch.get_rng_state(), dice) and stage.training
    assert all(torch.equal(value, weights[name]) for name, value in stage.state_dict().items())
    names = [name for name in first if name.startswith("t")]
    assert names == ["t000-199", "t200-399", "t400-599", "t600-799", "t800-999"]
    assert first["loss"] == pytest.approx(np.mean([first[name] for name in names]))
    assert first["loss"] == pytest.approx(first["loss_video"] + first["loss_image"])

    with torch.no_grad():
        stage.unet.conv_out.bias += 1
    assert held_out(ema) == first  # of the mean, which did not move
    plain = tiny.train.held_out.model_copy(update={"ema": False})
    moved = tiny.model_copy(update={"train": tiny.train.model_copy(update={"held_out": plain})})
    assert HeldOut(stage, moved, ranks, kept)(ema)["loss"] > first["loss"] + 0.5
    kept.close()


def test_random_numbers_and_modes_are_given_back_also_after_an_error(tiny: Recipe) -> None:
    stage = Stage.build(tiny.model, "base").train()
    stage.text.eval()  # as frozen parts may be
    dice = torch.get_rng_state()
    with pytest.raises(KeyError), aside(stage, None, CPU):
        torch.rand(5)
        assert not stage.unet.training and not torch.is_grad_enabled()
        raise KeyError
    assert stage.unet.training and not stage.text.training and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), dice)


def test_time_steps_of_a_part_are_in_it_and_parts_are_the_whole(tiny: Recipe) -> None:
    assert parts(1000, 3) == [(0, 333), (333, 666), (666, 1000)] and parts(2, 5) == [(0, 1), (1, 2)]
    kept = Kept(tiny, Ranks(CPU), batch=2, first={})
    (batch,) = kept(1)
    for part in parts(1000, 4):
        steps = drawn(batch, part)
        assert torch.equal(drawn(batch, part), steps) and (steps >= part[0]).all() and (steps < part[1]).all()
    assert set(batch.keys) <= {"clip000", "clip002", "clip008"}  # what the hashes of the keys keep back
    kept.close()


def steps(*losses: float) -> list[list[list[float]]]:
    """Steps of one rank."""
    return [[[loss, loss, 0.0, 1.0]] for loss in losses]


def test_a_spike_is_far_above_the_median_of_the_windows_before() -> None:
    spikes = Spikes(recipe_seen.Spikes(factor=3, windows=3), [1.0, 1.2])
    assert spikes.limit == math.inf and spikes.first(steps(9.0)) is None  # too few to tell
    spikes.window(50.0)  # one bad window does not move the median
    assert spikes.limit == pytest.approx(3.6)
    assert spikes.first(steps(1.0, 3.5, 3.7, 9.0)) == (2, [0])
    assert "step 7: the loss is 3.7, over the limit of 3.6" in str(spikes.error(7, steps(3.7)[0], ["a"]))
    assert Spikes(recipe_seen.Spikes(factor=3, windows=3), [0.1] * 3, least=2.0).first(steps(1.9, 2.1)) == (1, [0])
    assert Spikes(recipe_seen.Spikes(action="none", windows=3), [1.0] * 3).first(steps(1e9)) is None


def test_a_spike_or_nan_comes_from_the_ranks_that_have_it() -> None:
    spikes = Spikes(recipe_seen.Spikes(factor=3, windows=3), [1.0] * 3)
    fine, high, nan = [1.0, 1.0, 0.0, 1.0], [9.0, 9.0, 0.0, 1.0], [math.nan, 1.0, 0.0, math.nan]
    assert spikes.first([[fine, high]]) == (0, [1])
    assert spikes.first([[fine, fine], [fine, nan]]) == (1, [1])
    assert spikes.first([[[1.0, 1.0, 0.0, math.inf]] * 2]) == (0, [0, 1])  # the gradient belongs to all
    assert spikes.first([[[2.9, 0, 0, 0], [3.3, 0, 0, 0]]]) == (0, [1])


def spoiled(run: Path, out: Path) -> dict[str, torch.Tensor]:
    """A copy of a run with weights that make the loss jump."""
    shutil.copytree(run, out)
    (path,) = (out / LAST).glob("*.safetensors")
    weights = load_file(path)
    weights["model/unet.conv_out.bias"].add_(20)
    with safe_open(path, "pt") as file:
        save_file(weights, path, file.metadata())
    return weights


def test_a_spike_stops_the_run_with_its_samples(dataset: Path, runs: Path, tmp_path: Path) -> None:
    spoiled(runs / "blind", tmp_path / "run")
    more = ("train.steps=6", "train.spikes.windows=3")
    with pytest.raises(UserError, match=r"step 5: the loss is .*, over the limit of .* its samples: clip\d+, clip"):
        train(str(runs / "tiny.yaml"), settings(dataset, tmp_path / "run", *more))


def test_a_step_with_a_spike_can_be_skipped(dataset: Path, runs: Path, tmp_path: Path) -> None:
    weights = spoiled(runs / "blind", tmp_path / "run")
    more = ("train.steps=6", "train.spikes.windows=3", "train.spikes.action=skip")
    train(str(runs / "tiny.yaml"), settings(dataset, tmp_path / "run", *more))
    assert [line.get("skipped") for line in lines(tmp_path / "run")] == [None] * 4 + [1, 1]
    after = tensors(tmp_path / "run/checkpoints/step-00000006")
    learned = [name for name in weights if name.startswith(("model/", "exp_avg", "step/"))]
    assert learned and all(torch.equal(weights[name], after[name]) for name in learned)


def test_mfu_is_what_a_real_pass_computes_over_what_could_be(runs: Path, tiny: Recipe) -> None:
    stage = Stage.build(tiny.model, "base")
    x, text = torch.randn(1, 3, 6, 16, 24), torch.randn(1, 3, stage.text.length, stage.text.width)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        stage(x, torch.tensor([5]), text, frames=4).sum().backward()
    each = flops.count(stage, 4, 2, (16, 24))
    assert each == counter.get_total_flops() > 1e8
    for line in lines(runs / "watched"):
        assert line["mfu"] == pytest.approx(each * line["samples_per_s"] / 0.5e12)
    assert not any("mfu" in line for line in lines(runs / "blind"))  # nobody knows what a CPU can do


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA H20", None),
        ("NVIDIA L40", None),
    ],
)
def test_no_peak_is_better_than_a_wrong_one(device: str, peak: float | None) -> None:
    assert flops.named(device) == peak


def test_a_cosine_falls_from_the_warm_up_to_zero() -> None:
    rates = Optimiser(lr=2.0, warmup=4, schedule="cosine", decay=12)
    assert [rates.lr_at(step) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates.lr_at(8) == pytest.approx(1.0) and rates.lr_at(12) == rates.lr_at(99) == 0.0
    assert Optimiser(lr=2.0, warmup=0).lr_at(0) == Optimiser(lr=2.0, warmup=0).lr_at(10**6) == 2.0


def test_a_grid_shows_frames_from_first_to_last_beside_their_marks() -> None:
    film = np.zeros((20, 8, 12, 3), np.uint8)
    film[:, :, :, 0] = np.arange(20)[:, None, None] * 10
    picture = grid([Row("words " * 100, "made", film), Row("", "true", film[:1])], "step 1")
    reds = picture[picture.shape[0] // 3, :, 0].astype(int)
    shown = [int(red) for red in reds[64:] if red % 10 == 0]
    assert shown == sorted(shown) and {30, 190} <= set(shown) and len(set(shown) - {0}) == 7
    assert picture.dtype == np.uint8 and picture.ndim == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.samples.every=1", "train.samples.prompts: what to make videos of"),
        ("train.samples={every: 1, prompts: [x], steps: 2000}", "is more than diffusion.steps"),
        ("train.spikes.factor=0.5", "train.spikes.factor: must be"),
        ("optimiser.schedule=cosine", "decay: needed for the schedule cosine"),
        ("train.held_out.url=nowhere/manifest.json", "train.held_out.url: cannot read nowhere/manifest.json"),
    ],
)
def test_mistakes_are_one_line(dataset: Path, recipe: Path, tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        train(str(recipe), settings(dataset, tmp_path / "run", override))
    assert "\n" not in str(error.value)


def test_other_views_need_held_out_clips_to_be_sampled() -> None:
    with pytest.raises(UserError, match="the view vsr begins with held-out clips; set data.held_out"):
        loads("data: {url: x, view: vsr}\ntrain: {samples: {every: 1}}", Recipe, name="vsr")


def test_weights_and_biases_is_asked_for_in_one_line(
    dataset: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"train.wandb needs another library: pip install 'reelmill\[wandb\]'"):
        train(str(recipe), settings(dataset, tmp_path / "run", "train.wandb=films"))
