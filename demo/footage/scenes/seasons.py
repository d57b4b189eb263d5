"""Woods in autumn and in winter: falling leaves, falling snow."""

from __future__ import annotations

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
    disc,
    lamp,
    mix,
    noise,
    place,
    rgb,
    shine,
    sky,
    stroke,
)
from demo.footage.scenes.elements import fir_tree, hills, ridge_cel


def snowy_forest(size: Size, seed: int) -> Scene:
    """Snow falls at blue dusk on firs and a cabin with lit windows; the view pans slowly."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    backdrop = sky(size, [(0, "#1d2f5c"), (0.4, "#5f78a8"), (0.7, "#d8b8b4")], seed)
    strips: list[Strip] = []
    tones = [("#7f96ba", "#a8b8d0"), ("#5a7399", "#b4c4da"), ("#3b5478", "#c4d2e6"), ("#1c2f4a", "#dce6f4")]
    cabin = (0.0, 0.0)
    for index, (level, tall) in enumerate([(0.62, 0.20), (0.70, 0.32), (0.82, 0.46), (0.97, 0.80)]):
        heights = hills(size, level, 0.10, 3, seed + index * 5, 3)
        leaf, snow = rgb(tones[index][0]), rgb(tones[index][1])
        cel = Cel(width * 2, height)
        near_ground = ridge_cel(size, heights, [(0, tones[index][1]), (0.6, "#8fa4c4")], seed + index, 0.06)
        number = (42, 26, 13, 6)[index]
        for place_number in sorted(range(number), key=lambda k: (k * 7) % number):
            x = (place_number + rng.uniform(0.1, 0.9)) / number * width * 2
            if index == 2 and abs(x - width * 0.9) < height * 0.28:
                continue
            size_here = height * tall * rng.uniform(0.65, 1.1)
            base = float(heights[int(x)]) + height * 0.02
            for lap in (x, x - width * 2, x + width * 2):
                fir_tree(cel, lap, base, size_here, leaf, snow, seed + place_number * 3 + index)
        if index == 2:
            cabin = (width * 0.9, float(heights[round(width * 0.9)]) + 4)
            _cabin(near_ground, *cabin, height * 0.17)
        ground_first = Cel(width * 2, height)
        share = near_ground.cover[..., None] / 255.0
        ground_first.colour = np.clip(cel.colour * (1 - share) + near_ground.colour, 0, 255).astype(np.uint8)
        ground_first.cover = np.maximum(cel.cover, near_ground.cover)
        strips.append(Strip(ground_first, width))
    paces = (2.0, 5.0, 11.0, 24.0)
    flakes = rng.random((330, 4))
    window_light = lamp(round(height * 0.2), (150, 92, 30), 2.0)

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        for index, strip in enumerate(strips):
            shift = paces[index] * height / 360 * t + (width * 0.42 if index == 2 else 90 * index)
            strip.over(picture, shift)
            if index == 2:
                x = (cabin[0] - shift) % (width * 2)
                shine(picture, window_light, x, cabin[1] - height * 0.06, 0.9 + 0.1 * np.sin(9 * t))
        small = np.zeros((height // 2, width // 2, 3), np.uint8)
        for number, (x, y, depth, phase) in enumerate(flakes):
            fall = (0.05 + 0.16 * depth) * t
            px = (x + 0.02 * np.sin(1.3 * t + phase * 6.3) - 0.03 * depth * t) % 1.0 * (width + 20) - 10
            py = ((y + fall) % 1.0) * (height + 20) - 10
            if number % 9 == 0:
                disc(small, px / 2, py / 2, height / 360 * (1.6 + 2.2 * depth), (150, 156, 170))
            else:
                disc(picture, px, py, height / 360 * (0.9 + 1.3 * depth), (226, 234, 246))
        soft = cv2.GaussianBlur(small, (0, 0), 1.6)
        picture = cv2.add(picture, cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR))
        return film.expose(bloom(picture, 200, 3, 0.4), t)

    return paint


def _cabin(cel: Cel, x: float, y: float, tall: float) -> None:
    wall, roof = rgb("#4a2f22"), rgb("#e4ecf8")
    cel.polygon(
        [(x - tall * 0.8, y), (x + tall * 0.8, y), (x + tall * 0.8, y - tall * 0.6), (x - tall * 0.8, y - tall * 0.6)],
        wall,
    )
    for log in np.linspace(0.06, 0.56, 6):
        cel.stroke([(x - tall * 0.8, y - tall * log), (x + tall * 0.8, y - tall * log)], rgb("#36211a"))
    cel.polygon(
        [
            (x + tall * 0.4, y - tall * 0.8),
            (x + tall * 0.56, y - tall * 0.8),
            (x + tall * 0.56, y - tall * 1.3),
            (x + tall * 0.4, y - tall * 1.3),
        ],
        rgb("#5a4038"),
    )
    cel.polygon(
        [
            (x - tall, y - tall * 0.55),
            (x + tall, y - tall * 0.55),
            (x + tall * 0.55, y - tall * 1.15),
            (x - tall * 0.55, y - tall * 1.15),
        ],
        roof,
    )
    for left in (-0.6, 0.25):
        cel.polygon(
            [
                (x + tall * left, y - tall * 0.2),
                (x + tall * (left + 0.3), y - tall * 0.2),
                (x + tall * (left + 0.3), y - tall * 0.47),
                (x + tall * left, y - tall * 0.47),
            ],
            rgb("#ffd27a"),
        )
        cel.stroke([(x + tall * (left + 0.15), y - tall * 0.2), (x + tall * (left + 0.15), y - tall * 0.47)], wall)
    cel.polygon(
        [
            (x - tall * 0.15, y),
            (x + tall * 0.1, y),
            (x + tall * 0.1, y - tall * 0.42),
            (x - tall * 0.15, y - tall * 0.42),
        ],
        rgb("#2a1712"),
    )


def autumn_leaves(size: Size, seed: int) -> Scene:
    """Red and golden leaves turn in the air of a sunlit wood, blurred behind them."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.45)
    wide = width + 160
    wood = sky((wide, height), [(0, "#f6c96a"), (0.45, "#f2a84a"), (0.66, "#b8642a"), (1, "#5e2c18")], seed)
    for step in range(260):
        depth = step / 260
        x, y = rng.random() * wide, height * (0.62 * rng.random() ** 1.1)
        tone = [rgb("#ffdf80"), rgb("#ef8f2e"), rgb("#d8581e"), rgb("#fff0b0"), rgb("#a8b040")][step % 5]
        disc(wood, x, y, height * (0.02 + 0.05 * rng.random()), mix(tone, (60, 30, 20), 0.3 * depth))
    for trunk in range(15):
        x, thick = rng.random() * wide, height * (0.012 + 0.05 * (trunk / 15) ** 2)
        tone = mix(rgb("#a8663a"), rgb("#2c1710"), trunk / 14)
        foot = height * (0.66 + 0.2 * trunk / 14)
        stroke(wood, [(x, foot), (x + rng.normal(0, 8), height * 0.3), (x + rng.normal(0, 20), -20)], tone, thick)
    for step in range(700):
        x, y = rng.random() * wide, height * (0.68 + 0.36 * rng.random())
        tone = [rgb("#e0702a"), rgb("#c84a1e"), rgb("#f0a63a"), rgb("#8a3418")][step % 4]
        disc(wood, x, y, height * 0.014 * (0.4 + (y / height - 0.6) * 3), tone)
    wood = cv2.GaussianBlur(wood, (0, 0), height / 90)
    rays: Picture = np.zeros((height, wide, 3), np.uint8)
    for ray in range(9):
        x = wide * (0.2 + 0.09 * ray) + rng.normal(0, 14)
        spread = rng.uniform(8, 26)
        cv2.fillPoly(
            rays,
            [
                np.array(
                    [
                        (x, -10),
                        (x + spread, -10),
                        (x - height * 0.45 + spread * 2.2, height),
                        (x - height * 0.45, height),
                    ],
                    np.int32,
                )
            ],
            (52, 40, 16),
            cv2.LINE_AA,
        )
    rays = cv2.GaussianBlur(rays, (0, 0), 9)
    leaves = [
        _leaf(64, rgb(code), index)
        for index, code in enumerate(["#d8341c", "#f0902a", "#f7c548", "#b5281c", "#e26a1e", "#c9a63a"])
    ]
    fall = rng.random((64, 6))
    order = np.argsort(fall[:, 2])

    def paint(t: float) -> Picture:
        shift = 60 + 50 * np.sin(0.16 * t - 0.4)
        move = np.array([[1, 0, -shift], [0, 1, 0]], np.float64)
        picture = cv2.warpAffine(wood, move, size, flags=cv2.INTER_LINEAR)
        light = cv2.warpAffine(rays, np.array([[1, 0, -shift * 0.6], [0, 1, 0]], np.float64), size)
        picture = cv2.addWeighted(picture, 1.0, light, 0.9 + 0.35 * np.sin(0.9 * t), 0)
        for number in order:
            x, y, depth, phase, spin, kind = fall[number]
            pace = 0.06 + 0.16 * depth
            px = (x + 0.05 * np.sin(1.1 * t + phase * 6.3) + 0.05 * depth * t) % 1.0 * (width + 120) - 60
            py = ((y + pace * t) % 1.0) * (height + 120) - 60
            scale = height / 360 * (0.14 + 0.75 * depth**3)
            turn = phase * 6.3 + (spin - 0.5) * 4 * t
            flat = np.cos(2.2 * t * (0.5 + spin) + phase * 9)
            place(picture, leaves[int(kind * 6)], px, py, scale, turn, float(np.sign(flat) * max(0.15, abs(flat))))
        return film.expose(bloom(picture, 205, 4, 0.5), t)

    return paint


def _leaf(side: int, colour: Colour, seed: int) -> Cel:
    cel = Cel(side, side)
    rng = np.random.default_rng(seed)
    middle = side / 2
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if seed % 2:
        reach = 0.52 + 0.30 * np.abs(np.cos(2.5 * turn)) ** 1.5 + 0.05 * np.cos(15 * turn)
        reach *= 0.8 + 0.2 * np.cos(turn)
    else:
        reach = 0.34 + 0.5 * np.abs(np.cos(turn)) ** 2.2 + 0.02 * np.cos(24 * turn)
    reach = reach * middle * 0.95
    points = np.stack([middle + reach * np.cos(turn), middle + reach * np.sin(turn)], -1)
    cel.polygon(points, colour)
    vein = mix(colour, (60, 20, 10), 0.4)
    for tip in range(0, 72, 72 // (5 if seed % 2 else 9)):
        cel.stroke([(middle * 0.7, middle), points[tip] * 0.85 + middle * 0.15], vein)
    cel.stroke([(2, middle + 3), (middle * 0.7, middle), (side * 0.9, middle)], vein, 2)
    shade = 0.75 + 0.5 * noise(side, side, (3, 3), 3, int(rng.integers(1000)))
    cel.tint(shade[..., None])
    return cel
