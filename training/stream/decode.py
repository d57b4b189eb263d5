"""Exact frames of a media file in memory: one small interface, and a library of choice behind it.

A decoder is a function from media, wanted frames and their index to pictures, and decodes no more than it must.
PyAV is the default: it was the fastest exact way on the same frames (docs/benchmarks.md).
"""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from curation.errors import UserError
from training.stream.dataset import FrameIndex
from training.stream.faults import SampleError

MAX_PIXELS = 1 << 26
_IMAGES = ("JPEG", "PNG", "WEBP")


class DecodeError(SampleError):
    """A sample's media cannot give the frames that its index promises."""

    def __init__(self, message: str):
        super().__init__("undecodable", message)

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str]]:
        return DecodeError, (self.message,)


class Decoder(Protocol):
    """Gives the wanted frames one after the other."""

    def __call__(
        self, media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], native: bool = False
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames `wanted` (positions in the index, rising) as RGB, uint8 (height, width, 3), each good until the next.

        They keep their shape and are scaled to cover `size` (height, width) in pixels, see `fitted`.

        Raises:
            DecodeError: the media is damaged or of another kind, or lacks a frame of the index.
        """


def decoder(name: str) -> Decoder:
    """A decoder by the values of `data.decoder`.

    Raises:
        UserError: its library is not installed or cannot be used.
    """
    try:
        found: Decoder = importlib.import_module(f"training.stream.decode_{name}").frames
        return found
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"data.decoder: {name} cannot be used here ({reason}); install it with: pip install 'reelmill[{name}]'"
        ) from error


def decode(
    media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], by: str = "pyav"
) -> NDArray[np.uint8]:
    """All wanted frames in one array, uint8 (len(wanted), height, width, 3).

    Raises:
        DecodeError: as `Decoder`.
    """
    pictures: NDArray[np.uint8] | None = None
    for place, picture in enumerate(decoder(by)(media, wanted, index, size=size)):
        if pictures is None:
            pictures = np.empty((len(wanted), *picture.shape), np.uint8)
        pictures[place] = picture
    if pictures is None:
        raise DecodeError("no frame was asked for")
    return pictures


def covering(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest height and width of the same shape (to the pixel) that cover `size`."""
    scale = max(Fraction(size[0], height), Fraction(size[1], width))
    return max(size[0], round(height * scale)), max(size[1], round(width * scale))


def fitted(height: int, width: int, size: tuple[int, int], native: bool) -> tuple[int, int]:
    """The height and width that a picture is scaled to: covering `size`, or its own where that does and is wanted.

    Raises:
        DecodeError: the picture is empty, or larger than anybody's.
    """
    # Scaled to cover the wanted size, a very long and narrow picture would grow without bound.
    if not 0 < height * width <= MAX_PIXELS or math.prod(covering(height, width, size)) > MAX_PIXELS:
        raise DecodeError(f"frames of {width}x{height} pixels")
    if native and height >= size[0] and width >= size[1]:
        return height, width
    return covering(height, width, size)


def image(media: bytes, *, size: tuple[int, int], native: bool = False) -> NDArray[np.uint8]:
    """A JPEG, PNG or WebP, upright, as RGB, uint8 (height, width, 3), scaled as a frame.

    Raises:
        DecodeError: it is damaged or none of these.
    """
    try:
        with Image.open(io.BytesIO(media), formats=_IMAGES) as picture:
            fitted(picture.height, picture.width, size, native)
            turned = 274 in picture.getexif() and picture.getexif()[274] in range(5, 9)
            wide, high = (picture.height, picture.width) if turned else picture.size
            height, width = fitted(high, wide, size, native)
            if not native:
                picture.draft("RGB", (height, width) if turned else (width, height))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            if upright.size != (width, height):
                upright = upright.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(upright)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise DecodeError(" ".join(str(error).split()) or type(error).__name__) from error
