"""A running mean of the weights, which samples better than the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from training.engine.parallel import local


class Ema:
    """Exponential mean of parameters: fp32 copies beside them, sharded where they are.

    The decay warms up as min(decay, (1 + step) / (10 + step)), as in diffusers' EMAModel, so that
    the random start is forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float):
        self.decay = decay
        self.mean = {name: value.detach().float().clone() for name, value in parameters.items()}
        self._parameters = list(parameters.values())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the parameters after optimiser step `step`, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mean, current = self._parts()
        torch._foreach_lerp_(mean, [value.float() for value in current], 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Write the mean over the parameters."""
        mean, current = self._parts()
        torch._foreach_copy_(current, mean)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The mean in the place of the parameters for a while, and they in its place, so that no memory is needed."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for mean, current in zip(*self._parts()):
            before = current.clone()
            current.copy_(mean)
            mean.copy_(before)

    def _parts(self) -> tuple[list[Tensor], list[Tensor]]:
        """What this rank has of the means and of the parameters, in their memory."""
        mean = [local(value) for value in self.mean.values()]
        return mean, [local(value.detach()) for value in self._parameters]
