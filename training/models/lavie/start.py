"""Where training starts from: random weights, a 2D model of diffusers, or a trained model of our own format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from curation.errors import UserError
from training.models.lavie.form import Form
from training.models.lavie.unet import WEIGHTS, VideoUNet, image_unet, stored
from training.recipe_model import Model, View


@contextlib.contextmanager
def telling(key: str, folder: str | Path) -> Iterator[None]:
    """Whatever a library throws at a folder of weights, as one line that names the key."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}: {folder} has no weights that can be used: {reason}") from error


def start(model: Model, view: View, *, known: bool = False, channels: int, text_width: int) -> tuple[VideoUNet, str]:
    """The network before any training, and what was taken from where, in a line.

    Args:
        view: what it is for.
        known: whether a base model is given frames.
        channels: of the pictures' latents.
        text_width: of the text embedding.

    Raises:
        UserError: a folder has no weights that can be used.
    """
    if model.init is not None:
        with telling("model.init", model.init):
            config, before = stored(Path(model.init) / "unet")
            return _trained(Path(model.init) / "unet", config, before, Form.of(model, view, known=known, before=before))
    form = Form.of(model, view, known=known)
    if model.unet is not None:
        with telling("model.unet", model.unet):
            flat = UNet2DConditionModel.from_pretrained(model.unet, local_files_only=True, use_safetensors=True)
            taken = set(flat.state_dict())
            unet = VideoUNet(flat, form)
        new = len(unet.state_dict().keys() - taken)
        return unet, f"starting from the 2D model in {model.unet}; {new} tensors over time are new"
    flat = image_unet(model, channels=channels, text_width=text_width, view=view)
    return VideoUNet(flat, form), "starting from random weights"


def _trained(folder: Path, config: dict[str, Any], before: Form, form: Form) -> tuple[VideoUNet, str]:
    """A network of a form with the weights of one of another, by name."""
    channels = int(config["out_channels"])
    config["in_channels"] = channels + form.condition_channels(channels)
    unet = VideoUNet(UNet2DConditionModel.from_config(config), form)
    given, own = load_file(folder / WEIGHTS), unet.state_dict()
    for name in given.keys() & own.keys():
        given[name] = first_channels(given[name], own[name]) if name == "conv_in.weight" else given[name]
    missing, left = unet.load_state_dict(given, strict=False)
    told = f"starting from {folder.parent}: {len(own) - len(missing)} tensors taken"
    told += f", {len(missing)} new ({_named(missing)})" if missing else ""
    told += f", {len(left)} of it have no place here ({_named(left)})" if left else ""
    changed = [
        f"{name} {getattr(form, name)} where it had {getattr(before, name)}"
        for name in ("norm", "layout", "positions")
        if before.view == form.view and getattr(form, name) != getattr(before, name)
    ]
    return unet, "; ".join([told, *changed])


@torch.no_grad()
def first_channels(given: Tensor, own: Tensor) -> Tensor:
    """The first convolution for other conditions: further input channels begin at zero, those too many go."""
    fitted = torch.zeros_like(own)
    count = min(given.shape[1], own.shape[1])
    fitted[:, :count] = given[:, :count].to(own)
    return fitted


def _named(names: list[str]) -> str:
    """The kinds of layers among parameter names."""
    kinds = {next((part for part in name.split(".") if "temp" in part), name.split(".")[0]) for name in names}
    return ", ".join(sorted(kinds))
