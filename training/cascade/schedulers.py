"""The schedulers of diffusers by short names, each with the noise schedule that the model was trained with.

What the two sides must share are the variances and what the model predicts. LaVie's are diffusers' `linear`, 1e-4 to
0.02, and not those of the Stable Diffusion model that it began with: its weights on that model's schedule give
videos that are silently wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from curation.errors import UserError
from training.diffusion import betas
from training.recipe import Diffusion, Sample

CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {}),  # arXiv 2006.11239
    "ddim": ("DDIMScheduler", {"set_alpha_to_one": True}),  # arXiv 2010.02502, without noise on the way
    "dpm": ("DPMSolverMultistepScheduler", {}),  # DPM-Solver++ 2M, arXiv 2211.01095
    "euler": ("EulerDiscreteScheduler", {}),  # arXiv 2206.00364, algorithm 2 without churn
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),  # arXiv 2206.00364, algorithm 1; two predictions a step
    "unipc": ("UniPCMultistepScheduler", {}),  # arXiv 2302.04867
}
"""By the values of `sample.scheduler`: the class in diffusers and what it is given beside the noise schedule."""

_WITHOUT_CLEAN = ("euler-ancestral", "heun")


class Scheduler:
    """One way from noise to a clean clip. It counts its steps: use a new one for every video."""

    def __init__(self, settings: Sample, diffusion: Diffusion, *, bounded: bool, device: torch.device):
        """
        Args:
            bounded: clean values lie in -1 to 1. Those that can (ddpm, ddim, heun) clip their estimates of them.

        Raises:
            UserError: diffusers' class does not take what the model predicts.
        """
        if diffusion.prediction == "sample" and settings.scheduler in _WITHOUT_CLEAN:
            raise UserError(
                f"the scheduler {settings.scheduler} does not work with a model that predicts the clean clip; "
                f"use one of {', '.join(name for name in CLASSES if name not in _WITHOUT_CLEAN)}"
            )
        name, more = CLASSES[settings.scheduler]
        kind = getattr(diffusers, name)
        known = inspect.signature(kind.__init__).parameters
        # Stable Diffusion's step more, where there is one; dpm and unipc count one step more than the others.
        steps = settings.steps
        last = max((steps - 1) * (diffusion.steps // steps), steps * (diffusion.steps // (steps + 1)))
        offset = 1 if settings.spacing == "leading" and last + 1 < diffusion.steps else 0
        clip = {"clip_sample": bounded} if "clip_sample" in known else {}
        self._scheduler = kind(
            **betas(diffusion), **more, **clip, timestep_spacing=settings.spacing, steps_offset=offset
        )
        self._scheduler.set_timesteps(settings.steps, device=device)
        self._taken = set(inspect.signature(self._scheduler.step).parameters)
        # The noise must be that of the clipped estimate, or clipping leaves noise behind.
        self._more = {"use_clipped_model_output": True} if bounded and "use_clipped_model_output" in self._taken else {}

    @property
    def timesteps(self) -> Tensor:
        """What the model is told at each step, falling; (steps,), whole numbers but for `linspace`."""
        steps: Tensor = self._scheduler.timesteps
        return steps

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise that it begins with."""
        return float(self._scheduler.init_noise_sigma)

    def scaled(self, x: Tensor, t: Tensor) -> Tensor:
        """`x` as the model knows it from the training."""
        out: Tensor = self._scheduler.scale_model_input(x, t)
        return out

    def step(self, prediction: Tensor, t: Tensor, x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """The next, less noisy `x`.

        Args:
            generators: one for each sample, on the CPU, so that the noise is the same on every device.
        """
        more: dict[str, Any] = {"generator": list(generators)} if "generator" in self._taken else {}
        out: Tensor = self._scheduler.step(prediction, t, x, **more, **self._more, return_dict=False)[0]
        return out
