"""Public weights come in and go out: every key accounted for, nothing run, nothing half-written."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel
from typer.testing import CliRunner

from curation.cli import app
from curation.errors import UserError
from curation.validate import load
from tests.training import layouts
from training import weights
from training.convert import convert
from training.models.lavie import released
from training.models.lavie.form import Form
from training.models.lavie.stage import Stage
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe import Model, Recipe
from training.recipe_model import View

PUBLIC = {"base": layouts.base, "interpolation": layouts.interpolation, "vsr": layouts.vsr}


@functools.cache
def _numbers() -> dict[str, Tensor]:
    return layouts.filled(layouts.base())


@pytest.fixture
def base() -> dict[str, Tensor]:
    """What is in a lavie_base.pt, with tiny tensors; for the test to change."""
    return dict(_numbers())


def written(tensors: dict[str, Tensor], path: Path) -> Path:
    """A file as the authors release them, or the same as safetensors."""
    if path.suffix == ".safetensors":
        save_file({name: value.clone() for name, value in tensors.items()}, path)
    else:
        torch.save({"ema": tensors}, path)
    return path


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion folder with tiny parts, as the hub lays them out."""
    folder = tmp_path_factory.mktemp("sd") / "stable-diffusion"
    torch.manual_seed(0)
    model = Model(widths=(64, 128), attention=(True, False), heads=2)
    image_unet(model, channels=4, text_width=48).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(folder / "vae")  # fmt: skip
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "ab", "<|startoftext|>", "<|endoftext|>"]
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=48, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=12, eos_token_id=54, bos_token_id=53,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(vocabulary)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\na b\n")
    marks = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 12, **marks}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "scheduler").mkdir()
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(noise))
    return folder


@pytest.mark.parametrize(
    ("view", "ending", "dtype"),
    [
        ("base", ".pt", torch.float32),
        ("interpolation", ".safetensors", torch.float16),
        ("vsr", ".pt", torch.float32),
    ],
)
@torch.no_grad()
def test_a_released_checkpoint_loads_runs_and_comes_back_unchanged(
    tmp_path: Path, pipeline: Path, view: str, ending: str, dtype: torch.dtype
) -> None:
    given = layouts.filled(PUBLIC[view](), dtype)
    source = written(given, tmp_path / f"lavie_{view}{ending}")
    told = convert(
        str(source), str(tmp_path / "ours"), text=str(pipeline), vae=str(pipeline / "vae"), overrides=["heads=2"]
    )
    frequencies = [name for name in given if name.endswith("freqs")]
    assert f"{len(given) - len(frequencies)} keys, {len(frequencies)} times" in told[0]

    stage = Stage.load(tmp_path / "ours").float().eval()
    channels = stage.unet.config["in_channels"]
    x, text = torch.randn(1, channels, 4, 8, 8), stage.embed([["a cab"]])
    out = stage(x, torch.tensor([500]), text, frames=4, noise_level=torch.tensor([50]))
    assert stage.view == view and out.shape == (1, 4, 4, 8, 8) and bool(out.isfinite().all())
    recipe = load(tmp_path / "ours" / "recipe.yaml", Recipe)
    assert recipe.data.view == view and recipe.model.layout == "released" and recipe.diffusion.schedule == "linear"
    assert recipe.diffusion.prediction == ("v_prediction" if view == "vsr" else "epsilon")

    back = tmp_path / f"back{ending}"
    convert(str(tmp_path / "ours"), str(back), to=f"lavie-{view}")
    again = load_file(back) if ending == ".safetensors" else torch.load(back, weights_only=True)["ema"]
    assert again.keys() == given.keys()
    for name, value in given.items():
        assert again[name].dtype == value.dtype and torch.equal(again[name], value), name


@pytest.mark.parametrize(
    ("view", "size", "millions"),
    [
        ("base", layouts.PUBLISHED_BASE, 909.12),
        ("interpolation", layouts.PUBLISHED_INTERPOLATION, 909.13),
        ("vsr", layouts.PUBLISHED_VSR, 691.04),  # in fp32 2.76 GB, as the file is; 637.49 without resblock_temporal
    ],
)
def test_our_networks_at_the_published_size_have_the_public_keys(
    view: View, size: layouts.Size, millions: float
) -> None:
    public = PUBLIC[view](size)
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in public.items()}
        model = Model(**released.sizes(tensors, view), layout="released")
        unet = VideoUNet(image_unet(model, channels=4, text_width=model.text_width, view=view), Form.of(model, view))
        ours = released.with_frequencies(unet.state_dict())
    assert released.view_of(tensors) == view
    assert {name: tuple(value.shape) for name, value in ours.items()} == public
    assert round(sum(value.numel() for value in unet.parameters()) / 1e6, 2) == millions


def _without(tensors: dict[str, Tensor]) -> None:
    del tensors["conv_out.bias"]


def _with(tensors: dict[str, Tensor]) -> None:
    tensors["a.stranger"] = torch.zeros(2)


def _wider(tensors: dict[str, Tensor]) -> None:
    tensors["conv_norm_out.weight"] = torch.zeros(3)


def _infinite(tensors: dict[str, Tensor]) -> None:
    tensors["conv_out.bias"] = torch.tensor([0.0, float("nan"), 0.0, 0.0])


def _whole_numbers(tensors: dict[str, Tensor]) -> None:
    tensors["conv_out.bias"] = torch.zeros(4, dtype=torch.int64)


def _faster(tensors: dict[str, Tensor]) -> None:
    name = next(name for name in tensors if name.endswith("freqs"))
    tensors[name] = tensors[name] * 1.1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without, r"1 missing \(conv_out.bias\)$"),
        (_with, r"1 left over \(a.stranger\)$"),
        (_wider, r"1 of another shape \(conv_norm_out.weight 3 for 64\)$"),
        (_infinite, r"1 tensors hold numbers that are not finite \(conv_out.bias\)"),
        (_whole_numbers, r"1 tensors hold other than floating numbers \(conv_out.bias\)"),
        (_faster, r"1 rotary frequencies are not 10000\^\(-2i/32\) \(down_blocks"),
    ],
)
def test_a_checkpoint_with_a_fault_is_one_line_and_leaves_nothing(
    tmp_path: Path, base: dict[str, Tensor], change: Callable[[dict[str, Tensor]], None], told: str
) -> None:
    change(base)
    source = written(base, tmp_path / "lavie_base.pt")
    with pytest.raises(UserError, match=told) as error:
        convert(str(source), str(tmp_path / "out"))
    assert "\n" not in str(error.value) and str(source) in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


def test_of_many_keys_the_first_ten_are_named_and_all_are_counted() -> None:
    wanted = {f"k{number:02d}": torch.Size([1]) for number in range(31)}
    with pytest.raises(UserError, match=r"31 missing \(k00, k01, .* k09, …\); 1 left over \(x\)") as error:
        weights.account({"x": torch.zeros(1)}, wanted, "file")
    assert "k10" not in str(error.value)


class Code:
    """A pickle that runs a command when it is opened."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    mark, source = tmp_path / "ran", tmp_path / "lavie_base.pt"
    torch.save({"ema": {"conv_in.weight": Code(mark)}}, source, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"wants to run .* when it is opened") as error:
        convert(str(source), str(tmp_path / "out"))
    assert "\n" not in str(error.value)
    assert not mark.exists() and list(tmp_path.iterdir()) == [source]


def test_a_file_that_would_grow_in_memory_is_refused(tmp_path: Path) -> None:
    source, packed = tmp_path / "small.pt", tmp_path / "packed.pt"
    torch.save({"conv_in.weight": torch.zeros(1).expand(1 << 40)}, source)
    with pytest.raises(UserError, match="'conv_in.weight' has more numbers than the file holds"):
        weights.read(source)
    torch.save({"conv_in.weight": torch.zeros(1 << 16)}, source)
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for entry in given.infolist():
            out.writestr(entry.filename, given.read(entry))
    with pytest.raises(UserError, match="is compressed, which torch never does"):
        weights.read(packed)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_one_line(tmp_path: Path, ending: str, part: float) -> None:
    source = tmp_path / f"lavie_base{ending}"
    weights.write({"conv_in.weight": torch.zeros(64, 4, 3, 3)}, source)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(UserError, match="damaged|its end is missing") as error:
        convert(str(source), str(tmp_path / "out"))
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == [source]


def test_stable_diffusion_becomes_a_base_model_and_comes_back_unchanged(tmp_path: Path, pipeline: Path) -> None:
    told = convert(str(pipeline), str(tmp_path / "ours"), overrides=["norm=clip"])
    given = load_file(pipeline / "unet" / "diffusion_pytorch_model.safetensors")
    ours = load_file(tmp_path / "ours" / "unet" / "diffusion_pytorch_model.safetensors")
    new = ours.keys() - given.keys()
    assert new and all("_temp" in name for name in new) and f"{len(new)} keys over time are new" in told[1]
    stage = Stage.load(tmp_path / "ours")
    assert (stage.unet.form.norm, stage.view, stage.embed([["a", ""]]).shape) == ("clip", "base", (1, 2, 12, 48))
    assert load(tmp_path / "ours" / "recipe.yaml", Recipe).diffusion.schedule == "scaled_linear"

    convert(str(tmp_path / "ours"), str(tmp_path / "back"), to="diffusers")
    again = UNet2DConditionModel.from_pretrained(tmp_path / "back" / "unet", use_safetensors=True).state_dict()
    assert again.keys() == given.keys() and all(torch.equal(again[name], value) for name, value in given.items())
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        assert {path.name for path in (pipeline / part).iterdir()} <= {
            path.name for path in (tmp_path / "back" / part).iterdir()
        }


def test_pickled_parts_and_halves_of_a_pipeline_are_taken_too(tmp_path: Path, pipeline: Path) -> None:
    folder = tmp_path / "sd"
    shutil.copytree(pipeline, folder)
    unet, text, vae = (folder / part for part in ("unet", "text_encoder", "vae"))
    given = load_file(unet / "diffusion_pytorch_model.safetensors")
    torch.save(given, unet / "diffusion_pytorch_model.bin")
    torch.save(load_file(text / "model.safetensors"), text / "pytorch_model.bin")
    for path in (unet / "diffusion_pytorch_model.safetensors", text / "model.safetensors"):
        path.unlink()
    os.rename(vae / "diffusion_pytorch_model.safetensors", vae / "diffusion_pytorch_model.fp16.safetensors")
    convert(str(folder), str(tmp_path / "ours"))
    stage = Stage.load(tmp_path / "ours")
    assert all(torch.equal(stage.unet.state_dict()[name], value) for name, value in given.items())
    assert stage.embed([["a cab"]]).shape == (1, 1, 12, 48) and stage.factor == 4


def test_the_pipeline_that_is_written_is_one_of_diffusers(tmp_path: Path, pipeline: Path) -> None:
    from diffusers import StableDiffusionPipeline

    convert(str(pipeline), str(tmp_path / "out"), to="diffusers")
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "out", local_files_only=True, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    assert pipe.scheduler.config.beta_schedule == "scaled_linear"
    picture = pipe("a cab", height=16, width=16, num_inference_steps=2, output_type="np").images
    assert picture.shape == (1, 16, 16, 3)


def test_a_2d_model_with_a_key_too_few_is_not_inflated(tmp_path: Path, pipeline: Path) -> None:
    unet = tmp_path / "unet"
    unet.mkdir()
    (unet / "config.json").write_bytes((pipeline / "unet" / "config.json").read_bytes())
    given = load_file(pipeline / "unet" / "diffusion_pytorch_model.safetensors")
    del given["mid_block.resnets.0.conv1.weight"]
    save_file(given, unet / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match=r"1 missing \(mid_block.resnets.0.conv1.weight\)"):
        convert(str(unet), str(tmp_path / "out"))


@pytest.mark.parametrize("layout", ["paper", "released"])
def test_a_base_model_begins_an_interpolation_model(tmp_path: Path, base: dict[str, Tensor], layout: str) -> None:
    given = base
    source = written(given, tmp_path / "lavie_base.pt")
    told = convert(str(source), str(tmp_path / "ours"), view="interpolation", overrides=[f"layout={layout}"])
    ours = load_file(tmp_path / "ours" / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(ours["conv_in.weight"][:, :4], given["conv_in.weight"])
    assert ours["conv_in.weight"].shape[1] == 8 and not ours["conv_in.weight"][:, 4:].any()
    left_out = {name for name in given if name.endswith("freqs")}
    if layout == "released":
        tables = [name for name in given if "time_rel_pos_bias" in name]
        left_out |= set(tables)
        assert f"; {len(tables)} keys dropped (" in told[1] and tables[0] in told[1]
    assert ours.keys() == given.keys() - left_out
    assert all(torch.equal(value, given[name]) for name, value in ours.items() if name != "conv_in.weight")
    recipe = load(tmp_path / "ours" / "recipe.yaml", Recipe)
    assert recipe.data.view == "interpolation" and recipe.data.frames == 61
    out = str(tmp_path / "out.pt")
    if layout == "paper":  # has positions that the released one has not
        with pytest.raises(UserError, match=r"layout released; this model: paper\): .*: 6 left over \(down_blocks"):
            convert(str(tmp_path / "ours"), out, to="lavie-interpolation")
    else:
        assert "346 keys" in convert(str(tmp_path / "ours"), out, to="lavie-interpolation")[1]


@pytest.mark.parametrize(("to", "out"), [("lavie-base", "out.pt"), ("diffusers", "out")])
def test_a_model_that_is_given_frames_is_ours_alone(tmp_path: Path, to: str, out: str) -> None:
    model = Model(widths=(32, 32), attention=(True, False), layers=1, heads=2)
    with torch.device("meta"):
        unet = VideoUNet(image_unet(model, channels=4, text_width=16), Form(known=True))
    unet.to_empty(device="cpu").load_state_dict({name: torch.zeros_like(v) for name, v in unet.state_dict().items()})
    (tmp_path / "unet").mkdir()
    unet.save(tmp_path / "unet")
    with pytest.raises(UserError, match=f"--to {to}: this model is given frames"):
        convert(str(tmp_path), str(tmp_path / out), to=to)
    config = json.loads((tmp_path / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "config.json").write_text(json.dumps({**config, "in_channels": 5}))
    with pytest.raises(UserError, match="cannot be a base model: its first convolution takes 5 channels, not 9"):
        convert(str(tmp_path), str(tmp_path / out), to=to)


def test_the_command_says_what_it_did(tmp_path: Path, base: dict[str, Tensor]) -> None:
    source = written(base, tmp_path / "lavie_base.pt")
    told = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "ours"), "--set", "norm=frame"])
    assert told.exit_code == 0, told.output
    assert re.match(r".*lavie_base.pt: LaVie's base model, 352 keys, .* sha256 [0-9a-f]{64}\nwrote ", told.output)
    again = convert(str(tmp_path / "ours"), str(tmp_path / "back.pt"), to="lavie-base")
    assert again[-1] == (
        "LaVie's code computes something else with it: it has layout released, norms by clip and positions "
        "rotary_bias, this model was trained with layout released, norms by frame and positions rotary_bias"
    )


def test_a_released_layout_has_no_word_for_other_positions(tmp_path: Path) -> None:
    """They are without parameters, so that the keys alone do not tell."""
    model = Model(
        widths=(32, 32), attention=(True, False), layers=1, heads=2, groups=8, text_width=16, text_layers=1,
        layout="released", norm="clip", positions="rotary",
    )  # fmt: skip
    Stage.build(model, "interpolation").save(tmp_path)
    told = convert(str(tmp_path), str(tmp_path / "out.pt"), to="lavie-interpolation")
    assert "norms by clip and positions none, this model was trained with" in told[-1]
    assert told[-1].endswith("and positions rotary")


def test_parts_that_do_not_fit_leave_nothing_behind(tmp_path: Path, pipeline: Path) -> None:
    given = layouts.filled(layouts.base(layouts.Size(text=32)))
    source = written(given, tmp_path / "lavie_base.pt")
    (tmp_path / ".out.part").mkdir()  # of a conversion that was killed
    with pytest.raises(UserError, match="--text: .* gives text of width 48, the network takes 32"):
        convert(str(source), str(tmp_path / "out"), text=str(pipeline))
    assert list(tmp_path.iterdir()) == [source]


def test_without_text_and_vae_the_lines_say_what_to_do(tmp_path: Path, base: dict[str, Tensor]) -> None:
    source = written(base, tmp_path / "lavie_base.pt")
    (tmp_path / "ours").mkdir()  # an empty folder is no hindrance
    told = convert(str(source), str(tmp_path / "ours"))
    assert told[-1].startswith("without its text and vae part: convert with --text and --vae, or set model.text")
    with pytest.raises(UserError, match="there is something already"):
        convert(str(source), str(tmp_path / "ours"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"to": "lavie-vsr", "out": "out.pt"}, "--to lavie-vsr: this is a base model"),
        ({"to": "lavie-base", "out": "out"}, r"must end in \.pt or \.safetensors"),
        ({"to": "lavie"}, "--to must be one of ours, lavie-base"),
        ({"view": "long"}, "--view must be one of base"),
        ({"view": "vsr"}, "--view vsr: a base model cannot become one"),
        ({"to": "diffusers"}, "a pipeline needs CLIP's text model and a VAE"),
        ({"overrides": ["heads=x"]}, "heads"),
        ({"text": "/nowhere"}, "--text: /nowhere has no text model"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    tmp_path: Path, base: dict[str, Tensor], options: dict[str, Any], told: str
) -> None:
    source = written(base, tmp_path / "lavie_base.pt")
    more = {name: value for name, value in options.items() if name != "out"}
    with pytest.raises(UserError, match=told) as error:
        convert(str(source), str(tmp_path / options.get("out", "out")), **more)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == [source]
