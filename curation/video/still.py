"""One picture: what a dataset needs to know of an image, and the JPEG that goes into a shard.

Pillow decodes, in the jail like everything that strangers made. A picture is taken as it is meant to be
seen: upright by its EXIF, in sRGB by its colour profile, and over white where it is transparent.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, UnidentifiedImageError

from curation.video.clips import is_black
from curation.video.jpeg import stripped
from curation.video.motion import sharpness
from curation.video.probe import MediaError
from curation.video.remote import Media
from curation.video.thumbnails import encoded, phash

# Pillow's names of the formats that are read.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
# Pillow's own limit against pictures that unpack to more than a machine has. Pixels.
_MOST_PIXELS = 2 * 89_478_485
# What a JPEG can hold (libjpeg's JPEG_MAX_DIMENSION).
_LONGEST_SIDE = 65_500
# A JPEG is unpacked at an eighth, a quarter or half of its size where that is still this many times what is wanted.
_DRAFT = 2
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

# Threads would add to the address space that the jail bounds.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def look(media: Media, size: int) -> dict[str, Any]:
    """Facts of an image and its picture, JSON-ready but for `thumbnail`, the bytes of a JPEG.

    Args:
        size: short side of the thumbnail in pixels.

    Raises:
        MediaError: it is no image, is damaged, or has too many pixels.
    """
    with _opened(media) as image:
        width, height = _shown_size(image)
        picture, warning = _picture(image, size)
        frames = _frames(image)
    rgb = np.asarray(_scaled(picture, size))
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    brightness, contrast = float(luma.mean()) / 255, float(luma.std()) / 255
    told = [f"it holds {frames} pictures; the first is taken"] if frames > 1 else []
    return {
        "codec": str(image.format).lower(),
        "width": width,
        "height": height,
        "thumbnail": encoded(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)),
        "phash": phash(luma),
        "sharpness": sharpness(luma),
        "brightness": brightness,
        "black": float(is_black(brightness, contrast)),
        "warning": "; ".join([*told, *([warning] if warning else [])]) or None,
    }


def cut(media: Media, target: str, short_side: int | None, quality: int) -> dict[str, Any]:
    """Write an image as an upright sRGB JPEG without metadata; its index, and in `cut` whether it is a copy.

    A JPEG that is that already, and not too large, keeps its data to the bit.

    Args:
        short_side: larger images are scaled down to it; None keeps the size. Pixels.
        quality: of the JPEG, 1 to 100, where it has to be encoded.

    Raises:
        MediaError: it is no image, is damaged, or has too many pixels.
        OSError: `target` cannot be written.
    """
    with _opened(media) as image:
        small_enough = short_side is None or min(image.size) <= short_side
        as_it_is = image.format == "JPEG" and small_enough and _is_plain(image)
        picture, _ = _picture(image, None if as_it_is else short_side)
    data, way = None, "copy"
    if as_it_is:
        with _reading(media) as file:
            data = stripped(file.read())
    if data is None:
        way = "encode"
        made = io.BytesIO()
        _scaled(picture, short_side).save(made, "JPEG", quality=quality, optimize=True)
        data = made.getvalue()
    Path(target).write_bytes(data)
    return index(Path(target)) | {"cut": way}


def index(media: Media) -> dict[str, Any]:
    """The index of a finished image, with its picture decoded as a check: as of a video of one frame.

    Raises:
        MediaError: it is no JPEG, or is damaged.
    """
    with _opened(media, ("JPEG",)) as image:
        width, height = image.size
        _loaded(image)
    return {
        "width": width,
        "height": height,
        "frames": 1,
        "frame_pts": [0],
        "frame_time_base": "1/1",
        "duration_s": 0.0,
        "keyframes": [0],
        "keyframe_bytes": [0],
    }


@contextlib.contextmanager
def _reading(media: Media) -> Iterator[Any]:
    if isinstance(media, Path):
        with open(media, "rb") as file:
            yield file
    else:
        yield media.open()


@contextlib.contextmanager
def _opened(media: Media, formats: tuple[str, ...] = FORMATS) -> Iterator[Image.Image]:
    with _reading(media) as file:
        try:
            image = Image.open(file, formats=formats)
        except MemoryError:
            raise
        except UnidentifiedImageError:
            file.seek(0)
            raise MediaError(_why_unreadable(file.read(64))) from None
        except Image.DecompressionBombError:
            raise MediaError(f"an image of more than {_MOST_PIXELS:,} pixels") from None
        except Exception as error:  # what a damaged header makes of Pillow's readers is not agreed upon
            raise _damaged(error) from None
        if max(image.size) > _LONGEST_SIDE:
            raise MediaError(f"an image of {image.width}x{image.height}; no side may be longer than {_LONGEST_SIDE:,}")
        yield image


def _loaded(image: Image.Image) -> None:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> MediaError:
    reason = " ".join(str(error).split())[:100] or type(error).__name__
    return MediaError(f"the image is damaged or of a kind that is not read ({reason})")


def _picture(image: Image.Image, short_side: int | None) -> tuple[Image.Image, str | None]:
    """The decoded picture, not much larger than it needs to be for this short side, and what is wrong with it."""
    if short_side is not None:
        shrink = min(image.size) / (_DRAFT * short_side)
        if shrink > 1:
            image.draft(None, (round(image.width / shrink), round(image.height / shrink)))
    _loaded(image)
    turn = _TURNS.get(_orientation(image))
    try:
        rgb, warning = _in_rgb(image)
        return (rgb.transpose(turn) if turn is not None else rgb), warning
    except (MemoryError, MediaError):
        raise
    except Exception as error:
        raise _damaged(error) from None


def _in_rgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    """The same picture as 8-bit sRGB over white, and what could not be heeded."""
    if image.mode in ("I", "F"):
        raise MediaError("its pixels are numbers of 32 bits, of which nobody says what is white")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB"), None
    alpha = None
    if image.has_transparency_data:
        image = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode in ("P", "1", "PA", "RGBX"):
        image = image.convert("RGB")
    rgb, warning = _in_srgb(image)
    if alpha is not None:
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        rgb = white
    return rgb, warning


def _in_srgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    profile = image.info.get("icc_profile")
    if not profile or _is_srgb(profile):
        return image.convert("RGB"), None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        made = ImageCms.profileToProfile(image, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
        if made is not None:
            return made, None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass
    return image.convert("RGB"), "its colour profile cannot be used"


def _is_srgb(profile: bytes) -> bool:
    try:
        return "srgb" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).lower()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False


def _is_plain(image: Image.Image) -> bool:
    """Whether every reader shows this JPEG as it is meant to be seen."""
    profile = image.info.get("icc_profile")
    return image.mode in ("RGB", "L") and _orientation(image) == 1 and (not profile or _is_srgb(profile))


def _orientation(image: Image.Image) -> int:
    """The EXIF's, from 1 to 8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # many cameras and programs write EXIF that is none
        return 1
    return value if value in _TURNS else 1


def _shown_size(image: Image.Image) -> tuple[int, int]:
    return image.size[::-1] if _orientation(image) in _SIDEWAYS else image.size


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damage behind the first picture, which alone counts
        return 1


def _scaled(picture: Image.Image, short_side: int | None) -> Image.Image:
    """Scaled down to this short side; smaller pictures stay as they are."""
    if short_side is None or min(picture.size) <= short_side:
        return picture
    scale = short_side / min(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _why_unreadable(start: bytes) -> str:
    if not start:
        return "the file is empty"
    head = start.lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page and no image"
    if start[4:8] == b"ftyp" or start.startswith((b"\x1a\x45\xdf\xa3", b"FLV", b"OggS")):
        return "no image that can be read; if it is a video, list it with `kind: video`"
    return "not an image that can be read"
