"""Whole runs: learn, be killed, go on exactly, refuse what does not fit, and make a video."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from conftest import Clip, write_dataset
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from curation.errors import UserError
from training.recipe import Data, Diffusion, Recipe
from training.sample import sample
from training.train import train

TOLD = ("step", "loss", "loss_video", "loss_image", "grad_norm", "replaced")


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def told(out: Path) -> list[tuple[float, ...]]:
    return [tuple(line[name] for name in TOLD) for line in lines(out)]


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint that one process wrote."""
    (path,) = checkpoint.glob("*.safetensors")
    return load_file(path)


def same_tensors(a: Path, b: Path) -> bool:
    first, second = tensors(a), tensors(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def settings(dataset: Path | str, out: Path, *more: str) -> list[str]:
    return [f"data.url={dataset}", f"train.out={out}", "train.device=cpu", *more]


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps that nothing disturbed."""
    from conftest import TINY

    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY)
    train(str(folder / "tiny.yaml"), settings(dataset, folder / "run", "train.steps=12"))
    return folder / "run"


def test_a_run_leaves_metrics_checkpoints_and_a_model(finished: Path) -> None:
    assert [line["step"] for line in lines(finished)] == [2, 4, 6, 8, 10, 12]
    assert lines(finished)[0].keys() >= {*TOLD, "samples_per_s", "frames_per_s", "data_wait"}
    names = sorted(path.name for path in (finished / "checkpoints").iterdir())
    assert names == ["latest", "step-00000008", "step-00000012"]
    assert (finished / "checkpoints/latest").read_text() == "step-00000012\n"
    state = json.loads((finished / "checkpoints/step-00000012/state.json").read_text())
    assert state["step"] == 12 and state["position"]["samples"] == 24
    saved = tensors(finished / "checkpoints/step-00000012")
    unet = load_file(finished / "model/unet/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(unet[name], saved[f"ema/unet.{name}"]) for name in unet)


def test_a_killed_run_goes_on_to_the_same_numbers(
    dataset: Path, finished: Path, recipe: Path, tmp_path: Path, served: tuple[Path, str]
) -> None:
    """Killed with SIGKILL after step 4, resumed from another address of the same data."""
    out = tmp_path / "run"
    arguments = settings(dataset, out, "train.steps=10000", "data.threads=1")
    code = f"from training.train import train; train({str(recipe)!r}, {arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while not (out / "checkpoints/step-00000004").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    folder, url = served
    shutil.copytree(dataset.parent, folder / "elsewhere")
    more = (f"data.cache_dir={tmp_path / 'cache'}", "train.steps=12", "data.threads=3")
    train(str(recipe), settings(f"{url}/elsewhere/manifest.json", out, *more))
    assert told(out) == told(finished)
    assert same_tensors(out / "checkpoints/step-00000012", finished / "checkpoints/step-00000012")


def test_a_finished_run_says_so_and_a_longer_one_goes_on(
    dataset: Path, finished: Path, recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    train(str(recipe), settings("/nowhere", out, "train.steps=12"))
    assert "finished already, at step 12" in capfd.readouterr().err
    train(str(recipe), settings(dataset, out, "train.steps=13", "train.log_every=1"))
    assert "at step 12" in capfd.readouterr().err
    assert lines(out)[-1]["step"] == 13
    assert json.loads((out / "model/config.json").read_text())["step"] == 13


def test_a_half_written_checkpoint_is_not_used(dataset: Path, finished: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "model")
    (out / "checkpoints/step-00000012").rename(out / "checkpoints/step-00000012.incomplete")
    with open(out / "metrics.jsonl", "a") as file:
        file.write('{"step": 14, "lo')
    train(str(recipe), settings(dataset, out, "train.steps=12"))
    assert told(out) == told(finished)
    assert same_tensors(out / "checkpoints/step-00000012", finished / "checkpoints/step-00000012")
    assert not list(out.glob("**/*.incomplete"))


def test_another_recipe_or_dataset_does_not_continue_a_run(
    dataset: Path, finished: Path, recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"was trained with optimiser.lr=0.002, the recipe says 0.1"):
        train(str(recipe), settings(dataset, finished, "optimiser.lr=0.1", "train.steps=13"))
    other = write_dataset(tmp_path / "other", [Clip("other")])
    with pytest.raises(UserError, match="was trained on another dataset"):
        train(str(recipe), settings(other, finished, "train.steps=13"))


def test_two_trainers_do_not_share_a_folder(dataset: Path, finished: Path, recipe: Path) -> None:
    with open(finished / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is training in"):
            train(str(recipe), settings(dataset, finished, "train.steps=13"))


def test_a_damaged_checkpoint_is_one_line(dataset: Path, finished: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (path,) = (out / "checkpoints/step-00000012").glob("*.safetensors")
    path.write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="step-00000012 cannot be used") as error:
        train(str(recipe), settings(dataset, out, "train.steps=13"))
    assert "\n" not in str(error.value)


def test_a_write_that_failed_is_told_at_the_next_checkpoint_and_leaves_the_others(
    dataset: Path, finished: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "checkpoints/latest").unlink()
    (out / "checkpoints/latest/in-the-way").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write .*latest"):
        train(str(recipe), settings(dataset, out, "train.steps=30", "train.log_every=1"))
    assert lines(out)[-1]["step"] == 20  # the write of step 16 failed while the training went on
    assert {"step-00000008", "step-00000012"} <= {path.name for path in (out / "checkpoints").iterdir()}
    assert not (out / "checkpoints/step-00000020").exists()


def test_a_loss_that_is_not_a_number_stops_with_its_samples(
    dataset: Path, finished: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (path,) = (out / "checkpoints/step-00000012").glob("*.safetensors")
    weights = load_file(path)
    weights["model/unet.conv_out.bias"].fill_(float("nan"))
    with safe_open(path, "pt") as file:
        save_file(weights, path, file.metadata())
    with pytest.raises(UserError, match=r"step 13: the loss or its gradient is not a finite number; its samples: clip"):
        train(str(recipe), settings(dataset, out, "train.steps=20"))
    assert not (out / "checkpoints/step-00000016").exists()


def test_loss_falls_on_one_clip(recipe: Path, tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "one", [Clip("one", 8, "white", 0)])
    more = ("train.steps=40", "train.checkpoint_every=40", "train.log_every=10", "optimiser.lr=0.01", "data.flip=false")
    train(str(recipe), settings(manifest, tmp_path / "run", *more))
    losses = [line["loss_video"] for line in lines(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


def test_a_sample_is_a_video_with_its_prompt(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "videos" / "red.mp4"
    sample(str(finished), "a red square", str(out), seed=5, fps=6, scale=2)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (48, 32, Fraction(6))
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert len(list(container.decode(stream))) == 4
        comment = json.loads(container.metadata["comment"])
    assert comment["prompt"] == "a red square" and comment["seed"] == 5 and comment["guidance"] == 2.0
    assert [path.name for path in out.parent.iterdir()] == ["red.mp4"]


def test_a_seed_gives_one_video_and_settings_change_it(finished: Path, tmp_path: Path) -> None:
    def video(name: str, **more: object) -> bytes:
        path = tmp_path / f"{name}.mp4"
        sample(str(finished / "model"), "a red square", str(path), **more)
        with av.open(str(path)) as container:
            return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(video=0))

    assert video("a") == video("b")
    assert video("a") != video("c", seed=1)
    assert video("a") != video("d", guidance=1.0)
    assert len(video("e", frames=6, size=(32, 32), steps=2)) == 6 * 32 * 32 * 3 // 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"out": "x.avi"}, "--out must end in .mp4"),
        ({"frames": 0}, "--frames must be at least 1"),
        ({"size": (15, 24)}, "--size: height and width must be multiples of 2"),
        ({"steps": 5000}, "--steps must be at most 1000"),
        ({"model": "nothing"}, "nothing: no model here"),
    ],
)
def test_wrong_settings_of_a_sample_are_one_line(
    finished: Path, tmp_path: Path, more: dict[str, object], words: str
) -> None:
    arguments = {"model": str(finished), "prompt": "x", "out": str(tmp_path / "x.mp4"), **more}
    with pytest.raises(UserError, match=words):
        sample(**arguments)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.url=nowhere/manifest.json", "nowhere/manifest.json: does not exist"),
        ("data.frames=0", "data.frames: must be"),
        ("data.frame=3", "did you mean 'frames'"),
        ("data.size=[15, 24]", "data.size: height and width must be multiples of 2"),
        ("data.frames=400", "none of its 10 samples has the 799 frames"),
        ("model.heads=3", "is not a multiple of heads"),
        ("sample.steps=2000", "is more than diffusion.steps"),
        ("train.out=s3://bucket/run", "is not a local folder"),
    ],
)
def test_mistakes_in_a_recipe_are_one_line(
    dataset: Path, recipe: Path, tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(UserError, match=words) as error:
        train(str(recipe), [*settings(dataset, tmp_path / "run"), override])
    assert "\n" not in str(error.value)


def test_a_cluster_is_for_workers(recipe: Path) -> None:
    with pytest.raises(UserError, match="say with --ray how many workers"):
        train(str(recipe), address="auto")


def test_every_field_of_the_recipe_is_documented() -> None:
    for section in (Recipe, *(field.annotation for field in Recipe.model_fields.values())):
        for name, field in section.model_fields.items():
            assert field.description, f"{section}.{name}"
    assert Data(url="x").frames == 16 and Diffusion().schedule == "linear"


def test_missing_libraries_are_one_line(
    dataset: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"reelmill train needs extra libraries: pip install 'reelmill\[train\]'"):
        train(str(recipe), settings(dataset, tmp_path / "run"))
    with pytest.raises(UserError, match=r"reelmill sample needs extra libraries"):
        sample(str(tmp_path), "x", str(tmp_path / "x.mp4"))


def test_importing_the_commands_does_not_import_torch() -> None:
    code = "import sys, training.train, training.sample; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
