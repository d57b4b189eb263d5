"""The cascade with tiny random models: what comes out, how it is told, what it does not depend on, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from typer.testing import CliRunner

from curation.cli import app
from curation.errors import UserError
from curation.validate import as_yaml, parse
from training.cascade import writing
from training.cascade.cascade import Cascade, Start, open_cascade
from training.cascade.memory import place, weights
from training.cascade.pictures import as_numbers, read
from training.commands import _each
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.sample import sample

MODEL = {
    "widths": [8, 16],
    "attention": [False, True],
    "layers": 1,
    "heads": 2,
    "groups": 4,
    "text_width": 16,
    "text_layers": 1,
    "text_length": 24,
}
DATA: dict[str, dict[str, Any]] = {
    "base": {"size": [16, 24]},
    "first": {"size": [16, 24], "known": "first"},
    "interpolation": {"view": "interpolation", "size": [16, 16]},
    "vsr": {"view": "vsr", "size": [32, 32]},
}
SIZE = (16, 24)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of base models, one of them given frames, and the other stages as LaVie released them; vsr on latents."""
    top = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(top / "vae")
    for name, data in DATA.items():
        released = {"layout": "released", "norm": "clip"} if name in ("interpolation", "vsr") else {}
        model = {**MODEL, **released, "vae": str(top / "vae") if name == "vsr" else None}
        values = {"data": {"url": "x", **data}, "model": model, "sample": {"steps": 2}}
        recipe = parse(values, Recipe)
        stage = Stage.build(recipe.model, recipe.data.view, known=recipe.data.known != "none")
        for parameter in stage.unet.parameters():  # layers over time begin at zero
            parameter.data += 0.05 * torch.randn_like(parameter)
        stage.save(top / name)
        (top / name / "recipe.yaml").write_text(as_yaml(recipe))
        (top / name / "config.json").write_text(json.dumps({"step": 7}))
    return {name: str(top / name) for name in DATA}


def opened(models: dict[str, str], *views: str, memory: float | None = None, **more: Any) -> Cascade:
    folders = {("base" if view == "first" else view): models[view] for view in views}
    changes = more.pop("changes", {})
    return open_cascade(folders, changes, place=place("cpu", "auto", memory), **more)


def start(frames: int = 16, **more: Any) -> Start:
    return Start(frames, SIZE, Fraction(8), **more)


@pytest.fixture(scope="module")
def made(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video that went the whole way, and those of the stages before."""
    out = tmp_path_factory.mktemp("made") / "deep" / "boat.mp4"
    later = {"interpolation": models["interpolation"], "vsr": models["vsr"]}
    sample(models["base"], "a boat", str(out), seed=3, negative={"vsr": "blur"}, keep=True, device="cpu", **later)
    return out.parent


def test_sixteen_frames_become_61_four_times_as_high_and_wide(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == ["boat.base.mp4", "boat.interpolation.mp4", "boat.mp4"]
    shapes = {path.name: read(path) for path in made.iterdir()}
    assert shapes["boat.base.mp4"][0].shape == (16, 16, 24, 3) and shapes["boat.base.mp4"][1] == 8
    assert shapes["boat.interpolation.mp4"][0].shape == (61, 16, 24, 3)
    video, rate = shapes["boat.mp4"]
    assert video.shape == (61, 64, 96, 3)
    # The last frame is shown at the same time as before.
    assert rate == 32 and 60 / rate == Fraction(15, 8)


def test_a_video_says_how_it_was_made(made: Path) -> None:
    with av.open(str(made / "boat.mp4")) as container:
        told = json.loads(container.metadata["comment"])
    assert (told["prompt"], told["seed"], told["steps"], told["guidance"]) == ("a boat", 3, 2, 7.5)
    assert (told["scheduler"], told["frames"], told["size"], told["fps"]) == ("ddpm", 16, [16, 24], 32.0)
    assert told["interpolation"]["scheduler"] == "ddim" and told["interpolation"]["guidance"] == 4.0
    assert told["vsr"]["negative"] == "blur" and told["vsr"]["noise_level"] == 50 and told["negative"] == ""
    hashes = {told["model"], told["interpolation"]["model"], told["vsr"]["model"]}
    assert len(hashes) == 3 and all(one.startswith("sha256:") for one in hashes) and told["trained_steps"] == 7
    assert writing.settings(made / "boat.base.mp4") == {
        **{key: value for key, value in told.items() if key not in ("interpolation", "vsr")},
        "fps": 8.0,
    }


def test_the_beginning_of_the_way_does_not_depend_on_what_follows(models: dict[str, str], made: Path) -> None:
    whole, alone = opened(models, "base", "interpolation", "vsr", seed=3), opened(models, "base", seed=3)
    first = alone.first(["a boat"], start())[0]
    assert np.array_equal(whole.first(["a boat"], start())[0], first)
    written, seen = (
        video.astype(float) @ (0.2126, 0.7152, 0.0722) for video in (read(made / "boat.base.mp4")[0], first)
    )
    assert np.corrcoef(written.flatten(), seen.flatten())[0, 1] > 0.8  # the rest the encoder lost
    # From a file on, too: a stage takes nothing from the one before but its frames.
    dense = np.concatenate(list(whole.pieces("interpolation", "a boat", first)))
    again = opened(models, "interpolation", seed=3)
    assert np.array_equal(np.concatenate(list(again.pieces("interpolation", "a boat", first))), dense)


def test_a_prompt_gives_the_same_video_alone_and_among_others(models: dict[str, str]) -> None:
    cascade = opened(models, "base", seed=1)
    alone = cascade.first(["b"], start(4))[0]
    together = cascade.first(["a", "b"], start(4))
    assert np.array_equal(alone, cascade.first(["b"], start(4))[0])
    assert np.abs(together[1].astype(int) - alone).max() <= 1  # sums may be rounded otherwise
    assert np.abs(together[0].astype(int) - alone).max() > 50
    assert np.abs(opened(models, "base", seed=2).first(["b"], start(4))[0].astype(int) - alone).max() > 50


def test_a_file_of_prompts_goes_on_where_it_was_stopped(
    models: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.txt").write_text("a red ball\n\n  Ein grüner Würfel \n")

    def run(**more: Any) -> str:
        arguments = {"frames": 2, "guidance": 1, "device": "cpu", "batch": 2, **more}
        sample(models["base"], prompts=str(tmp_path / "prompts.txt"), out=str(tmp_path / "out"), **arguments)
        return capfd.readouterr().err

    names = ["0001-a-red-ball.mp4", "0003-ein-grüner-würfel.mp4"]
    assert run().count("wrote") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    (tmp_path / "out" / names[0]).unlink()
    told = run()
    assert f"{names[1]} is there already" in told and told.count("wrote") == 1 and names[0] in told
    assert run(steps={"base": 3}).count("wrote") == 2
    assert writing.settings(tmp_path / "out" / names[1])["prompt"] == "Ein grüner Würfel"  # type: ignore[index]


def test_an_image_is_a_single_frame_and_can_be_enlarged(models: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    sample(models["base"], "a boat", str(out), vsr=models["vsr"], image=True, device="cpu")
    with Image.open(out) as picture:
        assert picture.size == (96, 64) and json.loads(picture.info["comment"])["frames"] == 1
    assert writing.settings(out)["prompt"] == "a boat"  # type: ignore[index]


def test_a_single_frame_passes_by_attention_over_time(models: dict[str, str]) -> None:
    cascade = opened(models, "base")
    before = cascade.first([""], start(1, image=True))[0]
    for name, parameter in cascade.links["base"].stage.unet.named_parameters():
        if "temp" in name:
            parameter.data += 1
    assert np.array_equal(cascade.first([""], start(1, image=True))[0], before)
    assert not np.array_equal(cascade.first([""], start(1))[0], before)


def test_a_long_video_goes_on_from_its_last_frame(models: dict[str, str]) -> None:
    cascade = opened(models, "first")
    short, long = (cascade.first(["x"], start(4, long=count))[0] for count in (0, 2))
    assert len(short) == 4 and len(long) == 4 + 2 * 3
    assert np.array_equal(long[:4], short)
    given = np.full((1, *SIZE, 3), 200, np.uint8)
    other = cascade.first(["x"], start(4, given=given))[0]
    assert not np.array_equal(other, short)
    with pytest.raises(UserError, match="--long: this base model cannot go on from a frame"):
        opened(models, "base").check(start(4, long=1))
    with pytest.raises(UserError, match="--first: this base model cannot"):
        opened(models, "base").check(start(4, given=given))


def test_more_frames_than_a_clip_go_in_windows(models: dict[str, str]) -> None:
    keys = np.random.default_rng(0).integers(0, 255, (18, *SIZE, 3), np.uint8)
    dense = list(opened(models, "interpolation").pieces("interpolation", "", keys))
    assert sum(map(len, dense)) == 4 * 17 + 1
    windows = opened(models, "base", changes={"base": {"overlap": 4}})
    assert np.array_equal(windows.first(["a"], start(16))[0], opened(models, "base").first(["a"], start(16))[0])
    assert windows.first(["a"], start(30))[0].shape[0] == 30
    large = list(opened(models, "vsr").pieces("vsr", "", keys))
    assert sum(map(len, large)) == 18 and large[0].shape[1:] == (64, 96, 3)


def test_little_memory_means_tiles_and_no_memory_one_line(models: dict[str, str]) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), np.uint8)
    roomy = opened(models, "vsr")
    stage = roomy.links["vsr"].stage
    assert roomy.place.room(stage, 3, (32, 48)).tile is None and not stage.space.vae.use_tiling
    tight = opened(models, "vsr", memory=(weights(stage) + 1.2e6) / 1e9, offload="always")
    stage = tight.links["vsr"].stage
    room = tight.place.room(stage, 3, (32, 48))
    assert not room.together and room.tile == 20 and room.tile_overlap == 5 and stage.space.vae.use_tiling
    tiled = np.concatenate(list(tight.pieces("vsr", "", frames)))
    assert tiled.shape == (3, 128, 192, 3)
    with pytest.raises(UserError, match="too little memory: the smallest tile needs about"):
        opened(models, "vsr", memory=1e-6).place.room(stage, 3, (32, 48))


def test_guidance_in_two_calls_and_models_that_come_and_go_change_nothing(models: dict[str, str]) -> None:
    roomy = opened(models, "base")
    whole = roomy.first(["a"], start(4))[0]
    tight = opened(models, "base", memory=(weights(roomy.links["base"].stage) + 2e6) / 1e9, offload="always")
    assert not tight.place.room(tight.links["base"].stage, 4, SIZE).together
    assert np.abs(tight.first(["a"], start(4))[0].astype(int) - whole).max() <= 1


def test_half_precision_runs(models: dict[str, str]) -> None:
    folders = {view: models[view] for view in ("base", "interpolation", "vsr")}
    cascade = open_cascade(folders, {}, place=place("cpu", "bfloat16", None))
    clip = cascade.first(["a"], start(4))[0]
    clip = np.concatenate(list(cascade.pieces("interpolation", "a", clip)))
    assert np.concatenate(list(cascade.pieces("vsr", "a", clip))).shape == (13, 64, 96, 3)


def test_the_negative_prompt_counts_where_there_is_guidance(models: dict[str, str]) -> None:
    def clip(guidance: float, negative: str) -> np.ndarray:
        changes = {"base": {"guidance": guidance, "negative": negative}}
        return opened(models, "base", changes=changes).first(["a"], start(2))[0]

    assert np.array_equal(clip(1, "b"), clip(1, ""))
    assert not np.array_equal(clip(3, "b"), clip(3, ""))
    assert np.abs(clip(3, "a").astype(int) - clip(1, "")).max() <= 1


def test_a_file_can_be_the_beginning(models: dict[str, str], made: Path, tmp_path: Path) -> None:
    out = tmp_path / "large.mp4"
    sample(out=str(out), video=str(made / "boat.base.mp4"), vsr=models["vsr"], frames=9, size=(16, 16), device="cpu")
    video, rate = read(out)
    assert video.shape == (9, 64, 64, 3) and rate == 8
    assert writing.settings(out)["video"].startswith("boat.base.mp4 sha256:")  # type: ignore[index]
    picture = Image.fromarray(np.full((40, 30, 3), 90, np.uint8))
    picture.save(tmp_path / "first.png")
    sample(models["first"], "x", str(out), first=str(tmp_path / "first.png"), frames=2, device="cpu")
    assert read(out)[0].shape == (2, 16, 24, 3)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        yield np.zeros((2, 16, 16, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writing.write(tmp_path / "a.mp4", pieces(), fps=Fraction(8), settings={})
    assert not list(tmp_path.iterdir())


def test_colours_of_a_file_are_those_that_were_made(tmp_path: Path) -> None:
    frames = np.empty((3, 64, 64, 3), np.uint8)
    frames[:] = (200, 40, 30)
    writing.write(tmp_path / "a.mp4", [frames], fps=Fraction(30000, 1001), settings={"prompt": "ä"})
    found, rate = read(tmp_path / "a.mp4")
    assert rate == Fraction(30000, 1001) and np.abs(found.astype(int) - frames).max() < 8
    torch.testing.assert_close(
        as_numbers(frames, torch.device("cpu"))[:, 0, 0, 0], torch.tensor([0.5686, -0.6863, -0.7647]), atol=1e-3, rtol=0
    )
    assert writing.settings(tmp_path / "a.mp4") == {"prompt": "ä"} and writing.settings(tmp_path / "b.mp4") is None


def test_the_command_makes_a_file_and_says_what_it_cannot_do(models: dict[str, str], tmp_path: Path) -> None:
    words = ["sample", "--model", models["base"], "--vsr", models["vsr"], "--prompt", "x", "--device", "cpu"]
    more = "--frames 2 --steps 2 --steps vsr=1 --guidance 1 --size 16x16 --fps 12.5"
    words += more.split()
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "a.mp4")])
    assert result.exit_code == 0, result.output
    told = writing.settings(tmp_path / "a.mp4")
    assert told and (told["steps"], told["vsr"]["steps"], told["size"], told["fps"]) == (2, 1, [16, 16], 12.5)
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "b.mp4"), "--steps", "vrs=1"])
    assert isinstance(result.exception, UserError) and "no stage 'vrs' is asked for" in str(result.exception)


def test_settings_are_for_every_stage_or_for_one() -> None:
    assert _each("steps", ["30", "vsr=20"], int) == {"": 30, "vsr": 20}
    assert _each("negative", ["a=b, c", "vsr=blur, worst quality"], str) == {"": "a=b, c", "vsr": "blur, worst quality"}
    assert _each("steps", None, int) is None
    with pytest.raises(UserError, match="--guidance vsr=x: expected a number, or STAGE=NUMBER"):
        _each("guidance", ["vsr=x"], float)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"model": None}, "give a base model with --model, or a file to begin with in --video"),
        ({"prompt": None}, "give a prompt with --prompt, or a file of them with --prompts"),
        ({"prompts": "p.txt", "prompt": None}, "--prompts p.txt: cannot be read"),
        ({"model": None, "video": "nothing.mp4", "vsr": "vsr"}, "--video nothing.mp4: cannot be read"),
        ({"model": None, "video": "nothing.mp4"}, "--video needs --interpolation or --vsr"),
        ({"image": True}, "--out must end in .png"),
        ({"image": True, "long": 2}, "--image goes without --long"),
        ({"vsr": "base"}, "--vsr: .* holds a model for base; give it as --model"),
        ({"vsr": "vsr", "noise_level": 400}, "--noise-level must be at most 350"),
        ({"vsr": "vsr", "size": (16, 23)}, "--size: height and width must be multiples of 2"),
        ({"noise_level": 60}, "--noise-level: no stage 'vsr' is asked for"),
        ({"scheduler": "fast"}, "--scheduler must be 'ddpm', 'ddim', .*, not fast"),
        ({"steps": {"vsr": 3}}, "--steps: no stage 'vsr' is asked for; there is base"),
        ({"interpolation": "interpolation", "frames": 1}, "--interpolation needs two frames"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"precision": "int8"}, "--precision must be auto, float32"),
        ({"offload": "maybe"}, "--offload must be auto, always or never"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    models: dict[str, str], tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    arguments = {"model": "base", "prompt": "x", "out": str(tmp_path / "x.mp4"), "device": "cpu", **more}
    for name in ("model", "interpolation", "vsr"):
        if arguments.get(name) in models:
            arguments[name] = models[arguments[name]]
    with pytest.raises(UserError, match=words) as error:
        sample(**arguments)
    assert "\n" not in str(error.value) and not (tmp_path / "x.mp4").exists()
