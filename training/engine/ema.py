"""A running mean of the weights, which samples better than the weights themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Exponential mean of parameters, fp32 copies beside them.

    The decay warms up as min(decay, (1 + step) / (10 + step)), as in diffusers' EMAModel, so that
    the random start is forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float):
        self.decay = decay
        self.mean = {name: value.detach().float().clone() for name, value in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: Mapping[str, nn.Parameter], step: int) -> None:
        """Move towards the parameters after optimiser step `step`, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = [parameters[name].float() for name in self.mean]
        torch._foreach_lerp_(list(self.mean.values()), current, 1 - decay)

    def load(self, mean: Mapping[str, Tensor]) -> None:
        """Take over a mean that was saved."""
        for name, value in self.mean.items():
            value.copy_(mean[name])

    @torch.no_grad()
    def copy_to(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Write the mean over the parameters."""
        for name, value in self.mean.items():
            parameters[name].copy_(value)
