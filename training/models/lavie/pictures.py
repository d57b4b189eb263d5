"""How the pictures of one call lie on the folded batch axis: of each sample a clip, then single frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Layer = Callable[[Tensor], Tensor]


def untouched(images: Tensor) -> Tensor:
    """What layers over time do with single frames (LaVie §3.3)."""
    return images


@dataclass
class Pictures:
    """Shared by all layers of a network, which sets it before every call."""

    frames: int = 1
    images: int = 0

    def part(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch * pictures, …) to (batch, frames, …) and (batch, images, …); either may be empty."""
        samples = x.unflatten(0, (-1, self.frames + self.images))
        return samples[:, : self.frames], samples[:, self.frames :]

    def apart(self, x: Tensor, clip: Layer, image: Layer) -> Tensor:
        """Two functions side by side, each on its own kind: (batch, frames or images, …) to the same.

        Neither is called for nothing, since kernels do not take empty batches.
        """
        clips, images = self.part(x)
        parts = [layer(kind) for layer, kind in ((clip, clips), (image, images)) if kind.shape[1]]
        return (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]).flatten(0, 1)
