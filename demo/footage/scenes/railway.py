"""A steam train that runs from the afternoon into the evening."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
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
from demo.footage.scenes.elements import Stars, cloud_strip, fir_tree, hills, ridge_cel, round_tree


def steam_train(size: Size, seed: int, journey: float = 25.0) -> Scene:
    """A steam train runs along a lake valley, from a clear afternoon into a red evening with lit windows."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    day = sky(size, [(0, "#3f86c6"), (0.4, "#a8d4ee"), (0.7, "#f4f0de")], seed)
    dusk = sky(size, [(0, "#231f4e"), (0.3, "#7a3f7a"), (0.5, "#e8705a"), (0.66, "#ffc46a")], seed)
    shine(dusk, lamp(round(height * 0.5), (150, 80, 40), 2.2), width * 0.3, height * 0.55)
    stars = Stars(size, 90, seed, 0.45)
    clouds = cloud_strip(size, seed + 1, "#ffffff", "#b8b4cc", amount=0.42, lowest=0.5, opacity=0.8)
    strips: list[Strip] = []
    tones = [("#8fa6bf", "#a8b8c4"), ("#6f947e", "#7fa088"), ("#6f9a4c", "#54803c"), ("#5f8a38", "#31541f")]
    for index, (level, swing, cells, octaves) in enumerate(
        [(0.60, 0.34, 5, 6), (0.66, 0.16, 5, 4), (0.76, 0.06, 4, 3), (0.97, 0.06, 4, 3)]
    ):
        heights = hills(size, level, swing, cells, seed + 9 * index, octaves, 0.5 if index == 0 else 0.4)
        cel = ridge_cel(
            size, heights, [(0, tones[index][0]), (1, tones[index][1])], seed + index, 0.2, 3 if index == 0 else 9
        )
        if index == 0:
            peak = np.clip((height * 0.50 - np.arange(height, dtype=np.float32)[:, None]) / (height * 0.08), 0, 1)
            jag = noise(width * 2, height, (60, 30), 3, seed)
            snow = (peak * 1.3 > jag) * (cel.cover > 200)
            cel.wash(np.broadcast_to(np.array(rgb("#f2f5fa"), np.float32), cel.colour.shape), snow * 0.85)
        for number in range((0, 50, 22, 7)[index]):
            x = rng.uniform(0.03, 0.97) * width * 2
            tall = height * (0, 0.045, 0.12, 0.30)[index] * rng.uniform(0.7, 1.3)
            grow = round_tree if (number + index) % 3 else None
            leaf = mix(rgb(tones[index][1]), (20, 50, 20), 0.4)
            base = float(heights[int(x)]) + tall * 0.06
            if grow:
                grow(cel, x, base, tall, leaf, seed + number)
            else:
                fir_tree(cel, x, base, tall * 1.2, leaf, None, seed + number)
        if index == 2:
            _trackbed(cel, height)
        strips.append(Strip(cel, width))
    paces = (6.0, 26.0, 110.0, 330.0)
    train = _carriages(height)
    smoke = [_puff(round(height * 0.11), seed + k) for k in range(4)]
    window = lamp(round(height * 0.07), (130, 90, 30), 2.0)
    rail = height * 0.80
    steps = np.arange(256)[:, None]
    tall = height * 0.115

    def paint(t: float) -> Picture:
        late = float(np.clip((t / journey - 0.25) / 0.6, 0, 1))
        picture = cv2.addWeighted(day, 1 - late, dusk, late, 0)
        picture = stars.add(picture, t, max(0.0, late - 0.5) * 1.6)
        unit = height / 360
        clouds.over(picture, 4 * t)
        strips[0].over(picture, paces[0] * unit * t + 200)
        strips[1].over(picture, paces[1] * unit * t)
        strips[2].over(picture, paces[2] * unit * t)
        light = np.array([1, 1, 1]) * (1 - late) + np.array([0.62, 0.42, 0.50]) * late
        if late > 0:
            picture = cv2.LUT(picture, (steps * light).astype(np.uint8)[None])
        x = width * (0.50 + 0.06 * np.sin(0.35 * t))
        sway = 0.6 * unit * np.sin(17 * t)
        place(picture, train, x, rail - tall * 0.5 + sway)
        front = x + train.cover.shape[1] / 2
        for wheel in (0.35, 0.62, 0.89, 1.45, 1.75):
            _wheel(picture, front - tall * wheel * 1.25, rail - tall * 0.12, tall * 0.16, 9.0 * t)
        for puff in range(18):
            age = ((t * 4.2 + puff) % 18) / 18
            px = front - tall * 0.62 - age * width * 0.75
            py = rail - tall * (1.35 + 2.3 * age**0.7) + 5 * np.sin(puff * 2.4)
            place(picture, smoke[puff % 4], px, py, 0.34 + 1.5 * age, puff * 1.1, 1.0, 0.95 * (1 - age))
        if late > 0.35:
            for carriage in range(4):
                for pane in range(4):
                    px = x - train.cover.shape[1] / 2 + tall * (2.75 * carriage + 0.55 + pane * 0.54)
                    shine(picture, window, px, rail - tall * 0.62 + sway, (late - 0.35) * 1.5)
        strips[3].over(picture, paces[3] * unit * t, round(10 * unit))
        return film.expose(bloom(picture, 210, 4, 0.5), t)

    return paint


def _trackbed(cel: Cel, height: int) -> None:
    period = cel.cover.shape[1]
    top = height * 0.80
    cel.polygon([(-5, top + 2), (period + 5, top + 2), (period + 5, top + 15), (-5, top + 15)], rgb("#7d7264"))
    for sleeper in range(0, period, 16):
        cel.polygon(
            [(sleeper, top + 3), (sleeper + 7, top + 3), (sleeper + 7, top + 6), (sleeper, top + 6)], rgb("#4a3a2e")
        )
    cel.stroke([(-5, top + 2), (period + 5, top + 2)], rgb("#c8c8cc"), 2)


def _carriages(height: int) -> Cel:
    tall = height * 0.115
    length = tall * (4 * 2.75 + 2.6)
    cel = Cel(round(length), round(tall * 1.5))
    floor = tall * 1.25
    for carriage in range(4):
        left = carriage * tall * 2.75
        paint = rgb("#8c2a2a") if carriage % 2 == 0 else rgb("#7a2330")
        cel.polygon(
            [
                (left + 2, floor - tall * 0.18),
                (left + tall * 2.65, floor - tall * 0.18),
                (left + tall * 2.65, floor - tall * 0.85),
                (left + 2, floor - tall * 0.85),
            ],
            paint,
        )
        cel.polygon(
            [
                (left, floor - tall * 0.83),
                (left + tall * 2.67, floor - tall * 0.83),
                (left + tall * 2.55, floor - tall * 0.98),
                (left + tall * 0.12, floor - tall * 0.98),
            ],
            rgb("#4a4650"),
        )
        cel.polygon(
            [
                (left + 2, floor - tall * 0.40),
                (left + tall * 2.65, floor - tall * 0.40),
                (left + tall * 2.65, floor - tall * 0.34),
                (left + 2, floor - tall * 0.34),
            ],
            rgb("#e8c878"),
        )
        for pane in range(4):
            px = left + tall * (0.35 + pane * 0.54)
            cel.polygon(
                [
                    (px, floor - tall * 0.5),
                    (px + tall * 0.36, floor - tall * 0.5),
                    (px + tall * 0.36, floor - tall * 0.76),
                    (px, floor - tall * 0.76),
                ],
                rgb("#ffe6a8"),
            )
        for wheel in (0.4, 0.75, 1.9, 2.25):
            cel.disc(left + tall * wheel, floor - tall * 0.1, tall * 0.11, rgb("#2a2624"))
    left = 4 * tall * 2.75
    black, green = rgb("#1e2422"), rgb("#1f4a38")
    cel.polygon(
        [
            (left, floor - tall * 0.15),
            (left + tall * 2.4, floor - tall * 0.15),
            (left + tall * 2.4, floor - tall * 0.28),
            (left, floor - tall * 0.28),
        ],
        black,
    )
    cel.polygon(
        [
            (left + tall * 0.9, floor - tall * 0.28),
            (left + tall * 2.3, floor - tall * 0.28),
            (left + tall * 2.3, floor - tall * 0.78),
            (left + tall * 0.9, floor - tall * 0.78),
        ],
        green,
    )
    cel.polygon(
        [
            (left + tall * 0.9, floor - tall * 0.62),
            (left + tall * 2.3, floor - tall * 0.62),
            (left + tall * 2.3, floor - tall * 0.70),
            (left + tall * 0.9, floor - tall * 0.70),
        ],
        rgb("#4a8068"),
    )
    cel.polygon(
        [
            (left + tall * 0.1, floor - tall * 0.28),
            (left + tall * 0.92, floor - tall * 0.28),
            (left + tall * 0.92, floor - tall * 1.05),
            (left + tall * 0.1, floor - tall * 1.05),
        ],
        green,
    )
    cel.polygon(
        [
            (left + tall * 0.3, floor - tall * 0.65),
            (left + tall * 0.72, floor - tall * 0.65),
            (left + tall * 0.72, floor - tall * 0.92),
            (left + tall * 0.3, floor - tall * 0.92),
        ],
        rgb("#ffd88a"),
    )
    cel.polygon(
        [
            (left, floor - tall * 1.03),
            (left + tall * 1.02, floor - tall * 1.03),
            (left + tall * 0.9, floor - tall * 1.14),
            (left + tall * 0.1, floor - tall * 1.14),
        ],
        black,
    )
    cel.polygon(
        [
            (left + tall * 1.9, floor - tall * 0.75),
            (left + tall * 2.1, floor - tall * 0.75),
            (left + tall * 2.18, floor - tall * 1.22),
            (left + tall * 1.82, floor - tall * 1.22),
        ],
        black,
    )
    cel.disc(left + tall * 1.4, floor - tall * 0.78, tall * 0.12, rgb("#c8a040"))
    cel.polygon(
        [(left + tall * 2.3, floor - tall * 0.3), (left + tall * 2.58, floor), (left + tall * 2.3, floor)],
        rgb("#b8342a"),
    )
    return cel


def _wheel(picture: Picture, x: float, y: float, radius: float, angle: float) -> None:
    disc(picture, x, y, radius, rgb("#a83228"))
    disc(picture, x, y, radius * 0.78, rgb("#241e1e"))
    for spoke in range(4):
        turn = angle + spoke * np.pi / 4
        reach = np.array([np.cos(turn), np.sin(turn)]) * radius * 0.8
        stroke(picture, [(x - reach[0], y - reach[1]), (x + reach[0], y + reach[1])], rgb("#a83228"))


def _puff(radius: int, seed: int) -> Cel:
    side = radius * 2
    cel = Cel(side, side)
    across = np.linspace(-1, 1, side, dtype=np.float32)
    distance = np.hypot(across[None], across[:, None])
    cloud = noise(side, side, (4, 4), 4, seed)
    cover = np.clip(1.25 - distance * 1.35 - 0.55 * cloud, 0, 1)
    light = (232 - 46 * across[:, None] + 30 * (cloud - 0.5))[..., None]
    cel.wash(np.clip(light * np.ones(3, np.float32), 0, 255), cover)
    return cel
