"""The processes that train together: who this one is, and what they agree on.

`torchrun` says so in the environment, Ray Train has joined them already, and a plain process is alone. Each has a
slice of every batch. Small values go over gloo and never touch the GPU; gradients go over NCCL where there are GPUs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from curation.errors import UserError

T = TypeVar("T")

_STOPPED = "reelmill/stopped"


@dataclass(frozen=True)
class Ranks:
    """This process among `world` of them. The methods must be called by all, in the same order."""

    device: torch.device
    """Where this one computes."""
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes the log and publishes files."""
        return self.rank == 0

    def agree(self, value: T) -> T:
        """The first rank's value."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def sum(self, numbers: Sequence[int]) -> list[int]:
        """Each number, summed over the ranks."""
        if self.world == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(total)
        return [int(number) for number in total.tolist()]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the ranks, on the device and without waiting for it."""
        if self.world == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.world

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A part that may fail on one rank alone: then all of them raise that one's `UserError`.

        What is inside must not wait for other ranks.
        """
        problem = None
        try:
            yield
        except UserError as error:
            if self.world == 1:
                raise
            problem = str(error)
        for rank, other in enumerate(self.gather(problem)):
            if other is not None:
                raise UserError(other if rank == 0 else f"rank {rank}: {other}")


@contextlib.contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """This process among those that it was started with.

    A rank that fails says why before it goes; the others, which lose their connection to it, end with its reason.

    Args:
        device: "cpu", "cuda" or "auto", as `train.device`.

    Raises:
        UserError: there is no such device here, or another rank has stopped.
    """
    if dist.is_initialized():  # by Ray Train, which also chooses the GPU, and ends it
        yield Ranks(_device(device, None), dist.get_rank(), dist.get_world_size())
        return
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", 0)))
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Ranks(chosen)
        return
    store, rank, world = next(rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield Ranks(chosen, rank, world)
    except Exception as error:
        if not isinstance(error, UserError):
            reason = _reason_of_another(store, rank)
            if reason is None and _is_a_lost_connection(error):
                reason = f"lost another process ({' '.join(str(error).split())[:200]}); start again to go on"
            if reason is not None:
                raise UserError(reason) from error
        store.set(_STOPPED, f"{rank} {' '.join(str(error).split())[:500]}")
        raise
    dist.destroy_process_group()


def _reason_of_another(store: Store, rank: int) -> str | None:
    """Why another rank has stopped, if one has."""
    with contextlib.suppress(RuntimeError):  # the store went with the first rank's process
        if store.check([_STOPPED]):
            other, _, reason = store.get(_STOPPED).decode().partition(" ")
            return f"rank {other} stopped: {reason}" if int(other) != rank else None
    return None


def _is_a_lost_connection(error: Exception) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _device(choice: str, local: int | None) -> torch.device:
    """The GPU with number `local`, or the one that is chosen already; the CPU where that is wanted or all there is."""
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: no GPU that this torch can use; set it to cpu or auto")
    if choice == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if local is None:
        return torch.device("cuda", torch.cuda.current_device())
    if local >= torch.cuda.device_count():
        raise UserError(
            f"train.device: process {local} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start as many processes as it has GPUs"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
