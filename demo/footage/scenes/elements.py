"""What many scenes share: stars, clouds, hills, trees, water that mirrors what stands above it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
    Colour,
    Field,
    Picture,
    Size,
    Strip,
    disc,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    ridge,
    smoothstep,
)


class Stars:
    """A night sky in which half of the stars dim while the other half brightens."""

    def __init__(self, size: Size, count: int, seed: int, lowest: float = 1.0) -> None:
        width, height = size
        rng = np.random.default_rng(seed)
        self.layers = [np.zeros((height, width, 3), np.uint8) for _ in range(2)]
        tints = [rgb("#ffffff"), rgb("#cfdcff"), rgb("#ffe9c9")]
        for index in range(count):
            x, y = rng.random() * width, rng.random() ** 1.3 * height * lowest
            bright = 0.25 + 0.75 * rng.random() ** 3
            tint = mix((0, 0, 0), tints[index % 3], bright)
            disc(self.layers[index % 2], x, y, height / 360 * (0.5 + 0.9 * bright**2), tint)

    def add(self, picture: Picture, t: float, strength: float = 1.0) -> Picture:
        sway = 0.25 * np.sin(2.2 * t)
        first = cv2.addWeighted(picture, 1.0, self.layers[0], strength * (0.75 + sway), 0)
        return cv2.addWeighted(first, 1.0, self.layers[1], strength * (0.75 - sway), 0)


def cloud_strip(
    size: Size,
    seed: int,
    lit: str,
    shade: str,
    amount: float = 0.5,
    lowest: float = 0.6,
    opacity: float = 0.9,
) -> Strip:
    """Heaped clouds, lit from above, in the upper `lowest` of the picture."""
    width, height = size
    period = width * 2
    shape = noise(period, height, (6, 5), 6, seed, 0.52)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    presence = shape - 0.9 * np.abs(rows / lowest - 0.5) ** 2
    cover = smoothstep(1 - amount - 0.08, 1 - amount + 0.16, presence) * smoothstep(lowest, lowest * 0.6, rows)
    above = np.roll(shape, round(height * 0.035), axis=0)
    light = np.clip(0.55 + 3.2 * (shape - above) + 0.25 * (1 - rows / lowest), 0, 1)[..., None]
    colours = np.array(rgb(shade), np.float32) * (1 - light) + np.array(rgb(lit), np.float32) * light
    cel = Cel(period, height)
    cel.wash(colours, cover * opacity)
    return Strip(cel, width)


def ridge_cel(
    size: Size,
    heights: Field,
    stops: Sequence[tuple[float, str]],
    seed: int,
    texture: float = 0.18,
    relief: float = 6.0,
) -> Cel:
    """Land below a line of heights (pixels from the top), coloured by depth, lit from the left."""
    height, period = size[1], len(heights)
    rows = np.arange(height, dtype=np.float32)[:, None]
    depth = np.clip((rows - heights[None]) / (height * 0.45), 0, 1)
    colours = ramp(stops, depth)
    slope = (np.roll(heights, -4) - np.roll(heights, 4)) / 8
    lighting = 1 - np.clip(slope * relief / 10, -0.35, 0.35)[None] * np.exp(-depth * 6)
    grain = noise(period, height, (period // 10, height // 8), 3, seed) - 0.5
    broad = noise(period, height, (8, 14), 4, seed + 1) - 0.5
    colours *= (lighting + texture * (grain * 0.7 + broad))[..., None]
    cel = Cel(period, height)
    cel.wash(np.clip(colours, 0, 255), np.clip(rows - heights[None] + 0.5, 0, 1))
    return cel


def hills(size: Size, level: float, swing: float, cells: int, seed: int, octaves: int = 4, keep: float = 0.45) -> Field:
    """Heights of a line of hills, in pixels from the top: around `level`, `swing` high (shares of height)."""
    width, height = size
    return height * (level - swing * (ridge(width * 2, cells, octaves, seed, keep) - 0.35))


def round_tree(cel: Cel, x: float, y: float, tall: float, leaf: Colour, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trunk = mix(leaf, rgb("#2a1c12"), 0.75)
    cel.polygon(
        [
            (x - tall * 0.04, y),
            (x + tall * 0.04, y),
            (x + tall * 0.02, y - tall * 0.5),
            (x - tall * 0.02, y - tall * 0.5),
        ],
        trunk,
    )
    for step in range(14):
        angle, reach = rng.random() * 6.28, rng.random() ** 0.5
        px = x + np.cos(angle) * reach * tall * 0.26
        py = y - tall * 0.64 + np.sin(angle) * reach * tall * 0.28
        light = np.clip(0.5 - 0.9 * (py - (y - tall * 0.64)) / tall - 0.6 * (px - x) / tall, 0, 1)
        tone = mix(mix(leaf, (0, 0, 0), 0.35), mix(leaf, (255, 250, 200), 0.3), float(light))
        cel.disc(px, py, tall * (0.11 + 0.07 * rng.random() + 0.002 * step), tone)


def fir_tree(cel: Cel, x: float, y: float, tall: float, leaf: Colour, snow: Colour | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cel.polygon([(x - tall * 0.025, y), (x + tall * 0.025, y), (x, y - tall * 0.5)], mix(leaf, (20, 12, 8), 0.6))
    tiers = 6
    for tier in range(tiers):
        share = tier / tiers
        base, half = y - tall * (0.08 + 0.8 * share), tall * 0.24 * (1 - share * 0.88)
        peak = base - tall * 0.3 * (1 - share * 0.35)
        sag = tall * 0.03
        jag = [
            (x + half * k, base + sag * (1 if i % 2 else -0.4) * (0.6 + 0.6 * rng.random()))
            for i, k in enumerate(np.linspace(1, -1, 9))
        ]
        cel.polygon([(x, peak), *jag], mix(leaf, (0, 0, 0), 0.25 * (1 - share)))
        if snow is not None:
            cap = [
                (x + half * k * 0.85, base - tall * 0.05 * (1 - abs(k)) - sag * (i % 2) * 1.6)
                for i, k in enumerate(np.linspace(0.9, -1, 8))
            ]
            cel.polygon([(x, peak), *cap], mix(snow, leaf, 0.12 + 0.3 * rng.random()))


class Water:
    """A sheet of water from `horizon` down, which mirrors the picture above it in moving waves."""

    def __init__(
        self,
        size: Size,
        horizon: int,
        seed: int,
        tint: str,
        deep: str,
        sparkle: str = "#fff2d0",
        glitter: float = 0.6,
        path_x: float = 0.5,
        swell: float = 1.0,
    ) -> None:
        width, height = size
        self.horizon = horizon
        rows = height - horizon
        self.texture = noise(256, 256, (16, 16), 3, seed)
        down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        depth = 1 / (0.09 + down)
        across = (np.arange(width, dtype=np.float32)[None] - width / 2) / height
        self.u = (across * depth * 46).astype(np.float32)
        self.v = np.broadcast_to(depth * 110, self.u.shape).astype(np.float32)
        self.x = np.broadcast_to(np.arange(width, dtype=np.float32)[None], self.u.shape).copy()
        self.y = np.broadcast_to(horizon - 1 - down * rows * min(1.0, horizon / rows), self.u.shape).copy()
        self.amplitude = (swell * height * (0.012 + 0.17 * down)).astype(np.float32)
        near = down[..., None]
        tinting = np.array(rgb(tint), np.float32) * (1 - 0.35 * near)
        self.tint = np.broadcast_to(tinting, (rows, width, 3)).astype(np.uint8)
        depths = np.array(rgb(deep), np.float32) * near**0.7
        self.deep = np.broadcast_to(depths, (rows, width, 3)).astype(np.uint8)
        path = np.exp(-(((across - (path_x - 0.5) * width / height) / (0.06 + 0.30 * down)) ** 2))
        self.glitter = (glitter * (path + 0.10) * (1 - 0.45 * down)).astype(np.float32)
        self.sparkle = palette([(0, "#000000"), (1, sparkle)])

    def paint(self, picture: Picture, t: float) -> None:
        one = cv2.remap(self.texture, self.u + 9 * t, self.v + 13 * t, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        two = cv2.remap(
            self.texture, self.u * 1.9 - 11 * t, self.v * 1.9 + 17 * t, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
        )
        wave = one + two - 1.0
        above = np.minimum(self.y + wave * self.amplitude * 1.3, self.horizon - 1)
        mirrored = cv2.remap(
            picture, self.x + wave * self.amplitude * 0.35, above, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT
        )
        body = cv2.add(cv2.multiply(mirrored, self.tint, scale=1 / 255), self.deep)
        crest = np.clip((wave - 0.12) * 3.0, 0, 1) * self.glitter
        shaded = cv2.multiply(body, cv2.merge([np.clip(215 + 120 * wave, 90, 255).astype(np.uint8)] * 3), scale=1 / 230)
        picture[self.horizon :] = cv2.add(shaded, _glints(crest, self.sparkle))


def _glints(crest: Field, table: Picture) -> Picture:
    grey = cv2.convertScaleAbs(crest, alpha=255.0)
    return cv2.LUT(cv2.merge([grey, grey, grey]), table[None])
