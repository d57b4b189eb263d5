"""Between numbers and pictures: latents to frames, frames to numbers, and the frames of a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from curation.errors import UserError
from training.models.lavie.latents import Latents, Pixels

Frames = NDArray[np.uint8]
"""RGB, (frames, height, width, 3)."""

AT_ONCE = 4
"""Frames that are handed on together."""
MAX_PIXELS = 1 << 31
"""Of all frames of a file together; 61 frames of 1280x2048 are a thirteenth."""
MAX_PICTURE = 1 << 26
"""Of a single picture."""
# A stranger's file is opened as one of these; none of them can name other files.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"


def decoded(space: Pixels | Latents, latents: Tensor) -> Iterator[Frames]:
    """The frames of one clip, a few at a time, so that only these are ever in memory as pictures.

    Args:
        latents: (channels, frames, height, width).
    """
    for part in latents.split(AT_ONCE, dim=1):
        rgb = (space.decode(part[None])[0].float().clamp(-1, 1) + 1) * 127.5
        yield rgb.round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def as_numbers(frames: Frames, device: torch.device) -> Tensor:
    """Frames to RGB in -1 to 1, fp32 (3, frames, height, width)."""
    return torch.from_numpy(frames).to(device).permute(3, 0, 1, 2).float() / 127.5 - 1


def read(path: Path, size: tuple[int, int] | None = None, most: int | None = None) -> tuple[Frames, Fraction]:
    """The frames of a video and how many there are a second.

    Args:
        size: height and width that they are scaled to cover and cropped to in the middle; their own unless given.
        most: how many frames are read; all unless given.

    Raises:
        UserError: it is no video that can be read, or too long.
    """
    frames: list[Frames] = []
    try:
        with av.open(str(path), options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise UserError(f"--video {path}: no video in this file")
            stream = container.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height > MAX_PICTURE:
                raise UserError(f"--video {path}: its frames are too large")
            rate = stream.average_rate or stream.guessed_rate
            if not rate:
                raise UserError(f"--video {path}: its frame rate is not known")
            for frame in itertools.islice(container.decode(stream), most):
                picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                frames.append(_covering(picture, size) if size else picture)
                if frames[0].shape != frames[-1].shape:
                    raise UserError(f"--video {path}: the size of its frames changes")
                if len(frames) * frames[0].size > 3 * MAX_PIXELS:
                    raise UserError(f"--video {path}: too long at this size; cut a piece out of it")
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise UserError(f"--video {path}: cannot be read: {' '.join(str(error).split())}") from error
    if not frames:
        raise UserError(f"--video {path}: no frame in this file")
    return np.stack(frames), Fraction(rate)


def read_image(path: Path, size: tuple[int, int]) -> Frames:
    """A JPEG, PNG or WebP, upright, scaled to cover `size` and cropped to it in the middle; one frame.

    Raises:
        UserError: it is none of these, damaged, or larger than anybody's.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.width * picture.height > MAX_PICTURE:
                raise ValueError(f"{picture.width}x{picture.height} pixels are too many")
            upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"--first {path}: cannot be read: {' '.join(str(error).split())}") from error
    return _covering(upright, size)[None]


def _covering(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = picture if large == (height, width) else cv2.resize(picture, large[::-1], interpolation=way)
    top, left = (large[0] - size[0]) // 2, (large[1] - size[1]) // 2
    return np.ascontiguousarray(scaled[top : top + size[0], left : left + size[1]])
