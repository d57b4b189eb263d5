"""What fits on the device, and what is to be done where it does not.

Three networks of LaVie's size never need to be on a GPU together: one at a time is, the others wait in the memory of
the machine. Large pictures are predicted in tiles and decoded a few frames at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from curation.errors import UserError
from training.cascade.denoise import Room
from training.models.lavie.latents import Latents
from training.models.lavie.stage import Stage

UNET_BYTES = 50
"""What a prediction needs at its height, for each place, frame and channel of the first resolution, at 16 bits.

The most that is alive at once, counted on the published networks without data: 50 for the base model at 16 x 40 x 64
and interpolation at 61 x 40 x 64, 40 for super resolution at 8 x 320 x 512."""
DECODER_BYTES = 24
"""What the decoder needs at 32 bits, for each pixel and channel of its last resolution; counted the same way."""
_SPARE = 0.85  # of what is free; the rest is for the allocator's gaps


def free(where: torch.device) -> int | None:
    """Bytes that are free on a GPU; None where nothing is to be divided."""
    if where.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    return int(torch.cuda.mem_get_info(where)[0]) + kept


@dataclass(frozen=True)
class Place:
    """Where networks work, in which precision, and how much memory there is."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    """Of the weights of the UNet and the text model; sums, norms and the decoder stay at 32 bits."""
    offload: bool = False
    """Whether a network leaves the device when its turn is over."""
    limit: int | None = None
    """Bytes that may be used, instead of those that are free on the GPU."""

    def offloading(self, choice: str, stages: Sequence[Stage]) -> Place:
        """This place, with models coming and going or not; `auto`: where they would fill a quarter of it.

        Raises:
            UserError: it is none of these.
        """
        if choice not in ("auto", "always", "never"):
            raise UserError(f"--offload must be auto, always or never, not {choice}")
        room = self.limit if self.limit is not None else free(self.device)
        crowded = room is not None and len(stages) > 1 and 4 * sum(map(weights, stages)) > room
        return dataclasses.replace(self, offload=choice == "always" or (choice == "auto" and crowded))

    @contextlib.contextmanager
    def holding(self, stage: Stage) -> Iterator[None]:
        """The stage on the device, for as long as it works."""
        stage.to(self.device)
        try:
            yield
        finally:
            if self.offload:
                stage.to("cpu")
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def room(self, stage: Stage, frames: int, size: tuple[int, int]) -> Room:
        """How to divide the work of a stage that is held.

        Args:
            frames: that are predicted at once.
            size: height and width of the latents.

        Raises:
            UserError: not even the smallest tile fits.
        """
        # Overlapping tiles of the decoder are blended by diffusers; where whole pictures fit, there are none.
        room = self.limit - weights(stage) if self.limit is not None else free(self.device)
        if room is None:
            return Room()
        room = int(room * _SPARE)
        if isinstance(stage.space, Latents):
            pixels = size[0] * size[1] * stage.space.factor**2
            need = DECODER_BYTES * pixels * int(stage.space.vae.config.block_out_channels[0])
            # Where a picture does not fit, it is decoded in tiles that diffusers blends.
            (stage.space.vae.disable_tiling if need <= room else stage.space.vae.enable_tiling)()
        wide = 1 if self.dtype.itemsize == 2 else 2
        place = UNET_BYTES * wide * int(stage.unet.config["block_out_channels"][0]) * frames
        if 2 * place * size[0] * size[1] <= room:
            return Room()
        if place * size[0] * size[1] <= room:
            return Room(together=False)
        step = stage.unet.factor
        tile = int((max(0, room) / place) ** 0.5) // step * step
        if tile < 4 * step:
            least = place * (4 * step) ** 2 / _SPARE / 1e9
            raise UserError(f"too little memory: the smallest tile needs about {least:.1f} GB beside the weights")
        return Room(together=False, tile=tile, tile_overlap=tile // 4)


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def place(device: str, precision: str, memory: float | None) -> Place:
    """The place by the options of `reelmill sample`.

    Raises:
        UserError: an option has no such value, or there is no such device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device must be auto, cpu or cuda, not {device}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: no GPU that this torch can use")
    where = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if precision not in ("auto", *PRECISIONS):
        raise UserError(f"--precision must be auto, {', '.join(PRECISIONS)}, not {precision}")
    if precision == "auto":
        half = torch.bfloat16 if where.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
        dtype = half if where.type == "cuda" else torch.float32
    else:
        dtype = PRECISIONS[precision]
    if memory is not None and memory <= 0:
        raise UserError(f"--memory must be more than 0, not {memory}")
    return Place(where, dtype, limit=None if memory is None else int(memory * 1e9))


def weights(stage: nn.Module) -> int:
    """Bytes of all parameters."""
    return sum(value.numel() * value.element_size() for value in stage.parameters())
