"""From the processor's memory to the device's, without either waiting for the other."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device, where it will be when the device gets there.

    A GPU copies by itself from pinned memory alone. So the values are put there first, in memory that torch's own
    allocator gives away again only after the copy; memory of others, a part of a batch say, it does not know.
    """
    if device.type != "cuda" or value.is_cuda:
        return value.to(device)
    return value.pin_memory().to(device, non_blocking=True)
