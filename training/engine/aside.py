"""Work beside the training that must not move it: measuring and sampling with the model that is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from training.engine.ema import Ema


@contextlib.contextmanager
def aside(model: nn.Module, ema: Ema | None, device: torch.device) -> Iterator[None]:
    """The model for looking only; afterwards weights, modes and random numbers are what they were, to the bit.

    Args:
        ema: the mean of its weights, which takes their place meanwhile.
    """
    modes = [(module, module.training) for module in model.modules()]
    weights = ema.applied() if ema else contextlib.nullcontext()
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad(), weights:
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode
                if isinstance(module, FSDPModule):
                    module.reshard()  # or the next step would find the whole of what it was shown here
