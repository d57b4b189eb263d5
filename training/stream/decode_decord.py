"""Frames by decord, which scans the packets of every media file that it opens.

No longer kept up (its last release is of 2021); here for datasets that were trained on with it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import decord
import numpy as np
from numpy.typing import NDArray

from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, fitted


def frames(
    media: bytes, wanted: Sequence[int], index: FrameIndex, *, size: tuple[int, int], native: bool = False
) -> Iterator[NDArray[np.uint8]]:
    """See `decode.Decoder`."""
    try:
        reader = decord.VideoReader(io.BytesIO(media), num_threads=1)
        own = reader[0].shape
        height, width = fitted(own[0], own[1], size, native)
        if (height, width) != own[:2]:
            reader = decord.VideoReader(io.BytesIO(media), num_threads=1, width=width, height=height)
        if len(reader) != len(index.pts):
            raise DecodeError(f"it has {len(reader)} frames, its index says {len(index.pts)}")
        yield from reader.get_batch(list(wanted)).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise DecodeError(" ".join(str(error).split())[:300] or type(error).__name__) from error
