"""Noise to video: DDIM with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.diffusion import normal, sampling_schedule
from training.models.lavie.stage import Stage
from training.recipe import Diffusion
from training.stream.plan import Draws


@torch.no_grad()
def generate(
    model: Stage,
    schedule: Diffusion,
    prompt: str,
    *,
    frames: int,
    size: tuple[int, int],
    steps: int,
    guidance: float,
    seed: int,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> NDArray[np.uint8]:
    """A video for a prompt, RGB uint8 (frames, height, width, 3).

    Guidance (Ho and Salimans, arXiv 2207.12598) moves the prediction away from that of the empty
    caption: e = e_empty + guidance * (e_prompt - e_empty).

    Args:
        size: height and width in pixels, multiples of `model.factor`.
        progress: wraps the timesteps, to show how far it is.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    captions = [[prompt]] if guidance == 1 else [[prompt], [""]]
    text = model.embed(captions)
    sampler = sampling_schedule(schedule, bounded=model.space.bounded)
    sampler.set_timesteps(steps, device=device)
    shape = (1, model.space.channels, frames, size[0] // model.space.factor, size[1] // model.space.factor)
    x = normal([Draws(seed, 0, "", 0)], "sample", shape).to(device)
    for t in progress(sampler.timesteps):
        both = x.expand(len(captions), -1, -1, -1, -1)
        prediction, *empty = model(both, t.expand(len(captions)), text, frames=frames).split(1)
        if empty:
            prediction = empty[0] + guidance * (prediction - empty[0])
        # The noise must be that of the clipped estimate, or clipping leaves noise behind.
        x = sampler.step(prediction, t, x, use_clipped_model_output=model.space.bounded).prev_sample
    rgb = (model.space.decode(x)[0].float().clamp(-1, 1) + 1) * 127.5
    pictures: NDArray[np.uint8] = rgb.round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
    return pictures
