"""Small still images of every kind that the internet holds, good and bad."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """Smooth colours with a red corner at the top left and a dark line at the bottom, so that a turn shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([90 + 80 * x, 120 + 60 * y, 200 - 90 * x], axis=-1).astype(np.uint8)
    rgb[: height // 4, : width // 4] = (220, 30, 30)
    rgb[-height // 8 :] = (20, 20, 40)
    return Image.fromarray(rgb)


def saved(image: Image.Image, format_: str, **how: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, format_, **how)
    return made.getvalue()


def turned(orientation: int, width: int = 96, height: int = 64) -> bytes:
    """A JPEG of `scene` as a camera leaves it that was held otherwise, with its place on the earth."""
    back = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    back |= {2: Image.Transpose.FLIP_LEFT_RIGHT, 5: Image.Transpose.TRANSPOSE, 7: Image.Transpose.TRANSVERSE}
    image = scene(width, height)
    stored = image if (turn := back[orientation]) is None else image.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}
    exif[0x010F] = "a camera of mine"
    return saved(stored, "JPEG", quality=95, exif=exif)


def sixteen_bits() -> bytes:
    grey = np.asarray(scene().convert("L")).astype(np.uint16) * 257
    return saved(Image.fromarray(grey), "PNG")


def transparent(format_: str) -> bytes:
    """The left half is not to be seen."""
    image = scene().convert("RGBA")
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:, :48] = 0
    image.putalpha(Image.fromarray(alpha))
    return saved(image, format_, **({"lossless": True} if format_ == "WEBP" else {}))


def of_another_profile() -> bytes:
    """`scene` with red and green in each other's place, and a profile that says so."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "ours".encode("utf-16-be"))
    profile = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    red, green, blue = scene().split()
    return saved(Image.merge("RGB", (green, red, blue)), "PNG", icc_profile=profile)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that claims to be so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def moving(format_: str = "GIF") -> bytes:
    frames = [scene(), scene().rotate(180), scene().rotate(90)]
    return saved(frames[0], format_, save_all=True, append_images=frames[1:], duration=100)


def good() -> dict[str, bytes]:
    """By name; every one shows `scene`, and those that cannot hold it in full show it nearly."""
    image = scene()
    return {
        "plain.jpg": saved(image, "JPEG", quality=95),
        "progressive.jpg": saved(image, "JPEG", quality=95, progressive=True, comment=b"words"),
        "grey.jpg": saved(image.convert("L"), "JPEG", quality=95),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG", quality=95),
        "plain.png": saved(image, "PNG"),
        "palette.png": saved(image.quantize(64), "PNG"),
        "lines.png": saved(image.convert("1"), "PNG"),
        "grey16.png": sixteen_bits(),
        "plain.webp": saved(image, "WEBP", lossless=True),
        "plain.gif": saved(image.quantize(128), "GIF"),
        "moving.gif": moving(),
        "moving.webp": moving("WEBP"),
        "plain.bmp": saved(image, "BMP"),
        "plain.tif": saved(image, "TIFF", compression="tiff_lzw"),
        "plain.avif": saved(image, "AVIF", quality=95),
        "plain.jp2": saved(image, "JPEG2000"),
        "turned6.jpg": turned(6),
        "turned5.jpg": turned(5),
        "no-ending": saved(image, "PNG"),
    }


def bad() -> dict[str, tuple[bytes, str]]:
    """By name, with words of the reason."""
    jpeg = saved(scene(), "JPEG", quality=95)
    return {
        "empty.jpg": (b"", "the file is empty"),
        "words.jpg": (b"these are words " * 40, "not an image that can be read"),
        "page.jpg": (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page and no image"),
        "film.jpg": (b"\0\0\0\x20ftypisom" + bytes(100), "kind: video"),
        "cut-off.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "header.jpg": (jpeg[:40], "damaged"),
        "bomb.png": (bomb(), "more than 178,956,970 pixels"),
        "long.png": (bomb(70_000, 2), "70000x2"),
        "floats.tif": (saved(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "nobody says what is white"),
        "short.png": (bomb(200, 200), "damaged"),
    }
