"""How much a training step computes, and how much a device could: the quotient is the MFU (arXiv 2204.02311 §B)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.loader import Batch

PEAKS = {
    "H200 NVL": 835e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
"""Dense bf16 operations a second, by words of a device's name; the first that are in it count.

From NVIDIA's data sheets of these products, halved where those count with sparsity. A name that does not tell the
form is that of the SXM one.
"""


@dataclass(frozen=True)
class Speed:
    """What MFU is made of."""

    peak: float
    """Operations a second that one device can do."""
    by_shape: dict[tuple[int, int, int], float]
    """Operations for one sample, by its pictures, their height and width."""

    def flops(self, batch: Batch) -> float:
        """Operations for a batch."""
        samples, pictures, height, width, _ = batch.pixels.shape
        return samples * self.by_shape[pictures, height, width]


def speed(stage: Stage, recipe: Recipe, device: torch.device) -> Speed | None:
    """For a stage that is not yet compiled, sharded or made to recompute; None where the peak is not known.

    A peak of `PEAKS` is one of bf16, so it says nothing of a run in fp32.
    """
    peak = recipe.train.peak_tflops * 1e12 if recipe.train.peak_tflops else None
    if peak is None and device.type == "cuda" and recipe.train.precision == "bf16":
        peak = named(torch.cuda.get_device_name(device))
    if peak is None:
        return None
    counts = {}
    for shape in recipe.data.shapes:
        frames, images, (height, width) = shape.frames or recipe.data.frames, recipe.data.images, shape.size
        counts[frames + images, height, width] = count(stage, frames, images, shape.size)
    return Speed(peak, counts)


def named(device: str) -> float | None:
    """The peak of a device by its name; None for a slice of one (MIG), and where it is not listed."""
    if "MIG" in device:
        return None
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", device)), None)


def count(stage: Stage, frames: int, images: int, size: tuple[int, int]) -> float:
    """Operations of a forward and backward pass of the network for one sample, a product and a sum being two.

    What the text model and the VAE compute is left out, and so is what is computed again in checkpointed blocks. It is
    counted on tensors that have a shape and no content.
    """
    unet = stage.unet
    grid = size[0] // stage.space.factor, size[1] // stage.space.factor
    # The counter knows the products that attention is made of, but not every kernel that computes it in one go.
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        state = {
            name: torch.empty(value.shape, dtype=value.dtype, requires_grad=value.requires_grad)
            for name, value in [*unet.named_parameters(), *unet.named_buffers()]
        }
        x = torch.empty(1, unet.conv_in.in_channels, frames + images, *grid)
        text = torch.empty(1, 1 + images, stage.text.length, stage.text.width)
        step = torch.zeros(1, dtype=torch.int64)
        more = {"frames": frames, "noise_level": step if stage.view == "vsr" else None}
        functional_call(unet, state, (x, step, text), more).sum().backward()
    return float(counter.get_total_flops())
