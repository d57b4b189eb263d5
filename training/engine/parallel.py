"""How the work of a step is spread: over blocks that are compiled or computed again, and over ranks.

DDP keeps the whole model on every rank; FSDP2 gives each rank a shard of every parameter, its gradient, its optimiser
state and its running mean. Both leave the parameters' names as they are, so a checkpoint of one goes on with the
other.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from training.diffusion import Losses
from training.engine.ranks import Ranks
from training.models.lavie.stage import Stage
from training.objective import Objective
from training.recipe import Train
from training.stream.loader import Batch

# Nothing is done in place on what the network gives.
warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")

# Blocks of one class are compiled once for every width and resolution that they have.
_SHAPES = 64


def prepare(stage: Stage, settings: Train, ranks: Ranks) -> None:
    """Compile, recompute and shard a stage in place, as the recipe says. Afterwards its parameters are final."""
    for block in stage.blocks():
        if settings.recompute:
            block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
        if settings.compile:
            torch._dynamo.config.recompile_limit = _SHAPES
            block.forward = torch.compile(block.forward, dynamic=False)
    if settings.parallel == "fsdp" and ranks.world > 1:
        _shard(stage, settings, ranks)


def _shard(stage: Stage, settings: Train, ranks: Ranks) -> None:
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    # Gathered in the precision that is computed in, which halves the traffic; gradients are summed in fp32.
    precision = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if settings.precision == "bf16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # autocast does it where it should be done
    )
    # What never learns outside the network is called by itself, not through it: whole on every rank.
    apart = set(stage.space.parameters())
    if not any(value.requires_grad for value in stage.text.parameters()):
        apart |= set(stage.text.parameters())
    else:
        fully_shard(stage.text, mesh=mesh, mp_policy=precision)
    for block in stage.blocks():
        fully_shard(block, mesh=mesh, mp_policy=precision)
    fully_shard(stage, mesh=mesh, mp_policy=precision, ignored_params=apart)
    register_fsdp_forward_method(stage, "embed")


class Spread:
    """The objective as all ranks compute it: of a slice each, with the gradient of the whole batch.

    Args:
        objective: of a stage after `prepare`.
    """

    def __init__(self, objective: Objective, settings: Train, ranks: Ranks):
        self._stage = objective.stage
        self._ranks = ranks
        self._precision = settings.precision
        self._objective: Callable[[Batch], Losses] = objective
        self._ddp: DistributedDataParallel | None = None
        if ranks.world > 1 and not isinstance(objective.stage, FSDPModule):
            on = [ranks.device.index] if ranks.device.type == "cuda" else None
            self._ddp = DistributedDataParallel(objective, device_ids=on, gradient_as_bucket_view=True)
            self._objective = self._ddp

    def __call__(self, batch: Batch) -> Losses:
        """The losses of this rank's part, fp32; what is multiplied is bf16 where the recipe says so.

        Norms, softmax and the losses stay fp32 (torch's list of what autocast leaves alone).
        """
        with autocast(self._precision, self._ranks.device):
            return self._objective(batch)

    def gradient(self, parts: list[Batch]) -> Tensor:
        """Add the gradient of the mean loss of the parts, over all ranks, which meet once: after the last part.

        Returns:
            fp32 (3,), on the device: the mean of total, video and image loss over this rank's parts.
        """
        sums = torch.zeros(len(Losses._fields), device=self._ranks.device)
        for number, part in enumerate(parts):
            with self._meeting(number == len(parts) - 1):
                losses = self(part)
                (losses.total / len(parts)).backward()
            sums += torch.stack([loss.detach() for loss in losses]) / len(parts)
        return sums

    def _meeting(self, meet: bool) -> AbstractContextManager[None]:
        if isinstance(self._stage, FSDPModule):
            self._stage.set_requires_gradient_sync(meet)
        elif self._ddp is not None and not meet:
            return self._ddp.no_sync()
        return contextlib.nullcontext()


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The precision of a recipe, for what is computed inside."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def clip(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale gradients down to a norm; returns the norm before, over all ranks, on the device."""
    norm = nn.utils.clip_grad_norm_(parameters, most)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def local(value: Tensor) -> Tensor:
    """This rank's part of a tensor, in the same memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def gather(stage: Stage, ranks: Ranks) -> None:
    """Put whole parameters in the place of shards, on the first rank and in its main memory. Ends all training."""
    for module in stage.modules():
        for name, value in list(module._parameters.items()):
            if isinstance(value, DTensor):
                whole = value.detach().full_tensor()
                kept = whole.cpu() if ranks.first else torch.empty(0)
                module._parameters[name] = nn.Parameter(kept, requires_grad=value.requires_grad)
