"""On the water: a sailing boat before the sun, rain rings over koi."""

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
    dithered,
    lamp,
    mix,
    noise,
    oval,
    place,
    polygon,
    rgb,
    shine,
    sky,
    stroke,
    turned,
)
from demo.footage.scenes.elements import Stars, Water, cloud_strip, hills, ridge_cel


def sunset_sea(size: Size, seed: int, hour: str = "sunset") -> Scene:
    """A sailing boat drifts over a swelling sea in front of the low sun (or a full moon)."""
    width, height = size
    film = Film(size, seed)
    warm = hour == "sunset"
    horizon = round(height * 0.55)
    stops = (
        [(0, "#2b2a5e"), (0.25, "#8f3f70"), (0.42, "#f0704a"), (0.55, "#ffd27a")]
        if warm
        else [(0, "#040818"), (0.35, "#0f2446"), (0.56, "#3d648c")]
    )
    backdrop = sky(size, stops, seed)
    sun_x, sun_y = width * 0.6, height * (0.44 if warm else 0.2)
    shine(backdrop, lamp(round(height * 0.62), (120, 80, 40) if warm else (44, 60, 92), 2.2), sun_x, sun_y)
    shine(backdrop, lamp(round(height * 0.095), (255, 236, 170) if warm else (236, 240, 250), 0.22), sun_x, sun_y)
    stars = Stars(size, 0 if warm else 200, seed, 0.5)
    clouds = cloud_strip(
        size,
        seed + 1,
        "#ffb070" if warm else "#40587c",
        "#7a3a68" if warm else "#16243f",
        amount=0.5,
        lowest=0.5,
        opacity=0.75,
    )
    coast = Strip(
        ridge_cel(size, hills(size, 0.535, 0.09, 4, seed, 5), [(0, "#7a3a58" if warm else "#122036")] * 2, seed), width
    )
    water = Water(
        size,
        horizon,
        seed,
        "#e0b0a8" if warm else "#8fa8c8",
        "#1c1438" if warm else "#020814",
        "#ffdca0" if warm else "#cfe0ff",
        0.9,
        0.6,
        1.0,
    )
    boat = _sailing_boat(round(height * 0.42), warm)

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t)
        clouds.over(picture, 6 * t)
        coast.over(picture, 1.2 * t)
        clean = picture.copy()
        x = width * 0.22 + height * 0.035 * t
        y = horizon + height * 0.07 + height * 0.008 * np.sin(1.3 * t)
        place(picture, boat, x, y - boat.cover.shape[0] * 0.44, 1.0, 0.045 * np.sin(1.3 * t + 0.5))
        water.paint(picture, t)
        clean[horizon:] = picture[horizon:]
        place(clean, boat, x, y - boat.cover.shape[0] * 0.44, 1.0, 0.045 * np.sin(1.3 * t + 0.5))
        for gull in range(4):
            gx, gy = (
                width * (0.75 - 0.03 * t) + gull * height * 0.07,
                height * (0.24 + 0.03 * np.sin(gull * 2 + 0.6 * t)),
            )
            wing, flap = height * 0.02, 0.5 * np.sin(5 * t + gull)
            stroke(
                clean,
                [(gx - wing, gy - wing * (0.4 + flap)), (gx, gy), (gx + wing, gy - wing * (0.4 + flap))],
                (40, 24, 44),
                max(1, height / 260),
            )
        return film.expose(bloom(clean, 205, 5, 0.6), t)

    return paint


def _sailing_boat(tall: int, warm: bool) -> Cel:
    cel = Cel(tall, tall)
    hull = rgb("#3a1f2c") if warm else rgb("#0a1020")
    sail, jib = (rgb("#f7cfa0"), rgb("#e8906a")) if warm else (rgb("#5a6f90"), rgb("#3f5474"))
    cel.stroke([(tall * 0.5, tall * 0.04), (tall * 0.5, tall * 0.86)], hull, max(2.0, tall * 0.014))
    curve = np.linspace(0, 1, 16)
    main = [
        (tall * (0.52 + 0.30 * share + 0.05 * np.sin(np.pi * share)), tall * (0.07 + 0.69 * share)) for share in curve
    ]
    cel.polygon([*main, (tall * 0.52, tall * 0.76)], sail)
    front = [
        (tall * (0.48 - 0.27 * share - 0.03 * np.sin(np.pi * share)), tall * (0.14 + 0.64 * share)) for share in curve
    ]
    cel.polygon([*front, (tall * 0.48, tall * 0.76)], jib)
    cel.polygon(
        [
            (tall * 0.14, tall * 0.82),
            (tall * 0.90, tall * 0.80),
            (tall * 0.78, tall * 0.93),
            (tall * 0.26, tall * 0.93),
        ],
        hull,
    )
    cel.polygon(
        [
            (tall * 0.14, tall * 0.82),
            (tall * 0.90, tall * 0.80),
            (tall * 0.89, tall * 0.825),
            (tall * 0.155, tall * 0.845),
        ],
        mix(hull, (255, 220, 180), 0.35),
    )
    return cel


def koi_pond(size: Size, seed: int, rain: float = 7.0) -> Scene:
    """Rain rings spread on a pond seen from above; koi swim under lily pads."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    unit = min(width, height) / 360
    bed = noise(width, height, (12, 8), 5, seed)
    base = np.array(rgb("#1a4a4e"), np.float32) * (0.55 + 0.75 * bed[..., None])
    floor = dithered(base, seed)
    for _ in range(160):
        tone = mix(rgb("#2f6a62"), rgb("#5d7f68"), rng.random())
        polygon(
            floor,
            oval(
                rng.random() * width,
                rng.random() * height,
                unit * rng.uniform(5, 15),
                unit * rng.uniform(4, 10),
                rng.random() * 3,
            ),
            mix(tone, (16, 50, 56), 0.55),
        )
    floor = cv2.GaussianBlur(floor, (0, 0), 1.6 * unit)
    pads = [
        (
            _lily_pad(round(unit * rng.uniform(60, 104)), seed + k),
            rng.random() * 1.1 - 0.05,
            rng.random() * 1.1 - 0.05,
            rng.random() * 6.3,
        )
        for k in range(round(11 * width * height / 230400) + 2)
    ]
    fish = [
        (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.random() * 6.3, rng.uniform(0.85, 1.3), k) for k in range(6)
    ]
    drops = [
        (k / rain - 1.5, rng.random() * width, rng.random() * height, rng.uniform(0.6, 1.2))
        for k in range(round(40 * rain))
    ]
    grid_x, grid_y = (a.astype(np.float32) for a in np.meshgrid(np.arange(width), np.arange(height)))
    drift = noise(256, 256, (6, 6), 3, seed + 3)

    def paint(t: float) -> Picture:
        under = floor.copy()
        for a, b, phase, big, number in fish:
            _koi(under, a * width, b * height, phase, big * unit, t, number)
        swell = np.zeros((height, width), np.float32)
        for start, x, y, force in drops:
            age = t - start
            if not 0 < age < 2.4:
                continue
            front, reach = 62 * unit * age, 62 * unit * age + 26 * unit
            left, right = max(0, int(x - reach)), min(width, int(x + reach))
            top, bottom = max(0, int(y - reach)), min(height, int(y + reach))
            if right - left < 2 or bottom - top < 2:
                continue
            distance = np.hypot(
                grid_x[top:bottom, left:right] - np.float32(x), grid_y[top:bottom, left:right] - np.float32(y)
            )
            offset = (distance - np.float32(front)) / np.float32(unit)
            wave = np.sin(offset * 0.62) * np.exp(-((offset / 13) ** 2))
            swell[top:bottom, left:right] += wave * np.float32(force * (1 - age / 2.4) ** 1.3)
        lean_x = cv2.Sobel(swell, cv2.CV_32F, 1, 0, ksize=3)
        lean_y = cv2.Sobel(swell, cv2.CV_32F, 0, 1, ksize=3)
        picture = cv2.remap(
            under, grid_x + lean_x * 3.2, grid_y + lean_y * 3.2, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT
        )
        cloud = cv2.remap(drift, grid_x * 0.35 + 8 * t, grid_y * 0.35, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        shine_ = np.clip((lean_x * 0.7 + lean_y) * 34, -42, 120) + 26 * cloud
        lit = cv2.merge([cv2.convertScaleAbs(np.clip(shine_, 0, 255))] * 3)
        dark = cv2.merge([cv2.convertScaleAbs(np.clip(-shine_, 0, 255))] * 3)
        picture = cv2.subtract(cv2.add(picture, lit), dark)
        for cel, px, py, turn in pads:
            place(
                picture,
                cel,
                px * width + 2 * unit * np.sin(0.7 * t + turn),
                py * height + 2 * unit * np.cos(0.6 * t + turn),
                1.0,
                turn + 0.05 * np.sin(0.5 * t + turn),
            )
        return film.expose(picture, t)

    return paint


def _lily_pad(side: int, seed: int) -> Cel:
    cel = Cel(side, side)
    rng = np.random.default_rng(seed)
    middle = side / 2
    notch = rng.uniform(0.15, 0.35)
    turn = np.linspace(notch, 2 * np.pi - notch * 0.3, 60)
    rim = middle * 0.94 * (1 + 0.015 * np.sin(turn * 7))
    points = [(middle, middle), *zip(middle + rim * np.cos(turn), middle + rim * np.sin(turn), strict=True)]
    leaf = mix(rgb("#4f8f3f"), rgb("#86a83f"), rng.random())
    cel.polygon(points, leaf)
    for tip in range(4, 60, 6):
        cel.stroke([(middle, middle), np.array(points[tip]) * 0.9 + middle * 0.1], mix(leaf, (220, 240, 160), 0.3))
    across = np.linspace(-1, 1, side, dtype=np.float32)
    cel.tint(
        (1.0 - 0.22 * (across[None] + across[:, None]) - 0.15 * np.hypot(across[None], across[:, None]))[..., None]
    )
    if seed % 3 == 0:
        for ring, tone in ((0.34, rgb("#e88ab0")), (0.22, rgb("#f8c8da")), (0.1, rgb("#ffe89a"))):
            for petal in range(8):
                angle = petal * np.pi / 4 + ring * 4
                cel.polygon(
                    turned(
                        oval(ring * middle * 0.7, 0, ring * middle * 0.6, ring * middle * 0.26),
                        angle,
                        1,
                        middle,
                        middle,
                    ),
                    tone,
                )
    return cel


def _koi(picture: Picture, x: float, y: float, phase: float, scale: float, t: float, number: int) -> None:
    skins: list[tuple[Colour, Colour]] = [
        (rgb("#f2641e"), rgb("#fff0e0")),
        (rgb("#fbf3ea"), rgb("#e8421e")),
        (rgb("#f5a623"), rgb("#c8501a")),
    ]
    skin, patch = skins[number % 3]
    way = 0.28 * t * (1 if number % 2 else -1) + phase
    wide, high = 150 * scale, 90 * scale
    head = np.array([x + wide * np.cos(way) + 30 * np.sin(2 * way), y + high * np.sin(way)])
    course = way + (np.pi / 2 if number % 2 else -np.pi / 2)
    along = np.linspace(0, 1, 22)
    bend = 0.10 * np.sin(7 * t + phase - 5 * along) * along * 62 * scale * 1.6
    girth = (
        62
        * scale
        * 0.155
        * np.clip(np.sin(np.pi * np.minimum(1, along * 0.86 + 0.12)) ** 0.75, 0.12, 1)
        * (1 - 0.25 * along)
    )
    spine = np.stack([-along * 62 * scale, bend], -1)
    body = np.concatenate([spine + np.stack([0 * along, girth], -1), (spine - np.stack([0 * along, girth], -1))[::-1]])
    for offset, tone in ((7 * scale, (10, 38, 44)), (0.0, None)):
        shift = (head[0] + offset, head[1] + offset * 1.4)
        fins = [(-20, 8), (-30, 19), (-34, 9)], [(-20, -8), (-30, -19), (-34, -9)]
        for fin in fins:
            polygon(picture, turned(np.array(fin) * scale, course, 1, *shift), tone or mix(skin, (30, 80, 80), 0.3))
        tail = spine[-1] + np.array([[4, 0], [-20, 11], [-13, 0], [-20, -11]]) * scale
        polygon(picture, turned(tail, course, 1, *shift), tone or mix(skin, (30, 80, 80), 0.25))
        polygon(picture, turned(body, course, 1, *shift), tone or skin)
    for spot in (3, 9, 14):
        centre = turned(spine[spot : spot + 1], course, 1, *head)[0]
        polygon(picture, oval(centre[0], centre[1], 7 * scale, 4.2 * scale, course), patch)
