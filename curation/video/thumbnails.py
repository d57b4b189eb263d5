"""Pictures of frames that may later stand for a clip, kept in a file until the clips are known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from curation.video.motion import sharpness
from curation.video.probe import Header
from curation.video.small import LUMA_STEPS, pixels
from curation.video.upright import stored_size, upright

_JPEG_QUALITY = 85
_SAMPLED_SIZE = 256
_HASHED_SIZE = 32
_HASH_SIDE = 8


class Thumbnail(NamedTuple):
    """Where the JPEG of a frame lies in the file, and the picture's perceptual hash."""

    frame: int
    offset: int
    length: int
    phash: int


class ThumbnailWriter:
    """Scales frames to upright JPEG pictures and appends them to a file.

    Args:
        size: short side in pixels; smaller frames keep their size.
    """

    def __init__(self, path: Path, head: Header, size: int):
        self._file = open(path, "wb")  # noqa: SIM115  (closed on exit)
        self._head = head
        self._scaler, self._colourer = VideoReformatter(), VideoReformatter()
        self._size = stored_size(head, short_side=size)
        self.kept: list[Thumbnail] = []

    def __enter__(self) -> ThumbnailWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def keep(self, number: int, frame: av.VideoFrame) -> float:
        """Store the picture of a frame; its sharpness."""
        # A small step down needs no averaging. Scaling and turning into colours apart takes a third of both at once.
        way = Interpolation.AREA if 2 * self._size[0] < frame.width else Interpolation.FAST_BILINEAR
        scaled = self._scaler.reformat(
            frame, *self._size, format="yuv420p", dst_color_range=ColorRange.MPEG, interpolation=way
        )
        luma = upright(pixels(scaled.planes[0]), self._head)
        data = encoded(upright(self._colourer.reformat(scaled, format="bgr24").to_ndarray(), self._head))
        self.kept.append(Thumbnail(number, self._file.tell(), len(data), phash(luma)))
        self._file.write(data)
        return sharpness(luma) * (255 / LUMA_STEPS) ** 2


def encoded(bgr: np.ndarray) -> bytes:
    """A picture (H, W, 3 uint8) as a JPEG."""
    fine, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert fine
    return bytes(data.tobytes())


def phash(luma: np.ndarray) -> int:
    """Perceptual hash of a luma picture (H, W uint8): 64 bits, alike pictures differ in few of them.

    The lowest 8 × 8 frequencies of the 32 × 32 picture's cosine transform against their median
    (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions"), row by row, the
    highest bit first.
    """
    # Averages of whole blocks are much cheaper than of parts of pixels.
    square = cv2.resize(luma, (_SAMPLED_SIZE, _SAMPLED_SIZE), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(square, (_HASHED_SIZE, _HASHED_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_SIDE, :_HASH_SIDE]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def spread(held: Sequence[Thumbnail], count: int, first: int, end: int) -> list[Thumbnail]:
    """`count` pictures nearest to the middles of as many equal parts of frames [first, end), in time order."""
    frames = [thumbnail.frame for thumbnail in held]
    low, high = bisect_left(frames, first), bisect_left(frames, end)
    if low == high:
        return []
    chosen = set()
    for part in range(count):
        wanted = first + (end - first) * (2 * part + 1) / (2 * count)
        right = bisect_left(frames, wanted, low, high)
        near = min((at for at in (right - 1, right) if low <= at < high), key=lambda at: abs(frames[at] - wanted))
        chosen.add(near)
    return [held[at] for at in sorted(chosen)]
