"""Fairground lights: a ferris wheel at dusk and paper lanterns rising into the night."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
    Film,
    Picture,
    Scene,
    Size,
    bloom,
    disc,
    lamp,
    mix,
    place,
    polygon,
    rgb,
    shine,
    sky,
    smoothstep,
    stroke,
)
from demo.footage.scenes.elements import Stars, Water, cloud_strip


def ferris_wheel(size: Size, seed: int) -> Scene:
    """A ferris wheel turns at dusk; its coloured lamps chase round and shimmer in the river."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    unit = min(width, height) / 360
    horizon = round(height * 0.80)
    backdrop = sky(size, [(0, "#1c2a6a"), (0.4, "#7a58a8"), (0.7, "#f08aa0"), (0.8, "#ffd0a0")], seed)
    clouds = cloud_strip(size, seed, "#ff9fb0", "#6a5aa0", amount=0.45, lowest=0.7, opacity=0.6)
    stars = Stars(size, 60, seed, 0.4)
    water = Water(size, horizon, seed, "#b09ac8", "#120c30", "#ffe0c0", 0.12, swell=1.0)
    centre, reach = (width * 0.5, height * 0.41), min(height * 0.35, width * 0.42)
    tones = [rgb(code) for code in ("#ff4a6a", "#ffd24a", "#4ae0ff", "#b07aff", "#6aff9a", "#ff9a3a")]
    lights = {tone: lamp(round(12 * unit), tone, 1.8) for tone in tones}
    tents = [(width * rng.random(), unit * rng.uniform(26, 44), k) for k in range(round(width / unit / 46))]

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t, 0.6)
        clouds.over(picture, 5 * t)
        cx, cy = centre
        ink = (34, 24, 62)
        for side in (-0.36, 0.36):
            stroke(picture, [(cx, cy), (cx + side * reach, horizon)], ink, 5 * unit)
        for x, big, k in tents:
            tone = mix(tones[k % 6], (40, 20, 70), 0.45)
            polygon(
                picture,
                [
                    (x - big, horizon),
                    (x + big, horizon),
                    (x + big * 0.8, horizon - big * 0.6),
                    (x, horizon - big * 1.25),
                    (x - big * 0.8, horizon - big * 0.6),
                ],
                tone,
            )
            polygon(
                picture,
                [
                    (x - big * 0.3, horizon),
                    (x + big * 0.3, horizon),
                    (x + big * 0.22, horizon - big * 0.6),
                    (x, horizon - big * 1.25),
                    (x - big * 0.22, horizon - big * 0.6),
                ],
                mix(tone, (255, 240, 220), 0.5),
            )
        turn = 0.32 * t
        spokes = 18
        rim = np.linspace(0, 2 * np.pi, 73)
        for share, thick in ((1.0, 3.0), (0.93, 2.0), (0.5, 1.5)):
            stroke(
                picture,
                np.stack([cx + reach * share * np.cos(rim), cy + reach * share * np.sin(rim)], -1),
                ink,
                thick * unit,
            )
        for spoke in range(spokes):
            angle = turn + spoke * 2 * np.pi / spokes
            way = np.array([np.cos(angle), np.sin(angle)])
            stroke(picture, [(cx, cy), tuple(np.array(centre) + way * reach)], ink, 1.5 * unit)
            gx, gy = cx + way[0] * reach, cy + way[1] * reach
            swing = 0.10 * np.sin(1.5 * t + spoke)
            tone = mix(tones[spoke % 6], (50, 24, 80), 0.25)
            polygon(picture, np.array([(-9, 5), (9, 5), (7, 18), (-7, 18)]) * unit + (gx + swing * 20 * unit, gy), tone)
            polygon(
                picture,
                np.array([(-11, 5), (11, 5), (0, -4)]) * unit + (gx + swing * 10 * unit, gy),
                mix(tone, (255, 255, 255), 0.35),
            )
        for spoke in range(spokes):
            angle = turn + spoke * 2 * np.pi / spokes
            for step in range(1, 8):
                wave = 0.5 + 0.5 * np.sin(step * 0.9 - 5 * t + (spoke % 3) * 2.1)
                tone = tones[(spoke + step) % 6]
                x, y = cx + np.cos(angle) * reach * step / 7.4, cy + np.sin(angle) * reach * step / 7.4
                shine(picture, lights[tone], x, y, 0.25 + 0.75 * wave)
        for bulb in range(54):
            angle = turn + bulb * 2 * np.pi / 54
            tone = tones[(bulb // 3 + int(4 * t)) % 6]
            x, y = cx + np.cos(angle) * reach * 0.97, cy + np.sin(angle) * reach * 0.97
            shine(picture, lights[tone], x, y, 1.0)
            disc(picture, x, y, 1.3 * unit, (255, 250, 235))
        disc(picture, cx, cy, 9 * unit, (255, 236, 190))
        strings = np.linspace(0, 1, 40)
        sag = horizon - 40 * unit + 22 * unit * np.abs(np.sin(strings * np.pi * 4)) * 1.0
        for number, (share, y) in enumerate(zip(strings, sag, strict=True)):
            shine(picture, lights[tones[number % 6]], share * width, float(y), 0.6 + 0.4 * np.sin(3 * t + number))
        water.paint(picture, 0.8 * t)
        return film.expose(bloom(picture, 205, 4, 0.5), t)

    return paint


def lanterns(size: Size, seed: int, count: int = 46) -> Scene:
    """Paper lanterns with candles inside rise from dark hills into a violet night."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.45)
    unit = min(width, height) / 360
    backdrop = sky(size, [(0, "#120a34"), (0.5, "#3a1a5c"), (0.82, "#8a3a60"), (1, "#c8683a")], seed)
    stars = Stars(size, 160, seed, 0.6)
    lantern = _lantern(round(72 * unit))
    halo = lamp(round(70 * unit), (150, 74, 24), 2.0)
    sized = [
        cv2.resize(halo, (2 * r + 1, 2 * r + 1), interpolation=cv2.INTER_AREA) for r in range(4, round(70 * unit) + 1)
    ]
    flight = np.stack([rng.random(count), rng.random(count), np.sort(rng.random(count) ** 1.6), rng.random(count)], -1)
    line = np.linspace(0, width, 60)
    ground = [
        (x, height * (0.93 + 0.035 * np.sin(x / width * 5 + seed) + 0.015 * np.sin(x / width * 17))) for x in line
    ]
    crowd = [(rng.random() * width, unit * rng.uniform(9, 15)) for _ in range(round(width / unit / 22))]

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t)
        for x, y, depth, phase in flight:
            scale = 0.14 + 0.86 * depth
            px = (x + 0.02 * np.sin(0.5 * t + phase * 6.3) + 0.008 * t * depth) * width
            py = ((y - (0.03 + 0.05 * depth) * t) % 1.25 - 0.12) * height
            flicker = 0.85 + 0.15 * np.sin(7 * t + phase * 40)
            shine(picture, sized[min(len(sized) - 1, int(scale * 66 * unit))], px, py, 0.75 * flicker)
            place(picture, lantern, px, py, scale, 0.10 * np.sin(0.7 * t + phase * 9))
        polygon(picture, [(0, height), *ground, (width, height)], (16, 8, 24))
        for x, tall in crowd:
            y = float(np.interp(x, line, [point[1] for point in ground]))
            disc(picture, x, y - tall, tall * 0.28, (16, 8, 24))
            polygon(
                picture,
                [
                    (x - tall * 0.3, y),
                    (x + tall * 0.3, y),
                    (x + tall * 0.22, y - tall * 0.75),
                    (x - tall * 0.22, y - tall * 0.75),
                ],
                (16, 8, 24),
            )
        return film.expose(bloom(picture, 195, 5, 0.6), t)

    return paint


def _lantern(tall: int) -> Cel:
    wide = round(tall * 0.8)
    cel = Cel(wide, tall)
    x = np.linspace(-1, 1, wide, dtype=np.float32)[None]
    y = np.linspace(0, 1, tall, dtype=np.float32)[:, None]
    half = 0.62 + 0.32 * np.sin(np.clip((1 - y) * 1.9, 0, np.pi / 2))
    half = half * np.sqrt(np.clip(y / 0.16, 0, 1))
    cover = np.clip((half - np.abs(x)) * wide / 2, 0, 1) * (y < 0.96) * (y > 0.02)
    glow = np.exp(-((x / 0.75) ** 2 + ((y - 0.86) / 0.5) ** 2))
    heat = np.clip(0.30 + 0.85 * glow - 0.10 * smoothstep(0.9, 0.98, np.cos(x * 9)), 0, 1)[..., None]
    cool, warm = np.array(rgb("#c8481c"), np.float32), np.array(rgb("#fff0a8"), np.float32)
    cel.wash(cool * (1 - heat) + warm * heat, cover * 0.96)
    return cel
