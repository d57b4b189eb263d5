"""How the pictures of one call lie on the folded batch axis: of each sample a clip, then single frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Pictures:
    """Shared by all layers of a network, which sets it before every call; layers over time see clips alone."""

    frames: int = 1
    images: int = 0

    def part(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch * pictures, …) to (batch, frames, …) and (batch, images, …)."""
        samples = x.unflatten(0, (-1, self.frames + self.images))
        return samples[:, : self.frames], samples[:, self.frames :]

    def join(self, clips: Tensor, images: Tensor) -> Tensor:
        """The way back of `part`."""
        return (torch.cat((clips, images), dim=1) if self.images else clips).flatten(0, 1)
