"""What weights can become: our model folder, a released file of LaVie, a pipeline of diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from curation.errors import UserError
from curation.validate import as_yaml, resolved
from training import weights
from training.conversion import parts
from training.conversion.parts import Parts
from training.conversion.sources import Opened
from training.engine.folder import MODEL_FORMAT
from training.models.lavie import released
from training.models.lavie.form import Form
from training.models.lavie.unet import CONFIG, WEIGHTS, VideoUNet
from training.recipe import Recipe

_URL = "manifest.json"  # training needs one, and is to be told which


def is_file(to: str) -> bool:
    """Whether a target is a file and no folder."""
    return to.startswith("lavie-")


def write(opened: Opened, found: Parts, to: str, out: Path) -> list[str]:
    """Write a target, and say what it is.

    Raises:
        UserError: the weights cannot become it.
    """
    if to == "ours":
        return _ours(opened, found, out)
    if opened.unet.form.known:
        raise UserError(f"--to {to}: this model is given frames (data.known), which the others have no channels for")
    if to == "diffusers":
        return _diffusers(opened, found, out)
    return _lavie(opened, to.removeprefix("lavie-"), out)


def _ours(opened: Opened, found: Parts, out: Path) -> list[str]:
    (out / "unet").mkdir(parents=True)
    opened.unet.save(out / "unet")
    if found.text:
        parts.write_text(found.text, out / "text", out / "text", width=opened.unet.text_width)
    if found.vae:
        parts.write_vae(found.vae, out / "vae", channels=opened.unet.channels)
    if opened.recipe and opened.recipe.data.view == opened.view:
        recipe = opened.recipe
    else:
        data = {"view": opened.view, "url": _URL}
        settings = {"data": data, "model": resolved(opened.model), "diffusion": resolved(opened.diffusion)}
        recipe = Recipe.model_validate(settings)
    (out / "recipe.yaml").write_text(as_yaml(recipe), encoding="utf-8")
    config = {"format": MODEL_FORMAT, "weights": f"sha256:{weights.fingerprint(opened.unet.state_dict())}"}
    (out / CONFIG).write_text(json.dumps(config, indent=1))
    form = opened.unet.form
    lines = [f"our {opened.view} model, layout {form.layout}, norms by {form.norm}"]
    lacking = [name for name, there in (("text", found.text), ("vae", found.vae)) if not there]
    if lacking:
        options, keys = (" and ".join(f"{before}{name}" for name in lacking) for before in ("--", "model."))
        lines.append(f"without its {' and '.join(lacking)} part: convert with {options}, or set {keys} in training")
    return lines


def _lavie(opened: Opened, view: str, out: Path) -> list[str]:
    if opened.view != view:
        raise UserError(f"--to lavie-{view}: this is a {opened.view} model")
    unet = opened.unet
    form = Form(view=opened.view, layout="released", positions="none" if view == "interpolation" else "rotary_bias")
    with torch.device("meta"):
        wanted = VideoUNet(UNet2DConditionModel.from_config(unet.config), form).state_dict()
    tensors: dict[str, Tensor] = unet.state_dict()
    source = f"--to lavie-{view} (layout released; this model: {unet.form.layout})"
    weights.account(tensors, {name: value.shape for name, value in wanted.items()}, source)
    public = released.with_frequencies(tensors)
    weights.write(public, out)
    lines = [f"LaVie's {view} model, {len(public)} keys" + (" under `ema`" if out.suffix == ".pt" else "")]
    ours = unet.form
    if (
        ours.norm == "frame"
        or ours.positions != form.positions
        or (view == "interpolation" and ours.layout != "released")
    ):
        lines.append(
            "LaVie's code computes something else with it: it has layout released, norms by clip and positions "
            f"{form.positions}, this model was trained with layout {ours.layout}, norms by {ours.norm} and positions "
            f"{ours.positions}"
        )
    return lines


def _diffusers(opened: Opened, found: Parts, out: Path) -> list[str]:
    unet = opened.unet
    if opened.view == "interpolation":
        raise UserError("--to diffusers: no 2D model is in an interpolation model; convert base or vsr")
    if not found.text or not found.vae or not parts.speaks_clip(found.text):
        raise UserError("--to diffusers: a pipeline needs CLIP's text model and a VAE; give --text and --vae")
    with torch.device("meta"):
        flat = UNet2DConditionModel.from_config(unet.config)
    tensors = unet.state_dict()
    kept = {name: tensors[name] for name in flat.state_dict()}
    (out / "unet").mkdir(parents=True)
    flat.save_config(out / "unet")
    weights.write(kept, out / "unet" / WEIGHTS)
    parts.write_text(found.text, out / "text_encoder", out / "tokenizer", width=unet.text_width)
    parts.write_vae(found.vae, out / "vae", channels=unet.channels)
    index = _index(opened, out)
    (out / "model_index.json").write_text(json.dumps(index, indent=1))
    dropped = [name for name in tensors if name not in kept]
    return [
        f"a {index['_class_name']}, {len(kept)} keys; {len(dropped)} over time left out ({weights.listed(dropped)})"
    ]


def _index(opened: Opened, out: Path) -> dict[str, Any]:
    """Which class each part of the pipeline is, with the schedulers."""
    noise = opened.diffusion
    scheduler = {
        "_class_name": "DDIMScheduler",
        "beta_start": noise.beta_start,
        "beta_end": noise.beta_end,
        "beta_schedule": noise.schedule,
        "num_train_timesteps": noise.steps,
        "prediction_type": noise.prediction,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    schedulers = {"scheduler": scheduler}
    if opened.view == "vsr":
        low = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
        schedulers["low_res_scheduler"] = {"_class_name": "DDPMScheduler", **low}
    for name, config in schedulers.items():
        (out / name).mkdir()
        (out / name / "scheduler_config.json").write_text(json.dumps(config, indent=1))
    common: dict[str, Any] = {
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        **{name: ["diffusers", config["_class_name"]] for name, config in schedulers.items()},
    }
    if opened.view == "vsr":
        return {"_class_name": "StableDiffusionUpscalePipeline", **common, "max_noise_level": 350}
    none = {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    return {"_class_name": "StableDiffusionPipeline", **common, **none}
