"""Brushes: colours, noise, gradients, anti-aliased shapes, cels, strips that scroll, light and film grain.

Pictures are uint8 arrays, height x width x 3, RGB. Coordinates are floats in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Size = tuple[int, int]
Colour = tuple[int, int, int]
Picture = NDArray[Any]
Field = NDArray[Any]
Scene = Callable[[float], Picture]
Paint = Sequence[float] | NDArray[Any]
Points = ArrayLike | Sequence[Any]

_SUBPIXEL_BITS = 4
_SUBPIXEL = 1 << _SUBPIXEL_BITS


def rgb(code: str) -> Colour:
    """A colour from a code such as "#ffcc88"."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies `share` of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def smoothstep(low: float, high: float, values: Field) -> Field:
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def noise(width: int, height: int, cells: tuple[int, int], octaves: int, seed: int, keep: float = 0.5) -> Field:
    """Value noise in 0..1 that tiles in both directions; `cells`: columns and rows of the coarsest octave."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    weight, weights = 1.0, 0.0
    columns, rows = cells
    for _ in range(octaves):
        grid = np.pad(rng.random((rows, columns), dtype=np.float32), 2, mode="wrap")
        across = np.arange(width, dtype=np.float32) * (columns / width) + 2
        down = np.arange(height, dtype=np.float32) * (rows / height) + 2
        map_x, map_y = np.meshgrid(across, down)
        total += weight * cv2.remap(grid, map_x, map_y, cv2.INTER_CUBIC)
        weights += weight
        weight *= keep
        columns, rows = columns * 2, rows * 2
    total /= weights
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def ridge(width: int, cells: int, octaves: int, seed: int, keep: float = 0.5) -> Field:
    """A line of heights in 0..1 that tiles."""
    return noise(width, 1, (cells, 1), octaves, seed, keep)[0]


def ramp(stops: Sequence[tuple[float, str]], positions: ArrayLike) -> Field:
    """Colours (float, 0..255) along a list of (position, colour code) stops."""
    at = [position for position, _ in stops]
    colours = np.array([rgb(code) for _, code in stops], np.float32)
    values = np.asarray(positions, np.float32)
    return np.stack([np.interp(values, at, colours[:, channel]) for channel in range(3)], -1).astype(np.float32)


def palette(stops: Sequence[tuple[float, str]]) -> Picture:
    """A table of 256 colours to paint a grey picture with `colourise`."""
    return np.clip(ramp(stops, np.linspace(0, 1, 256)), 0, 255).astype(np.uint8)


def colourise(field: Field, table: Picture) -> Picture:
    """Paint a field of values in 0..1 with a table of 256 colours."""
    grey = cv2.convertScaleAbs(field, alpha=255.0)
    return cv2.LUT(cv2.merge([grey, grey, grey]), table[None])


def dithered(values: Field, seed: int = 0) -> Picture:
    """Float colours (0..255) to a picture, with noise below one step so that gradients do not band."""
    rng = np.random.default_rng(seed)
    return np.clip(values + rng.random(values.shape[:2], dtype=np.float32)[..., None], 0, 255).astype(np.uint8)


def sky(size: Size, stops: Sequence[tuple[float, str]], seed: int = 0) -> Picture:
    """A vertical gradient over the whole picture."""
    width, height = size
    column = ramp(stops, np.linspace(0, 1, height))
    return dithered(np.repeat(column[:, None], width, axis=1), seed)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(np.asarray(points, np.float64) * _SUBPIXEL).astype(np.int32)


def polygon(picture: Picture, points: Points, colour: Paint) -> None:
    cv2.fillPoly(picture, [_fixed(points)], tuple(map(float, colour)), cv2.LINE_AA, _SUBPIXEL_BITS)


def stroke(picture: Picture, points: Points, colour: Paint, thickness: float = 1.0) -> None:
    cv2.polylines(
        picture,
        [_fixed(points)],
        False,
        tuple(map(float, colour)),
        max(1, round(thickness)),
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )


def disc(picture: Picture, x: float, y: float, radius: float, colour: Paint) -> None:
    if -radius < x < picture.shape[1] + radius and -radius < y < picture.shape[0] + radius:
        centre = (round(x * _SUBPIXEL), round(y * _SUBPIXEL))
        cv2.circle(
            picture,
            centre,
            max(1, round(radius * _SUBPIXEL)),
            tuple(map(float, colour)),
            -1,
            cv2.LINE_AA,
            _SUBPIXEL_BITS,
        )


def oval(x: float, y: float, across: float, down: float, angle: float = 0.0, corners: int = 28) -> Field:
    """The outline of an ellipse, as points."""
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return turned(np.stack([across * np.cos(turn), down * np.sin(turn)], -1), angle, 1.0, x, y)


def turned(points: Points, angle: float, scale: float, x: float, y: float) -> Field:
    """Points turned about the origin, scaled, and moved to (x, y)."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return np.asarray(points, np.float64) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


class Cel:
    """A transparent sheet: colours drawn on black (so already multiplied by coverage) and their coverage."""

    def __init__(self, width: int, height: int) -> None:
        self.colour: Picture = np.zeros((height, width, 3), np.uint8)
        self.cover: Picture = np.zeros((height, width), np.uint8)

    def polygon(self, points: Points, colour: Paint) -> None:
        polygon(self.colour, points, colour)
        polygon(self.cover, points, (255,))

    def stroke(self, points: Points, colour: Paint, thickness: float = 1.0) -> None:
        stroke(self.colour, points, colour, thickness)
        stroke(self.cover, points, (255,), thickness)

    def disc(self, x: float, y: float, radius: float, colour: Paint) -> None:
        disc(self.colour, x, y, radius, colour)
        disc(self.cover, x, y, radius, (255,))

    def wash(self, colours: Field, cover: Field) -> None:
        """Lay float colours (0..255) with a coverage in 0..1 over the sheet."""
        cover3 = np.asarray(cover, np.float32)[..., None]
        self.colour = dithered(self.colour * (1 - cover3) + colours * cover3 - 0.5 * (1 - cover3))
        self.cover = np.clip(self.cover * (1 - cover3[..., 0]) + 255 * cover3[..., 0], 0, 255).astype(np.uint8)

    def tint(self, factor: Field) -> None:
        """Multiply the colours, for shading and texture."""
        self.colour = np.clip(self.colour * factor, 0, 255).astype(np.uint8)


class Strip:
    """A cel that repeats sideways and can be laid over a picture at any (fractional) offset."""

    def __init__(self, cel: Cel, view: int) -> None:
        rows = np.flatnonzero(cel.cover.any(axis=1))
        self.top, self.bottom = int(rows[0]), int(rows[-1]) + 1
        self.period = cel.cover.shape[1]
        self.view = view
        columns = np.arange(self.period + view + 2) % self.period
        self.colour = np.ascontiguousarray(cel.colour[self.top : self.bottom, columns])
        self.veil = cv2.merge([255 - cel.cover[self.top : self.bottom, columns]] * 3)

    def over(self, picture: Picture, offset: float, drop: int = 0) -> None:
        offset %= self.period
        whole = int(offset)
        share = offset - whole
        top, bottom = self.top + drop, min(self.bottom + drop, picture.shape[0])
        if bottom <= top:
            return
        band = slice(0, bottom - top)
        here, next_ = slice(whole, whole + self.view), slice(whole + 1, whole + 1 + self.view)
        colour = cv2.addWeighted(self.colour[band, here], 1 - share, self.colour[band, next_], share, 0)
        veil = cv2.addWeighted(self.veil[band, here], 1 - share, self.veil[band, next_], share, 0)
        region = picture[top:bottom]
        region[:] = cv2.add(cv2.multiply(region, veil, scale=1 / 255), colour)


def place(
    picture: Picture,
    cel: Cel,
    x: float,
    y: float,
    scale: float = 1.0,
    angle: float = 0.0,
    squeeze: float = 1.0,
    opacity: float = 1.0,
) -> None:
    """Lay a cel with its centre at (x, y), scaled, turned, and narrowed by `squeeze` along its own width."""
    height, width = cel.cover.shape
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array([[cos * squeeze, -sin], [sin * squeeze, cos]])
    half = np.abs(matrix) @ (width / 2, height / 2) + 1
    left, top = max(0, int(x - half[0])), max(0, int(y - half[1]))
    right, bottom = min(picture.shape[1], int(x + half[0]) + 1), min(picture.shape[0], int(y + half[1]) + 1)
    if right <= left or bottom <= top:
        return
    move = np.array([x - left, y - top]) - matrix @ (width / 2, height / 2)
    warp = np.hstack([matrix, move[:, None]])
    box = (right - left, bottom - top)
    colour = cv2.warpAffine(cel.colour, warp, box, flags=cv2.INTER_LINEAR)
    cover = cv2.warpAffine(cel.cover, warp, box, flags=cv2.INTER_LINEAR)
    if opacity < 1:
        colour, cover = cv2.convertScaleAbs(colour, alpha=opacity), cv2.convertScaleAbs(cover, alpha=opacity)
    region = picture[top:bottom, left:right]
    region[:] = cv2.add(cv2.multiply(region, cv2.merge([255 - cover] * 3), scale=1 / 255), colour)


def lamp(radius: int, colour: Colour, sharpness: float = 2.0) -> Picture:
    """A round soft light, to be added with `shine`."""
    across = (np.arange(2 * radius + 1, dtype=np.float32) - radius) / radius
    fall = np.clip(1 - np.hypot(across[:, None], across[None]), 0, 1) ** sharpness
    return dithered(fall[..., None] * np.array(colour, np.float32) - 0.5)


def shine(picture: Picture, light: Picture, x: float, y: float, strength: float = 1.0) -> None:
    """Add a light with its centre at (x, y)."""
    height, width = light.shape[:2]
    left, top = round(x - width / 2), round(y - height / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(picture.shape[1], left + width), min(picture.shape[0], top + height)
    if x1 > x0 and y1 > y0 and strength > 0:
        part = light[y0 - top : y1 - top, x0 - left : x1 - left]
        region = picture[y0:y1, x0:x1]
        region[:] = cv2.add(region, part if strength == 1 else cv2.convertScaleAbs(part, alpha=strength))


def bloom(picture: Picture, threshold: int = 170, spread: float = 3.0, strength: float = 0.8) -> Picture:
    """Let what is bright glow softly into what is around it."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    bright = cv2.subtract(small, np.full_like(small, threshold))
    soft = cv2.GaussianBlur(bright, (0, 0), spread)
    wide = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.addWeighted(picture, 1.0, wide, strength * 255 / max(1, 255 - threshold), 0)


class Film:
    """What the camera adds to each picture: darker corners and light grain."""

    def __init__(self, size: Size, seed: int, corners: float = 0.35, grain: float = 1.7) -> None:
        width, height = size
        across = np.linspace(-1, 1, width, dtype=np.float32)
        down = np.linspace(-1, 1, height, dtype=np.float32)
        distance = across[None] ** 2 + down[:, None] ** 2
        shade = np.clip(255 * (1 - corners * (distance / 2) ** 1.5), 0, 255)
        self.corners = cv2.merge([shade.astype(np.uint8)] * 3)
        rng = np.random.default_rng(seed)
        speckle = np.round(rng.normal(0, grain, (6, height, width))).astype(np.int8)
        self.brighter = [cv2.merge([np.clip(layer, 0, 9).astype(np.uint8)] * 3) for layer in speckle]
        self.darker = [cv2.merge([np.clip(-layer, 0, 9).astype(np.uint8)] * 3) for layer in speckle]

    def expose(self, picture: Picture, t: float) -> Picture:
        turn = round(t * 60)
        shaded = cv2.multiply(picture, self.corners, scale=1 / 255)
        return cv2.subtract(cv2.add(shaded, self.brighter[turn % 6]), self.darker[turn % 5])
