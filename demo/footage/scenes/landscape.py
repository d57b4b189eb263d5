"""Open country by day: hills with a windmill, balloons over fields."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
    Colour,
    Film,
    Picture,
    Scene,
    Size,
    Strip,
    bloom,
    dithered,
    lamp,
    mix,
    noise,
    place,
    polygon,
    rgb,
    shine,
    sky,
    smoothstep,
    stroke,
)
from demo.footage.scenes.elements import cloud_strip, hills, ridge_cel, round_tree

_DAY: dict[str, Any] = {
    "sky": [(0, "#2f7fc8"), (0.45, "#8cc4ea"), (0.7, "#e3f0ee")],
    "cloud": ("#ffffff", "#a9bdd2"),
    "land": [("#9fbcc4", "#86aab0"), ("#86b08c", "#6a9a72"), ("#7db04c", "#4e8a3a"), ("#6da53a", "#2f6428")],
    "tree": ["#4f8a52", "#3c7a34", "#2f6a26"],
    "sun": "#fff6dc",
}
_EVENING: dict[str, Any] = {
    "sky": [(0, "#4a4a86"), (0.35, "#c8748a"), (0.6, "#ffb36b"), (0.75, "#ffe2a0")],
    "cloud": ("#ffd0a0", "#a4607c"),
    "land": [("#b87f84", "#a06a78"), ("#8f6a56", "#6e4c4a"), ("#7d6a3a", "#4a3f2a"), ("#5d5a2a", "#241f18")],
    "tree": ["#5d4a3c", "#4a4228", "#2e2c1a"],
    "sun": "#ffcf80",
}


def windmill_hills(size: Size, seed: int, light: str = "day", speed: float = 26.0) -> Scene:
    """Rolling hills slide by under heaped clouds; a white windmill turns its sails."""
    width, height = size
    look = _EVENING if light == "evening" else _DAY
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    backdrop = sky(size, look["sky"], seed)
    sun = lamp(round(height * 0.5), mix((0, 0, 0), rgb(look["sun"]), 0.75), 2.4)
    shine(backdrop, sun, width * 0.74, height * (0.42 if light == "evening" else 0.16))
    lit, shade = look["cloud"]
    far_clouds = cloud_strip(size, seed + 1, lit, shade, amount=0.46, lowest=0.62, opacity=0.75)
    near_clouds = cloud_strip(size, seed + 2, lit, shade, amount=0.4, lowest=0.5)
    strips: list[tuple[Strip, float]] = []
    levels = [(0.60, 0.16, 5), (0.68, 0.16, 4), (0.78, 0.15, 3), (0.92, 0.10, 3)]
    mill_at = (0.0, 0.0)
    for index, (level, swing, cells) in enumerate(levels):
        heights = hills(size, level, swing, cells, seed + 10 * index, 3 if index else 5)
        top, bottom = look["land"][index]
        cel = ridge_cel(size, heights, [(0, top), (1, bottom)], seed + index, 0.14 + 0.05 * index)
        if index:
            for number in range((16, 10, 9)[index - 1]):
                x = rng.uniform(0.06, 0.94) * width * 2
                tall = height * (0.06, 0.11, 0.20)[index - 1] * rng.uniform(0.7, 1.25)
                if index != 2 or abs(x - width * 0.95) > width * 0.16:
                    round_tree(cel, x, heights[int(x)] + tall * 0.05, tall, rgb(look["tree"][index - 1]), seed + number)
        if index == 2:
            x = width * 0.95
            mill_at = (x, float(heights[int(x)]) - height * 0.30)
            _mill_tower(cel, x, float(heights[int(x)]) + 3, height * 0.30, light)
        strips.append((Strip(cel, width), (0.12, 0.3, 0.62, 1.35)[index]))

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        far_clouds.over(picture, 5 * t + 40)
        near_clouds.over(picture, 11 * t + 300)
        for index, (strip, pace) in enumerate(strips):
            shift = speed * height / 360 * pace * t + width * 0.35 * (index == 2)
            strip.over(picture, shift)
            if index == 2:
                x = (mill_at[0] - shift) % (2 * width)
                for lap in (x, x - 2 * width):
                    _mill_sails(picture, lap, mill_at[1], height * 0.19, 0.9 * t, light)
        return film.expose(bloom(picture, 215, 4, 0.5), t)

    return paint


def _mill_tower(cel: Cel, x: float, y: float, tall: float, light: str) -> None:
    wall = rgb("#f4efe2") if light == "day" else rgb("#d8a888")
    shadow = mix(wall, rgb("#50506a"), 0.45)
    wide = tall * 0.17
    cel.polygon([(x - wide, y), (x + wide, y), (x + wide * 0.6, y - tall), (x - wide * 0.6, y - tall)], wall)
    cel.polygon([(x + wide * 0.2, y), (x + wide, y), (x + wide * 0.6, y - tall), (x + wide * 0.1, y - tall)], shadow)
    cel.polygon([(x - wide * 0.8, y - tall), (x + wide * 0.8, y - tall), (x, y - tall * 1.2)], rgb("#7a3b2e"))
    cel.polygon(
        [
            (x - wide * 0.25, y),
            (x + wide * 0.2, y),
            (x + wide * 0.2, y - tall * 0.17),
            (x - wide * 0.25, y - tall * 0.17),
        ],
        rgb("#5a3524"),
    )
    for share in (0.38, 0.64):
        cel.polygon(
            [
                (x - wide * 0.3, y - tall * share),
                (x, y - tall * share),
                (x, y - tall * (share + 0.08)),
                (x - wide * 0.3, y - tall * (share + 0.08)),
            ],
            rgb("#3a3a48"),
        )


def _mill_sails(picture: Picture, x: float, y: float, reach: float, angle: float, light: str) -> None:
    if not -reach * 2 < x < picture.shape[1] + reach * 2:
        return
    cloth = rgb("#fffaf0") if light == "day" else rgb("#ffd9b0")
    wood = rgb("#5b4634")
    for quarter in range(4):
        turn = angle + quarter * np.pi / 2
        along, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        hub = np.array([x, y])
        sail = [
            hub + along * reach * 0.18,
            hub + along * reach,
            hub + along * reach + aside * reach * 0.17,
            hub + along * reach * 0.18 + aside * reach * 0.14,
        ]
        polygon(picture, sail, cloth)
        stroke(picture, [hub, hub + along * reach], wood, 2)
        for rung in np.linspace(0.25, 0.95, 6):
            stroke(picture, [hub + along * reach * rung, hub + along * reach * rung + aside * reach * 0.15], wood)
    polygon(picture, [(x - 4, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 4, y + 4)], wood)


def balloons(size: Size, seed: int, count: int = 6) -> Scene:
    """Striped hot-air balloons drift over a patchwork of fields on a hazy morning."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    horizon = round(height * 0.56)
    backdrop = sky(size, [(0, "#4f8fd0"), (0.35, "#a8cdea"), (0.56, "#fde6c8"), (1, "#fde6c8")], seed)
    shine(backdrop, lamp(round(height * 0.6), (120, 96, 60), 2.0), width * 0.2, horizon * 0.8)
    clouds = cloud_strip(size, seed + 3, "#ffffff", "#c9b7c4", amount=0.34, lowest=0.5, opacity=0.7)
    far_hills = Strip(
        ridge_cel(size, hills(size, 0.565, 0.10, 6, seed, 5), [(0, "#9fb0c4"), (0.2, "#c3c4c0")], seed), width
    )
    fields = _patchwork(seed)
    down = np.linspace(0.012, 1, height - horizon, dtype=np.float32)[:, None]
    depth = 1 / (0.06 + down)
    u = ((np.arange(width, dtype=np.float32)[None] - width / 2) / height * depth * 150).astype(np.float32)
    v = np.broadcast_to(depth * 190, u.shape).astype(np.float32)
    haze = np.clip(1 - down * 3.2, 0, 1)[..., None] ** 1.4
    veil = np.broadcast_to(255 * (1 - haze * 0.9), (*u.shape, 3)).astype(np.uint8)
    mist = np.broadcast_to(haze * 0.9 * np.array(rgb("#e9dcc4"), np.float32), (*u.shape, 3)).astype(np.uint8)
    cloths = [
        ("#d8342f", "#f7d04a"),
        ("#1f5fb0", "#f4f1e4"),
        ("#e98a1f", "#fdf0c0"),
        ("#7b2f8f", "#f2a0b8"),
        ("#1c8a6a", "#f5e663"),
        ("#c8245a", "#2b2f77"),
        ("#f2b31c", "#d9442a"),
    ]
    fleet = []
    for index in range(count):
        near = (index + 1) / count
        tall = height * (0.12 + 0.42 * near**2)
        at_x = width * ((0.13 + 0.618 * index * 1.05) % 1.0)
        at_y = height * (0.50 - 0.16 * near + rng.uniform(-0.12, 0.05))
        first, second = cloths[(index + seed) % 7]
        stripes = _balloon(round(min(tall, width * 0.7)), rgb(first), rgb(second), int(rng.integers(5, 9)))
        fleet.append((stripes, at_x, at_y, 4 + 16 * near, rng.random() * 6.28))
    flame = lamp(max(4, round(height * 0.05)), (255, 170, 60), 2.0)

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        clouds.over(picture, 4 * t)
        far_hills.over(picture, 3 * t)
        ground = cv2.remap(fields, u + 10 * t, v - 26 * t, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        picture[horizon:] = cv2.add(cv2.multiply(ground, veil, scale=1 / 255), mist)
        for cel, x, y, pace, phase in fleet:
            px = (x + pace * 0.6 * t + width * 0.2) % (width * 1.4) - width * 0.2
            py = y + height * 0.012 * np.sin(0.8 * t + phase) - pace * 0.25 * t
            place(picture, cel, px, py, 1.0, 0.03 * np.sin(0.6 * t + phase))
            if np.sin(1.7 * t + phase * 3) > 0.55:
                shine(picture, flame, px, py + cel.cover.shape[0] * 0.22, 0.9)
        return film.expose(bloom(picture, 215, 4, 0.4), t)

    return paint


def _patchwork(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    side, cells = 768, 9
    crops = ["#7d9c3c", "#c9b458", "#557f35", "#a58a4a", "#93b04e", "#dcc46a", "#6b8f3f", "#8c6a3e", "#4d7a3a"]
    tiles = np.zeros((side, side, 3), np.float32)
    warp_x, warp_y = (noise(side, side, (4, 4), 2, seed + k) * 60 for k in (1, 2))
    grid_y, grid_x = np.mgrid[0:side, 0:side].astype(np.float32)
    column = ((grid_x + warp_x) / side * cells).astype(int) % cells
    row = ((grid_y + warp_y) / side * cells * 1.6).astype(int) % round(cells * 1.6)
    colours = np.array([rgb(code) for code in crops], np.float32)
    tiles = colours[rng.integers(0, len(crops), (32, 32))[row, column]]
    furrows = 1 + 0.07 * np.sin((grid_x * np.where((row + column) % 2, 1.0, 0.2) + grid_y * 0.6) * 0.9)
    edge = cv2.Laplacian((row * 37 + column * 11).astype(np.float32), cv2.CV_32F)
    hedges = cv2.GaussianBlur((edge != 0).astype(np.float32), (0, 0), 1.4)[..., None]
    tiles = tiles * furrows[..., None] * (0.85 + 0.3 * noise(side, side, (24, 24), 3, seed)[..., None])
    return dithered(tiles * (1 - 0.8 * hedges) + np.array(rgb("#2f4f26"), np.float32) * 0.8 * hedges)


def _balloon(tall: int, first: Colour, second: Colour, gores: int) -> Cel:
    wide = round(tall * 0.86)
    cel = Cel(wide, tall)
    rows = np.linspace(0, 1.28, tall, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, wide, dtype=np.float32)[None]
    upper = np.sqrt(np.clip(1 - ((rows - 0.45) / 0.45) ** 2, 0, 1))
    lower = np.clip(1 - ((rows - 0.45) / 0.62) ** 2, 0, 1) ** 0.8
    radius = np.where(rows < 0.45, upper, lower) * (rows < 1.0)
    place_on = np.clip(across / np.maximum(radius, 1e-3), -1, 1)
    longitude = np.arcsin(place_on)
    stripe = smoothstep(-0.15, 0.15, np.sin(longitude * gores))[..., None]
    band = ((rows > 0.40) & (rows < 0.5)).astype(np.float32)[..., None] * 0.85
    colours = np.array(first, np.float32) * (1 - stripe) + np.array(second, np.float32) * stripe
    colours = (
        colours * (1 - band)
        + (255 - (255 - np.array(second, np.float32)) * 0.6) * band * stripe
        + np.array(first, np.float32) * 0.7 * band * (1 - stripe)
    )
    shade = np.clip(
        0.98
        - 0.45 * np.clip(place_on + 0.1, 0, 1) ** 1.5
        - 0.28 * rows
        + 0.35 * np.exp(-((place_on + 0.45) ** 2 + (rows - 0.28) ** 2) * 7),
        0.2,
        1.35,
    )
    cel.wash(np.clip(colours * shade[..., None], 0, 255), np.clip((radius - np.abs(across)) * wide / 2, 0, 1))
    unit = tall / 1.28
    middle, basket_y = wide / 2, unit * 1.17
    for side in (-1, 1):
        cel.stroke([(middle + side * wide * 0.10, unit * 0.98), (middle + side * wide * 0.055, basket_y)], (60, 44, 34))
    cel.polygon(
        [
            (middle - wide * 0.07, basket_y),
            (middle + wide * 0.07, basket_y),
            (middle + wide * 0.055, unit * 1.27),
            (middle - wide * 0.055, unit * 1.27),
        ],
        rgb("#7a4a22"),
    )
    return cel
