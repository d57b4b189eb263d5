"""How long the whole cascade takes for one video: 16 frames, then 61, then 1280x2048, with 50 steps each.

Weights are random and made on the spot: they change no time. Called by `benchmarks.train_step`.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel

from training.cascade.cascade import Cascade, Start
from training.cascade.link import Link
from training.cascade.memory import Place
from training.models.lavie.form import Form
from training.models.lavie.latents import Latents
from training.models.lavie.stage import Stage
from training.models.lavie.text import ByteTokenizer, TextEncoder
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe import Model, Recipe
from training.recipe_model import View

SD = Model(layout="released", norm="clip")
UPSCALER = SD.model_copy(
    update={"widths": (256, 512, 512, 1024), "attention": (False, True, True, True), "text_width": 1024}
)
TINY = SD.model_copy(update={"widths": (32, 64), "attention": (False, True), "heads": 2, "text_width": 64})


def measured(device: torch.device, *, tiny: bool) -> dict[str, Any]:
    """Seconds of each stage, on a CPU their shares; and the most memory on the device."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    links = {view: _link(view, device, dtype, tiny=tiny) for view in ("base", "interpolation", "vsr")}
    cascade = Cascade(links, Place(device, dtype))
    start = Start(4 if tiny else 16, (32, 32) if tiny else (320, 512), Fraction(8))
    cascade.check(start)
    seconds: dict[str, float] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    frames = cascade.first(["a corgi on a skateboard"], start)[0]
    seconds["base"] = time.perf_counter() - began
    for view in ("interpolation", "vsr"):
        began = time.perf_counter()
        frames = np.concatenate(list(cascade.pieces(view, "a corgi on a skateboard", frames)))
        seconds[view] = time.perf_counter() - began
    whole = sum(seconds.values())
    told: dict[str, Any] = {"steps": links["base"].recipe.sample.steps, "frames": len(frames)}
    told |= {"size": list(frames.shape[1:3]), "shares": {view: round(s / whole, 3) for view, s in seconds.items()}}
    if device.type == "cuda":
        told["seconds"] = {view: round(taken, 2) for view, taken in seconds.items()}
        told["gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return told


def _link(view: View, device: torch.device, dtype: torch.dtype, *, tiny: bool) -> Link:
    model = TINY if tiny else UPSCALER if view == "vsr" else SD
    levels = 3 if view == "vsr" else 4  # of the VAE: four times smaller, or eight
    widths = ((8,) * levels) if tiny else (128, 256, 512, 512)[:levels]
    with torch.device(device):
        flat = image_unet(model, channels=4, text_width=model.text_width, view=view)
        unet = VideoUNet(flat, Form.of(model, view)).to(dtype)
        text = CLIPTextModel(_clip(model.text_width, tiny=tiny)).to(dtype)
        vae = AutoencoderKL(
            latent_channels=4,
            layers_per_block=1 if tiny else 2,
            block_out_channels=widths,
            norm_num_groups=4 if tiny else 32,
            scaling_factor=0.08333 if view == "vsr" else 0.18215,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
        )
    stage = Stage(unet, TextEncoder(text, ByteTokenizer(77)), Latents(vae)).eval().requires_grad_(False)
    data: dict[str, Any] = {"view": view, "url": "none"}
    if tiny:
        data |= {"frames": 13 if view == "interpolation" else 4, "size": (32, 32)}
    values = {"data": data, "diffusion": {"prediction": "v_prediction" if view == "vsr" else "epsilon"}}
    if tiny:
        values["sample"] = {"steps": 2, **({"overlap": 1} if view != "base" else {})}
    return Link(stage, Recipe.model_validate(values), {})


def _clip(width: int, *, tiny: bool) -> CLIPTextConfig:
    """The size of Stable Diffusion 1's text model (CLIP ViT-L/14), or of the x4 upscaler's (OpenCLIP ViT-H/14)."""
    layers, heads = (1, 2) if tiny else (23, 16) if width == 1024 else (12, 12)
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=77,
    )
