"""What weights can come from: a released file of LaVie, a folder of diffusers, a model folder of ours.

Whatever it is, it becomes a `VideoUNet` whose numbers stay in the file until they are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from curation.errors import UserError
from curation.store import explain
from curation.validate import load, parse, resolved
from training import weights
from training.models.lavie import released
from training.models.lavie.form import Form
from training.models.lavie.start import first_channels
from training.models.lavie.unet import CONFIG, VideoUNet, image_unet
from training.recipe import Recipe
from training.recipe_model import Diffusion, Model, View

VIEWS: dict[str, View] = {"base": "base", "interpolation": "interpolation", "vsr": "vsr"}
_NAME = "diffusion_pytorch_model"
_LARGEST_CONFIG = 1 << 20


@dataclass
class Opened:
    """Weights as one of our networks."""

    unet: VideoUNet
    model: Model
    """Settings that describe the network."""
    diffusion: Diffusion
    """The noise that it was trained with."""
    home: Path | None
    """Folder in which its text model and VAE may be."""
    recipe: Recipe | None = None
    """With which it was trained, where that is known."""
    told: list[str] = field(default_factory=list)
    """What was read, for people."""

    @property
    def view(self) -> View:
        """What it is for."""
        return self.unet.form.view


def open_source(path: Path, *, view: str | None, overrides: Sequence[str]) -> Opened:
    """Open weights, look at all keys and numbers, and make another model of them where `view` says so.

    Raises:
        UserError: they cannot be used; see `weights`.
    """
    if view is not None and view not in VIEWS:
        raise UserError(f"--view must be one of {', '.join(VIEWS)}, not {view}")
    if path.is_file():
        opened = _lavie(path, overrides)
    elif not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    else:
        folder = next((found for found in (path / "model" / "unet", path / "unet", path) if _config(found)), None)
        if folder is None:
            raise UserError(f"{path}: no weights here; give a file, a folder of diffusers or a trained model")
        config = _config(folder)
        if "video" in config:
            opened = _ours(folder, config, overrides)
        else:
            opened = _image(folder, config, VIEWS[view] if view else None, overrides)
    if view is not None and view != opened.view:
        _become(opened, VIEWS[view])
    return opened


def _lavie(path: Path, overrides: Sequence[str]) -> Opened:
    tensors = weights.read(path)
    view = released.view_of(tensors)
    if view is None:
        raise UserError(f"{path}: none of LaVie's models: no attention over time; give a 2D model by its folder")
    tensors, repeated = released.without_frequencies(tensors, str(path))
    known = {"layout": "released", "norm": "clip", **released.sizes(tensors, str(path))}
    model = parse(known, Model, overrides, name=str(path))
    form = Form.of(model, view)
    channels = int(tensors["conv_out.weight"].shape[0]) if "conv_out.weight" in tensors else 4
    with torch.device("meta"):
        flat = image_unet(model, channels=channels, text_width=model.text_width, view=view)
        unet = inflated(flat, form, str(path))
    _fill(unet, tensors, str(path))
    read = f"{len(tensors)} keys, {repeated} times the rotary frequencies"
    told = f"{path}: LaVie's {view} model, {read}, {_summary(tensors)}"
    return Opened(unet, model, _published(view), None, told=[told])


def _ours(folder: Path, config: dict[str, Any], overrides: Sequence[str]) -> Opened:
    video = config.pop("video")
    form = parse(video if isinstance(video, dict) else {"video": video}, Form, name=f"{folder / CONFIG}: video")
    tensors = _weights(folder)
    with torch.device("meta"):
        unet = inflated(_flat(config, folder), form, str(folder))
    _fill(unet, tensors, str(folder))
    home = folder.parent
    recipe = load(home / "recipe.yaml", Recipe) if (home / "recipe.yaml").is_file() else None
    settings = resolved(recipe.model) if recipe else {**_settings(config), "layout": form.layout, "norm": form.norm}
    model = parse(settings, Model, overrides, name=str(home))
    diffusion = recipe.diffusion if recipe else _published(form.view)
    told = f"{home}: our {form.view} model, {len(tensors)} keys, {_summary(tensors)}"
    return Opened(unet, model, diffusion, home, recipe, [told])


def _image(folder: Path, config: dict[str, Any], view: View | None, overrides: Sequence[str]) -> Opened:
    tensors = _weights(folder)
    with torch.device("meta"):
        flat = _flat(config, folder)
    weights.account(tensors, {name: value.shape for name, value in flat.state_dict().items()}, str(folder))
    weights.check_numbers(tensors, str(folder))
    flat.load_state_dict(tensors, assign=True)
    view = view or ("vsr" if config.get("num_class_embeds") else "base")
    model = parse(_settings(config), Model, overrides, name=str(folder / CONFIG))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same weights every time
        unet = inflated(flat, Form.of(model, view), str(folder))
    new = {name: value for name, value in unet.named_parameters() if name not in tensors}
    assert all("_temp" in name for name in new), "a key without time is new"
    for value in new.values():
        value.data = value.data.to(flat.dtype)
    home = folder.parent if folder.name == "unet" else None
    told = f"{folder}: a 2D model, {len(tensors)} keys, {_summary(tensors)}"
    added = f"{len(new)} keys over time are new, {_millions(new)}; they add nothing until they are trained"
    return Opened(unet, model, _schedule(home, view), home, told=[told, added])


def _become(opened: Opened, view: View) -> None:
    """A base model to the beginning of an interpolation model (LaVie §4.3)."""
    if (opened.view, view) != ("base", "interpolation"):
        raise UserError(f"--view {view}: a {opened.view} model cannot become one; only base becomes interpolation")
    before = opened.unet
    form = Form.of(opened.model, view)
    config = {**before.config, "in_channels": before.channels + form.condition_channels(before.channels)}
    with torch.device("meta"):
        unet = inflated(_flat(config, Path()), form, f"--view {view}")
    wanted = unet.state_dict()
    given: dict[str, Tensor] = dict(before.state_dict())
    given["conv_in.weight"] = first_channels(
        given["conv_in.weight"], torch.zeros(wanted["conv_in.weight"].shape, dtype=given["conv_in.weight"].dtype)
    )
    dropped = [name for name in given if name not in wanted]
    missing = [name for name in wanted if name not in given]
    if missing:
        raise UserError(f"the base model lacks {len(missing)} keys ({weights.listed(missing)}); set other positions")
    unet.load_state_dict({name: given[name] for name in wanted}, assign=True)
    opened.unet = unet
    told = f"as interpolation: its first convolution takes {config['in_channels']} channels, the new ones with zeros"
    opened.told.append(told + (f"; {len(dropped)} keys dropped ({weights.listed(dropped)})" if dropped else ""))


def inflated(flat: UNet2DConditionModel, form: Form, source: str) -> VideoUNet:
    """A 2D network as one of ours.

    Raises:
        UserError: it cannot become one.
    """
    try:
        return VideoUNet(flat, form)
    except Exception as error:  # whatever a stranger's configuration leads to
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source}: cannot be a {form.view} model: {reason}") from error


def _fill(unet: VideoUNet, tensors: dict[str, Tensor], source: str) -> None:
    weights.account(tensors, {name: value.shape for name, value in unet.state_dict().items()}, source)
    weights.check_numbers(tensors, source)
    unet.load_state_dict(tensors, assign=True)


def _weights(folder: Path) -> dict[str, Tensor]:
    return weights.read(weights.find(folder, _NAME))


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of a network in a folder; empty where there is none."""
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise UserError(f"{path}: more than a megabyte is no configuration")
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {explain(error) if isinstance(error, OSError) else error}") from error
    return config if isinstance(config, dict) and "block_out_channels" in config and "in_channels" in config else {}


def _flat(config: dict[str, Any], folder: Path) -> UNet2DConditionModel:
    try:
        return UNet2DConditionModel.from_config({key: value for key, value in config.items() if key[0] != "_"})
    except Exception as error:  # whatever a stranger's configuration leads to
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / CONFIG}: describes no UNet2DConditionModel: {reason}") from error


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a 2D UNet as settings of `Model`."""
    return {
        "widths": config["block_out_channels"],
        "attention": ["CrossAttn" in str(kind) for kind in config.get("down_block_types", [])],
        "layers": config.get("layers_per_block", 2),
        "heads": config.get("attention_head_dim", 8),  # diffusers' name for the number of heads
        "groups": config.get("norm_num_groups", 32),
        "text_width": config.get("cross_attention_dim", 768),
    }


def _published(view: View) -> Diffusion:
    """The noise that LaVie's released models were trained with (its inference configurations)."""
    return Diffusion(prediction="v_prediction" if view == "vsr" else "epsilon")


def _schedule(home: Path | None, view: View) -> Diffusion:
    """The noise schedule of a pipeline; that of LaVie, to which it is to be trained, where there is none."""
    path = home / "scheduler" / "scheduler_config.json" if home else None
    if path is None or not path.is_file() or path.stat().st_size > _LARGEST_CONFIG:
        return _published(view)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    names = {
        "beta_start": "beta_start",
        "beta_end": "beta_end",
        "beta_schedule": "schedule",
        "num_train_timesteps": "steps",
        "prediction_type": "prediction",
    }
    return parse({ours: found[theirs] for theirs, ours in names.items() if theirs in found}, Diffusion, name=str(path))


def _summary(tensors: dict[str, Tensor]) -> str:
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in tensors.values()})
    return f"{_millions(tensors)}, {' and '.join(kinds)}, sha256 {weights.fingerprint(tensors)}"


def _millions(tensors: dict[str, Any]) -> str:
    return f"{sum(value.numel() for value in tensors.values()) / 1e6:.2f} M parameters"
