"""Frames at the size at which they are measured: luma and colour planes as the decoder left them, made small.

Scaling is most of what measuring costs. Films are nearly always planar YUV, of which each plane is sampled by itself,
straight from the decoder's memory; only what is stored otherwise goes through FFmpeg's scaler. Small frames are kept as
4:2:0 of 8 bits and video range, and are turned into colours many at once. Their colours follow BT.601 whatever the file
says of its own: they are only compared with each other.
"""

from __future__ import annotations

from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from curation.video.probe import Header
from curation.video.series import TINY
from curation.video.upright import stored_size

# The longer side of a small frame. PySceneDetect's own scene manager takes pictures 256 wide; half of it finds the same
# cuts (benchmarks/scene_accuracy.py) and costs a tenth of a decode less.
LONG_SIDE = 128
# Rows and columns are whole numbers of tiny pixels, and even, for colours of half the size.
_ROWS, _COLUMNS = 2 * TINY[0], TINY[1]
# FFmpeg's number for values from 0 to 255; video range is luma from 16 to 235, and colours from 16 to 240.
_FULL_RANGE = 2
BLACK, LUMA_STEPS, _COLOUR_STEPS = 16, 219, 224
_MOST_BITS = 16


class Looks(NamedTuple):
    """Small frames (frames, H, W, …) in the forms in which they are compared."""

    bgr: np.ndarray
    hsv: np.ndarray


class _Reading(NamedTuple):
    """How the planes of one kind of frame are read."""

    values: type[np.uint8] | type[np.uint16]
    luma: tuple[float, float]
    colour: tuple[float, float]
    """Factor and offset that bring a value to 8 bits and video range."""

    @property
    def plain(self) -> bool:
        return self.luma == (1.0, 0.0)


def small_size(head: Header) -> tuple[int, int]:
    """(width, height) of the small frames of a file, as near to its shape as whole tiny pixels allow."""
    width, height = stored_size(head)
    scale = LONG_SIDE / max(width, height)
    return (
        max(1, round(width * scale / _COLUMNS)) * _COLUMNS,
        max(1, round(height * scale / _ROWS)) * _ROWS,
    )


class Shrinker:
    """Makes frames of one file small.

    A small frame is a row of `values` bytes: luma (height, width), then both colours of half the sides.
    """

    def __init__(self, head: Header):
        self.width, self.height = small_size(head)
        width, height = stored_size(head)
        self.pixel_height = (height / self.height) / (width / self.width)
        """Height of a small frame's pixels over their width."""
        self._pixels = self.width * self.height
        self.values = self._pixels * 3 // 2
        self._scaler = VideoReformatter()
        self._kind: tuple[str, int] | None = None
        self._reading: _Reading | None = None

    def shrink(self, frame: av.VideoFrame, into: np.ndarray) -> None:
        """Write a frame to a row of `values` bytes."""
        kind = (frame.format.name, frame.color_range)
        if kind != self._kind:
            self._kind, self._reading = kind, _reading(frame)
        planes = self.planes(into)
        if self._reading is None:
            scaled = self._scaler.reformat(
                frame,
                self.width,
                self.height,
                format="yuv420p",
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.FAST_BILINEAR,
            )
            for plane, small in zip(scaled.planes, planes):
                np.copyto(small, pixels(plane))
            return
        for number, (plane, small) in enumerate(zip(frame.planes, planes)):
            height, width = small.shape
            # Colours are smooth: one line of them is enough where luma takes the mean of two.
            step = max(1, plane.height // height) if number else 1
            lines = pixels(plane, self._reading.values)[step // 2 :: step]
            if self._reading.plain:
                cv2.resize(lines, (width, height), dst=small, interpolation=cv2.INTER_LINEAR)
            else:
                factor, offset = self._reading.colour if number else self._reading.luma
                resized = cv2.resize(lines, (width, height), interpolation=cv2.INTER_LINEAR)
                cv2.convertScaleAbs(resized, dst=small, alpha=factor, beta=offset)

    def planes(self, small: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Luma and both colours of one small frame."""
        edge, half = self._pixels, (self.height // 2, self.width // 2)
        middle = edge + self._pixels // 4
        return self.luma(small), small[edge:middle].reshape(half), small[middle:].reshape(half)

    def luma(self, small: np.ndarray) -> np.ndarray:
        """(H, W) of one small frame, in video range."""
        found: np.ndarray = small[: self._pixels].reshape(self.height, self.width)
        return found

    def lumas(self, smalls: np.ndarray) -> np.ndarray:
        """(frames, pixels), in video range."""
        return smalls[:, : self._pixels]

    def room(self, frames: int) -> Looks:
        """Memory for the looks of so many frames. To get it anew for each block costs more than the colours do."""
        return Looks(*(np.empty((frames, self.height, self.width, 3), np.uint8) for _ in Looks._fields))

    def looks(self, smalls: np.ndarray, room: Looks | None = None) -> Looks:
        """Of small frames (frames, values): all in one call, as if they were one tall picture.

        Args:
            room: memory to use, for these frames or more.
        """
        bgr, hsv = (one[: len(smalls)].reshape(-1, self.width, 3) for one in room or self.room(len(smalls)))
        count, middle = len(smalls), self._pixels + self._pixels // 4
        edges = ((0, self._pixels), (self._pixels, middle), (middle, self.values))
        tall = np.concatenate([smalls[:, first:end].reshape(-1) for first, end in edges])
        cv2.cvtColor(tall.reshape(-1, self.width), cv2.COLOR_YUV2BGR_I420, dst=bgr)
        cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV, dst=hsv)
        shape = (count, self.height, self.width, 3)
        return Looks(bgr.reshape(shape), hsv.reshape(shape))

    def tiny(self, bgr: np.ndarray) -> np.ndarray:
        """Pictures (frames, H, W, 3) to (frames, 9, 16, 3): means over equal blocks."""
        count = len(bgr)
        tall = bgr.reshape(count * self.height, self.width, 3)
        return cv2.resize(tall, (TINY[1], count * TINY[0]), interpolation=cv2.INTER_AREA).reshape(count, *TINY, 3)


def pixels(plane: av.video.plane.VideoPlane, values: type[np.uint8] | type[np.uint16] = np.uint8) -> np.ndarray:
    """(H, W) of the decoder's own memory."""
    lines = np.frombuffer(plane, values).reshape(plane.height, -1)  # type: ignore[call-overload]
    found: np.ndarray = lines[:, : plane.width]
    return found if plane.line_size > 0 else found[::-1]


def _reading(frame: av.VideoFrame) -> _Reading | None:
    """None for what has no planes of luma and colours."""
    form = frame.format
    bits = form.components[0].bits
    yuv = form.is_planar and not form.is_rgb and len(form.components) >= 3 and len(frame.planes) >= 3
    if not yuv or not 8 <= bits <= _MOST_BITS or (form.is_big_endian and bits > 8):
        return None
    deep = 2.0 ** (8 - bits)
    if form.name.startswith("yuvj") or frame.color_range == _FULL_RANGE:
        luma, colour = LUMA_STEPS / 255 * deep, _COLOUR_STEPS / 255 * deep
        return _Reading(_values(bits), (luma, BLACK), (colour, 128 * (1 - _COLOUR_STEPS / 255)))
    return _Reading(_values(bits), (deep, 0.0), (deep, 0.0))


def _values(bits: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if bits == 8 else np.uint16
