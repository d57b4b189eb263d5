"""A caravan in the dunes."""

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
    colourise,
    lamp,
    noise,
    palette,
    polygon,
    ramp,
    rgb,
    ridge,
    shine,
    sky,
    smoothstep,
    stroke,
)


def dunes(size: Size, seed: int, hour: str = "gold") -> Scene:
    """A caravan of camels walks along a dune crest; sand blows off the ridges."""
    width, height = size
    film = Film(size, seed)
    gold = hour == "gold"
    backdrop = sky(
        size,
        [(0, "#3f6fae"), (0.4, "#e0b48c"), (0.62, "#ffe0a6")]
        if gold
        else [(0, "#1a1c44"), (0.4, "#5d3f78"), (0.64, "#e0787a")],
        seed,
    )
    shine(
        backdrop, lamp(round(height * 0.55), (150, 110, 60) if gold else (120, 50, 40), 2.2), width * 0.7, height * 0.42
    )
    shine(backdrop, lamp(round(height * 0.085), (255, 246, 214), 0.35), width * 0.7, height * 0.42)
    tones = [("#e9bd86", "#c9925e"), ("#e8a860", "#b06f3a"), ("#d98e42", "#8a4a22"), ("#c87832", "#6a3216")]
    if not gold:
        tones = [("#9a6480", "#7d4c70"), ("#8a4f6a", "#5d3358"), ("#6f3c58", "#42244a"), ("#4c2a48", "#1f1230")]
    strips, crests = [], []
    for index, (level, swing, cells) in enumerate([(0.60, 0.10, 5), (0.66, 0.20, 3), (0.80, 0.16, 2), (0.98, 0.22, 2)]):
        line = ridge(width * 2, cells, 2, seed + index * 7, 0.3)
        heights = height * (level - swing * (line**1.6 - 0.2))
        strips.append((Strip(_dune(size, heights, tones[index], seed + index), width), (0.1, 0.22, 0.5, 1.2)[index]))
        crests.append(heights)
    dust = noise(512, height, (5, 12), 5, seed + 40, 0.6)
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    dust = smoothstep(0.45, 0.95, dust) * np.exp(-(((rows - 0.70) / 0.14) ** 2)) * 0.2
    sand = palette([(0, "#000000"), (1, "#ffd9a0" if gold else "#c87890")])
    drift = colourise(np.tile(dust, (1, 2 + width // 512)), sand)
    hide = rgb("#4a2a1a") if gold else rgb("#1c0f22")

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        for index, (strip, pace) in enumerate(strips):
            shift = 14 * height / 360 * pace * t + 60 * index
            strip.over(picture, shift)
            if index == 2:
                for number in range(6):
                    x = width * 0.30 + 18 * height / 360 * t + number * height * 0.145
                    column = (np.arange(-6, 7) + int(x + shift)) % (2 * width)
                    ground = float(crests[2][column].mean())
                    _camel(picture, x, ground + 2, height * 0.085, 5.2 * t + number * 1.3, hide, number)
        start = int(220 * t) % 512
        picture = cv2.add(picture, np.ascontiguousarray(drift[:, start : start + width]))
        return film.expose(bloom(picture, 210, 5, 0.6), t)

    return paint


def _dune(size: Size, heights: np.ndarray, tones: tuple[str, str], seed: int) -> Cel:
    height, period = size[1], len(heights)
    rows = np.arange(height, dtype=np.float32)[:, None]
    depth = np.clip((rows - heights[None]) / (height * 0.4), 0, 1)
    warp = noise(period, height, (6, 5), 3, seed)
    slope = np.gradient(cv2.GaussianBlur(heights[None].astype(np.float32), (0, 0), 6)[0])
    lee = smoothstep(-0.03, 0.10, slope[None] + (warp - 0.5) * 0.25 * depth * 3)
    ripples = 0.05 * np.sin((depth**0.6) * 95 + warp * 26) * (1 - 0.6 * depth)
    colours = ramp([(0, tones[0]), (1, tones[1])], depth)
    colours *= (1.08 - 0.42 * lee * np.exp(-depth * 1.6) + ripples + 0.12 * (warp - 0.5))[..., None]
    cel = Cel(period, height)
    cel.wash(np.clip(colours, 0, 255), np.clip(rows - heights[None] + 0.5, 0, 1))
    return cel


def _camel(picture: Picture, x: float, y: float, tall: float, stride: float, hide: Colour, number: int) -> None:
    if not -tall * 2 < x < picture.shape[1] + tall * 2:
        return
    bob = tall * 0.03 * np.sin(stride * 2)
    for root, phase in [(-0.30, 0.0), (-0.22, 3.1), (0.26, 1.6), (0.34, 4.7)]:
        swing = 0.16 * np.sin(stride + phase)
        lift = 0.05 * max(0.0, float(np.cos(stride + phase)))
        knee = (x + tall * (root + swing * 0.5), y - tall * 0.27)
        foot = (x + tall * (root + swing), y - tall * lift)
        stroke(picture, [(x + tall * root, y - tall * 0.55), knee, foot], hide, max(1.0, tall * 0.07))
    body = [
        (-0.42, -0.52),
        (-0.38, -0.70),
        (-0.22, -0.76),
        (-0.05, -1.02),
        (0.10, -0.78),
        (0.30, -0.72),
        (0.42, -0.66),
        (0.56, -0.86),
        (0.60, -1.10),
        (0.72, -1.16),
        (0.86, -1.06),
        (0.84, -1.00),
        (0.70, -1.0),
        (0.66, -0.78),
        (0.52, -0.55),
        (0.36, -0.46),
        (0.0, -0.42),
    ]
    polygon(picture, [(x + tall * a, y + tall * b + bob) for a, b in body], hide)
    cloth = [rgb("#c43a2a"), rgb("#d9a02a"), rgb("#2a6a8a")][number % 3]
    polygon(
        picture,
        [
            (x + tall * a, y + tall * b + bob)
            for a, b in [(-0.2, -0.8), (-0.05, -1.06), (0.1, -0.82), (0.12, -0.56), (-0.2, -0.58)]
        ],
        cloth,
    )
    if number % 2 == 0:
        polygon(
            picture,
            [
                (x + tall * a, y + tall * b + bob)
                for a, b in [(-0.12, -1.02), (0.02, -1.02), (0.0, -1.34), (-0.05, -1.42), (-0.1, -1.34)]
            ],
            rgb("#efe2c8"),
        )
