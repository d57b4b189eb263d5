"""On the coast at night: a lighthouse and fireworks over a bay."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
    Field,
    Film,
    Picture,
    Scene,
    Size,
    Strip,
    bloom,
    lamp,
    mix,
    noise,
    place,
    polygon,
    rgb,
    shine,
    sky,
    stroke,
)
from demo.footage.scenes.elements import Stars, Water, cloud_strip


def lighthouse(size: Size, seed: int) -> Scene:
    """The beam of a lighthouse sweeps over a dark sea and rocks under drifting clouds."""
    width, height = size
    film = Film(size, seed)
    horizon = round(height * 0.64)
    backdrop = sky(size, [(0, "#0a1230"), (0.4, "#24386c"), (0.64, "#8a6a86")], seed)
    stars = Stars(size, 150, seed, 0.5)
    clouds = cloud_strip(size, seed + 2, "#54608c", "#222c52", amount=0.48, lowest=0.55, opacity=0.7)
    water = Water(size, horizon, seed, "#a8b4d8", "#050a1c", "#b8c8f0", 0.5, 0.35, 1.1)
    rocks = Cel(width, height)
    rng = np.random.default_rng(seed)
    base_x = width * 0.33
    shore = [
        (
            base_x + height * 0.62 * (k / 24 * 2 - 1) + rng.normal(0, height * 0.012),
            horizon + height * 0.10 - height * 0.16 * np.sin(np.pi * k / 24) ** 0.6 + rng.normal(0, height * 0.012),
        )
        for k in range(25)
    ]
    rocks.polygon(
        [*shore, (base_x + height * 0.5, horizon + height * 0.16), (base_x - height * 0.5, horizon + height * 0.16)],
        rgb("#1c2034"),
    )
    rocks.tint((0.6 + 0.9 * noise(width, height, (40, 30), 4, seed))[..., None])
    top = horizon - height * 0.50
    _tower(rocks, base_x, horizon - height * 0.03, top, height * 0.055)
    glow = lamp(round(height * 0.30), (255, 224, 150), 2.6)
    core = lamp(round(height * 0.06), (255, 250, 225), 1.0)

    def beam(light: Picture, angle: float) -> None:
        facing = float(np.sin(angle))
        side = float(np.cos(angle))
        reach = width / 4 * (0.25 + 1.6 * abs(side))
        spread = reach * (0.07 + 0.16 * max(0.0, facing))
        x, y = base_x / 4, top / 4
        tip = x + np.sign(side) * reach
        dip = reach * 0.10 * facing
        for share, strength in ((1.0, 50), (0.62, 64), (0.3, 84)):
            polygon(
                light,
                [(x, y - 0.6), (tip, y + dip - spread * share), (tip, y + dip + spread * share), (x, y + 0.6)],
                [strength * (1.35 + facing) * c for c in (1.0, 0.92, 0.66)],
            )

    fade = np.exp(-np.abs(np.arange(width // 4) - base_x / 4) / (width / 4 * 0.42))
    fading = np.broadcast_to(255 * fade[None, :, None], (height // 4, width // 4, 3)).astype(np.uint8)

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t)
        clouds.over(picture, 7 * t)
        angle = 1.25 * t + 0.5
        light: Picture = np.zeros((height // 4, width // 4, 3), np.uint8)
        beam(light, angle)
        beam(light, angle + np.pi)
        light = cv2.multiply(cv2.GaussianBlur(light, (0, 0), 1.6), fading, scale=1 / 255)
        rays = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR)
        picture = cv2.add(picture, rays)
        water.paint(picture, t)
        place(picture, rocks, width / 2, height / 2)
        picture = cv2.addWeighted(picture, 1, rays, 0.5, 0)
        flash = 0.45 + 0.55 * abs(float(np.sin(angle))) ** 6
        shine(picture, glow, base_x, top, flash)
        shine(picture, core, base_x, top)
        return film.expose(bloom(picture, 210, 5, 0.5), t)

    return paint


def _tower(cel: Cel, x: float, base: float, top: float, wide: float) -> None:
    bands = 7
    for band in range(bands):
        low, high = band / bands, (band + 1) / bands
        tone = rgb("#c9cde0") if band % 2 == 0 else rgb("#a8383e")
        y0, y1 = base + (top - base) * low, base + (top - base) * high
        w0, w1 = wide * (1 - 0.42 * low), wide * (1 - 0.42 * high)
        cel.polygon([(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)], tone)
        cel.polygon(
            [(x + w0 * 0.15, y0), (x + w0, y0), (x + w1, y1), (x + w1 * 0.15, y1)], mix(tone, (14, 16, 40), 0.5)
        )
    cel.polygon(
        [(x - wide, top), (x + wide, top), (x + wide, top - wide * 0.2), (x - wide, top - wide * 0.2)], rgb("#20243c")
    )
    cel.polygon(
        [
            (x - wide * 0.5, top + wide * 0.5),
            (x + wide * 0.5, top + wide * 0.5),
            (x + wide * 0.5, top - wide * 0.7),
            (x - wide * 0.5, top - wide * 0.7),
        ],
        rgb("#fff0b8"),
    )
    cel.polygon(
        [(x - wide * 0.7, top - wide * 0.6), (x + wide * 0.7, top - wide * 0.6), (x, top - wide * 1.5)], rgb("#7a2830")
    )


def fireworks(size: Size, seed: int, tones: str = "festive") -> Scene:
    """Fireworks burst above a bay and shimmer in the water; a town lies dark on the far shore."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    horizon = round(height * 0.70)
    backdrop = sky(size, [(0, "#04061a"), (0.5, "#141c46"), (0.72, "#3a3058")], seed)
    town = Cel(width * 2, height)
    for x in range(0, width * 2, 9):
        tall = height * (0.02 + 0.055 * rng.random() ** 2)
        town.polygon([(x, horizon), (x + 11, horizon), (x + 11, horizon - tall), (x, horizon - tall)], rgb("#0b0d20"))
        for _ in range(3):
            town.disc(
                x + rng.random() * 9,
                horizon - rng.random() * tall,
                height / 420,
                mix(rgb("#ffb050"), (0, 0, 0), rng.random() * 0.6),
            )
    shore = Strip(town, width)
    water = Water(size, horizon, seed, "#c8ccf0", "#02030e", "#ffd8a0", 0.05, swell=1.3)
    choice = {
        "festive": ["#ff5a4a", "#ffd060", "#6ae0ff", "#c080ff", "#7dff8a", "#ffffff"],
        "gold": ["#ffd070", "#ffb040", "#fff0c0", "#ff9050"],
    }[tones]
    shells = []
    for number in range(26):
        count = int(rng.integers(90, 150))
        angle = rng.random(count) * 2 * np.pi
        height_of = np.arccos(rng.uniform(-1, 1, count))
        pace = (0.8 + 0.2 * rng.random(count)) if number % 3 else np.where(rng.random(count) < 0.5, 1.0, 0.55)
        ways = np.stack([np.cos(angle) * np.sin(height_of), np.cos(height_of)], -1) * pace[:, None]
        shells.append(
            (
                0.4 * number - 0.9 + rng.uniform(-0.15, 0.15),
                width * rng.uniform(0.14, 0.86),
                height * rng.uniform(0.14, 0.40),
                height * rng.uniform(0.22, 0.36),
                ways,
                rgb(choice[number % len(choice)]),
                rgb(choice[(number * 3 + 1) % len(choice)]),
            )
        )
    flash = lamp(round(height * 0.42), (110, 100, 110), 1.6)

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        light = np.zeros_like(picture)
        for start, x, y, reach, ways, first, second in shells:
            age = (t - start) % 10.4
            if age < 0.7:
                rise = 1 - (1 - age / 0.7) ** 1.6
                head = y + (horizon - y) * (1 - rise)
                stroke(
                    light,
                    [(x + 3 * np.sin(20 * age), head + height * 0.05 * (1 - rise)), (x, head)],
                    (255, 214, 150),
                    1.5,
                )
                continue
            age -= 0.7
            if age > 2.2:
                continue
            fade = max(0.0, 1 - (age / 2.2) ** 1.5)
            shine(picture, flash, x, y, fade**6)
            now, before = (_spread(ways, x, y, reach, a) for a in (age, max(0.0, age - 0.22 - 0.12 * age)))
            tone = mix((255, 255, 255), mix(first, second, min(1.0, age / 1.6)), min(1.0, 0.25 + age * 3))
            for number, (tail, tip) in enumerate(zip(before, now, strict=True)):
                sparkle = fade * (1.0 if age < 0.9 else 0.55 + 0.45 * np.sin(40 * age + number * 2.4))
                stroke(light, [tail, tip], [channel * max(0.0, sparkle) for channel in tone], height / 330)
        glow = cv2.GaussianBlur(cv2.resize(light, (width // 4, height // 4), interpolation=cv2.INTER_AREA), (0, 0), 2.5)
        picture = cv2.add(cv2.add(picture, light), cv2.resize(cv2.convertScaleAbs(glow, alpha=2.6), size))
        shore.over(picture, 1.5 * t)
        water.paint(picture, t)
        return film.expose(picture, t)

    return paint


def _spread(ways: Field, x: float, y: float, reach: float, age: float) -> Field:
    travelled = reach * (1 - np.exp(-2.6 * age)) * 1.05
    return ways * travelled + (x, y + reach * 0.20 * age**2)
