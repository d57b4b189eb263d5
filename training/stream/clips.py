"""Which frames of a clip a sample takes, and which part of each picture: all by the sample's own draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Data
from training.stream.dataset import FrameIndex
from training.stream.faults import SampleError


@dataclass(frozen=True)
class Piece:
    """Frames of one clip."""

    frames: list[int]
    """Positions in the clip's index, never falling."""
    fps: float
    """Frames a second, by their timestamps; 0 where there is only one."""


def piece(index: FrameIndex, frames: int, data: Data, rng: np.random.Generator) -> Piece:
    """`frames` frames from a random start, at a drawn stride or frame rate.

    Raises:
        SampleError: there are too few.
    """
    if data.rates is not None:
        chosen = _by_time(index, frames, data.rates, rng)
    else:
        chosen = _by_stride(len(index.pts), frames, data.strides, rng)
    seconds = float((index.pts[chosen[-1]] - index.pts[chosen[0]]) * index.time_base)
    return Piece(chosen, (frames - 1) / seconds if seconds > 0 else 0.0)


def single(index: FrameIndex, rng: np.random.Generator) -> Piece:
    """Any one frame."""
    return Piece([int(rng.integers(len(index.pts)))], 0.0)


def _by_stride(length: int, frames: int, strides: tuple[int, int], rng: np.random.Generator) -> list[int]:
    longest = (length - 1) // (frames - 1) if frames > 1 else strides[1]
    if longest < strides[0]:
        raise SampleError("unfit", f"it has {length} frames, {(frames - 1) * strides[0] + 1} are needed")
    stride = int(rng.integers(strides[0], min(strides[1], longest) + 1))
    start = int(rng.integers(length - (frames - 1) * stride))
    return list(range(start, start + (frames - 1) * stride + 1, stride))


def _by_time(index: FrameIndex, frames: int, rates: tuple[float, float], rng: np.random.Generator) -> list[int]:
    """The frames nearest to even times. A clip with fewer frames a second than asked for gives each of its own."""
    times = np.asarray(index.pts, np.float64) * float(index.time_base)
    if len(times) < frames:
        raise SampleError("unfit", f"it has {len(times)} frames, {frames} are needed")
    if frames == 1:
        return [int(rng.integers(len(times)))]
    own = (len(times) - 1) / (times[-1] - times[0])
    low = max(rates[0], (frames - 1) / (times[-1] - times[0]))
    rate = float(rng.uniform(min(low, rates[1]), rates[1]))
    if rate >= own or (frames - 1) / rate > times[-1] - times[0] + 0.5 / own:
        if rate < own and low > rates[1]:
            raise SampleError(
                "unfit", f"it is {times[-1] - times[0]:.2f} s long, too short at {rates[1]:g} frames a second"
            )
        start = int(rng.integers(len(times) - frames + 1))
        return list(range(start, start + frames))
    spare = times[-1] - times[0] - (frames - 1) / rate
    wanted = times[0] + rng.uniform(0.0, max(spare, 0.0)) + np.arange(frames) / rate
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    nearest = np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)
    return [int(number) for number in nearest]


@dataclass(frozen=True)
class Window:
    """A part of a picture, as shares of the room that it has: the same for pictures of any size."""

    top: float
    left: float
    mirrored: bool

    @staticmethod
    def drawn(rng: np.random.Generator, *, flip: bool) -> Window:
        """Anywhere; mirrored half of the time if `flip`."""
        top, left, side = rng.random(3)
        return Window(float(top), float(left), bool(side < 0.5) and flip)

    def cut(self, picture: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Copy the part of `picture` (height, width, 3) that `out`, which is no larger, has room for."""
        height, width = out.shape[:2]
        top = int(self.top * (picture.shape[0] - height + 1))
        left = int(self.left * (picture.shape[1] - width + 1))
        part = picture[top : top + height, left : left + width]
        out[:] = part[:, ::-1] if self.mirrored else part


def distinct(frames: Sequence[int]) -> tuple[list[int], list[int]]:
    """Frames without repeats, and for each of the given ones its place among them."""
    kept = sorted(set(frames))
    places = {number: place for place, number in enumerate(kept)}
    return kept, [places[number] for number in frames]
