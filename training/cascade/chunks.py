"""A long or large video in overlapping windows, without seams: at every denoising step the windows' predictions are
averaged where they overlap, and one step is taken for the whole (MultiDiffusion, Bar-Tal et al., arXiv 2302.08113,
eq. 5; over time as in Lumiere, arXiv 2401.12945 §3.3). The average is the video that all windows together object to
least, in weighted squares.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Box = tuple[slice, slice, slice, slice, slice]
"""A part of (batch, channels, frames, rows, columns): all of the first two."""


@dataclass(frozen=True)
class Cut:
    """How one axis is cut."""

    window: int
    """Places of one window."""
    overlap: int
    """Places that neighbours share at least."""
    multiple: int = 1
    """Windows begin at multiples of this."""

    def starts(self, length: int) -> list[int]:
        """Where the windows begin; the last one ends at `length`."""
        if length <= self.window:
            return [0]
        stride = max(1, (self.window - self.overlap) // self.multiple) * self.multiple
        return [*range(0, length - self.window, stride), length - self.window]

    def weights(self, length: int) -> Tensor:
        """How much the places of a window count, rising and falling over the overlap; fp32 (places,), all positive."""
        place = torch.arange(min(self.window, length))
        edge = torch.minimum(place + 1, len(place) - place)
        return edge.clamp(max=self.overlap + 1).float() / (self.overlap + 1)


WHOLE = Cut(1 << 30, 0)
"""No cut at all."""
Cuts = tuple[Cut, Cut, Cut]
"""Of frames, rows and columns."""


def boxes(cuts: Cuts, shape: tuple[int, int, int]) -> list[Box]:
    """All windows of a video of so many frames, rows and columns."""
    frames, rows, columns = (
        [slice(start, start + min(cut.window, length)) for start in cut.starts(length)]
        for cut, length in zip(cuts, shape)
    )
    whole = slice(None)
    return [(whole, whole, *part) for part in itertools.product(frames, rows, columns)]


def averaged(predict: Callable[[Box], Tensor], cuts: Cuts, shape: tuple[int, int, int]) -> Tensor:
    """The weighted mean of what is predicted for all windows, (batch, channels, *shape), fp32.

    Args:
        predict: for a window, (batch, channels, frames, rows, columns).
    """
    found = boxes(cuts, shape)
    if len(found) == 1:
        return predict(found[0]).float()
    frames, rows, columns = (cut.weights(length) for cut, length in zip(cuts, shape))
    weights = frames[:, None, None] * rows[:, None] * columns
    total, count = None, torch.zeros(shape)
    for box in found:
        prediction = predict(box).float()
        if total is None:
            total = prediction.new_zeros(*prediction.shape[:2], *shape)
            weights, count = weights.to(total), count.to(total)
        total[box] += weights * prediction
        count[box[2:]] += weights
    assert total is not None
    return total / count
