"""Experiments: kaleidoscope, ink, a Julia set, a lava lamp, music made visible, pendulum ribbons."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Film,
    Picture,
    Scene,
    Size,
    bloom,
    colourise,
    disc,
    dithered,
    lamp,
    mix,
    noise,
    palette,
    polygon,
    ramp,
    rgb,
    shine,
    sky,
    smoothstep,
    stroke,
)
from demo.footage.sound import bands_at, kick_at


def kaleidoscope(size: Size, seed: int, leaves: int = 8) -> Scene:
    """Coloured glass turns in a kaleidoscope, folded into a star."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    glass: Picture = np.full((512, 512, 3), (24, 10, 44), np.uint8)
    codes = ["#f2385a", "#f5a503", "#4ad9d9", "#36b1bf", "#e9f1df", "#7a3fb0", "#ff7a3c", "#2a4ad0", "#9be05a"]
    for index in range(190):
        at_x, at_y, big = rng.random() * 512, rng.random() * 512, rng.uniform(10, 62)
        turn, sides = rng.random() * 6.3, int(rng.integers(3, 7))
        angle = np.linspace(0, 2 * np.pi, sides, endpoint=False) + turn
        shape = np.stack([at_x + big * np.cos(angle), at_y + big * np.sin(angle)], -1)
        pane = glass.copy()
        for lap_x in (-512, 0, 512):
            for lap_y in (-512, 0, 512):
                polygon(pane, shape + (lap_x, lap_y), rgb(codes[index % 9]))
                cv2.polylines(
                    pane, [np.round(shape + (lap_x, lap_y)).astype(np.int32)], True, (250, 240, 225), 1, cv2.LINE_AA
                )
        glass = cv2.addWeighted(glass, 0.35, pane, 0.65, 0)
    x = (np.arange(width, dtype=np.float32)[None] - width / 2) / min(size)
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / min(size)
    reach = np.hypot(x, y)
    around = np.arctan2(y, x)
    sector = np.float32(2 * np.pi / leaves)
    falloff = dithered(np.clip(1.15 - 0.5 * reach, 0, 1)[..., None] * np.full(3, 255, np.float32))

    def paint(t: float) -> Picture:
        spun = around + np.float32(0.18 * t)
        folded = np.abs((spun % sector) - sector / 2)
        zoom = np.float32(300 * (1 + 0.18 * np.sin(0.5 * t)))
        sample_x = reach * np.cos(folded) * zoom + np.float32(46 * t + 120 * np.sin(0.31 * t))
        sample_y = reach * np.sin(folded) * zoom + np.float32(31 * t)
        picture = cv2.remap(glass, sample_x, sample_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        return film.expose(bloom(cv2.multiply(picture, falloff, scale=1 / 255), 200, 4, 0.5), t)

    return paint


def ink(size: Size, seed: int, tones: str = "coral") -> Scene:
    """Inks of several colours flow into each other in slow folds."""
    film = Film(size, seed, grain=1.6)
    width, height = size
    table = palette(
        {
            "coral": [
                (0, "#0b1f3a"),
                (0.3, "#1f6f78"),
                (0.5, "#f7e7c6"),
                (0.68, "#f2785c"),
                (0.85, "#c2274e"),
                (1, "#3a0f3a"),
            ],
            "mint": [
                (0, "#10052a"),
                (0.28, "#4a1f8a"),
                (0.5, "#2f8fd0"),
                (0.7, "#7af0c8"),
                (0.86, "#f8ffd8"),
                (1, "#f0c040"),
            ],
        }[tones]
    )
    first, second, third = (noise(512, 512, (4, 4), 4, seed + k, 0.42) for k in range(3))
    x = np.broadcast_to(np.arange(width, dtype=np.float32)[None] * (300 / width), (height, width)).copy()
    y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None] * (300 / width), (height, width)).copy()

    def sample(texture: Picture, at_x: Picture, at_y: Picture) -> Picture:
        return cv2.remap(texture, at_x, at_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)

    def paint(t: float) -> Picture:
        bend_x = sample(first, x + 9 * t, y - 5 * t)
        bend_y = sample(second, x - 6 * t, y + 8 * t)
        far_x, far_y = x + 150 * bend_x, y + 150 * bend_y
        fold = sample(third, far_x + 4 * t, far_y - 11 * t)
        value = sample(first, far_x * 0.8 + 120 * fold, far_y * 0.8 - 7 * t + 60 * fold)
        level = (0.5 + 0.5 * np.sin(value * 9.5 + 2.5 * fold + np.float32(0.4 * t))).astype(np.float32)
        slope = cv2.Sobel(level, cv2.CV_32F, 1, 1, ksize=3)
        picture = colourise(level, table)
        gloss = cv2.convertScaleAbs(np.clip(slope * 900, 0, 70))
        return film.expose(cv2.add(picture, cv2.merge([gloss] * 3)), t)

    return paint


def julia(size: Size, seed: int) -> Scene:
    """A Julia set unfolds its spirals while the view sinks towards its centre."""
    width, height = size
    film = Film(size, seed, grain=1.6)
    small = (width // 2, height // 2)
    x = (np.arange(small[0], dtype=np.float32)[None] - small[0] / 2) / small[1] * 2.6
    y = (np.arange(small[1], dtype=np.float32)[:, None] - small[1] / 2) / small[1] * 2.6
    table = palette(
        [
            (0, "#05030f"),
            (0.15, "#1a1a5e"),
            (0.35, "#3a6ad0"),
            (0.5, "#8ae0e8"),
            (0.65, "#fff6d0"),
            (0.8, "#f8a03a"),
            (0.92, "#a82a3a"),
            (1, "#1a0820"),
        ]
    )

    def paint(t: float) -> Picture:
        angle = 0.11 * t + 1.75 + 0.4 * seed
        rim = 1.03 * (0.5 * np.exp(1j * angle) - 0.25 * np.exp(2j * angle))
        c_re, c_im = np.float32(rim.real), np.float32(rim.imag)
        zoom, spin = np.float32(0.95 * np.exp(-0.05 * t)), 0.12 * t
        cos, sin = np.float32(np.cos(spin)) * zoom, np.float32(np.sin(spin)) * zoom
        re, im = x * cos - y * sin, x * sin + y * cos
        escaped = np.zeros_like(re)
        trap = np.full_like(re, 9.0)
        for _ in range(44):
            re2, im2 = re * re, im * im
            size2 = re2 + im2
            escaped += np.exp(-size2)
            np.minimum(trap, size2, out=trap)
            im = np.clip(2 * re * im + c_im, -1e3, 1e3)
            re = np.clip(re2 - im2 + c_re, -1e3, 1e3)
        value = 0.5 - 0.5 * np.cos(
            1.7 * np.sqrt(escaped) + 2.0 * np.sqrt(trap) * smoothstep(12, 24, escaped) + 0.35 * t
        )
        picture = cv2.resize(colourise(value.astype(np.float32), table), size, interpolation=cv2.INTER_CUBIC)
        return film.expose(bloom(picture, 190, 4, 0.5), t)

    return paint


def lava_lamp(size: Size, seed: int) -> Scene:
    """Warm wax rises, joins and parts in three glass lamps on a shelf."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    wide, tall = width // 2, height // 2
    wall = sky((width, height), [(0, "#2a1638"), (0.75, "#4a2038"), (0.86, "#2a1420"), (1, "#180c12")], seed)
    looks = [("#ff5a1f", "#ffe07a", "#5a1030"), ("#2fd0c0", "#d8ffe0", "#0a2a50"), ("#ff3f8f", "#ffd0f0", "#301058")]
    count = 3 if width > height else 1
    y = np.arange(tall, dtype=np.float32)[:, None] / tall
    lamps = []
    for index in range(count):
        centre = wide * (index + 0.5) / count if count > 1 else wide / 2
        shape = 0.145 - 0.055 * np.abs((y - 0.62) / 0.5)
        half = shape * tall * (y > 0.10) * (y < 0.84)
        x = np.arange(wide, dtype=np.float32)[None] - np.float32(centre)
        inside = np.clip(half - np.abs(x), 0, 1)
        shade = np.sqrt(np.clip(1 - (x / np.maximum(half, 1)) ** 2, 0, 1))
        blobs = rng.random((9, 4))
        lamps.append((centre, x / tall, inside, shade, blobs, looks[(index + seed) % 3]))
        big = width / wide
        cx, floor = centre * big, 0.84 * height
        polygon(
            wall,
            [
                (cx - 0.155 * height, floor + 0.13 * height),
                (cx + 0.155 * height, floor + 0.13 * height),
                (cx + 0.115 * height, floor - 2),
                (cx - 0.115 * height, floor - 2),
            ],
            rgb("#7c6a5c"),
        )
        polygon(
            wall,
            [
                (cx - 0.155 * height, floor + 0.13 * height),
                (cx - 0.06 * height, floor + 0.13 * height),
                (cx - 0.045 * height, floor - 2),
                (cx - 0.115 * height, floor - 2),
            ],
            rgb("#b8a494"),
        )
        polygon(
            wall,
            [
                (cx - 0.095 * height, 0.105 * height),
                (cx + 0.095 * height, 0.105 * height),
                (cx + 0.05 * height, 0.03 * height),
                (cx - 0.05 * height, 0.03 * height),
            ],
            rgb("#8a786a"),
        )
        shine(
            wall,
            lamp(round(height * 0.55), mix((0, 0, 0), rgb(looks[(index + seed) % 3][0]), 0.45), 1.6),
            cx,
            height * 0.5,
        )

    def paint(t: float) -> Picture:
        total = np.zeros((tall, wide, 3), np.float32)
        cover = np.zeros((tall, wide, 1), np.float32)
        for _, x, inside, shade, blobs, (low, high, back) in lamps:
            field = 0.9 * np.exp(-(((y - 0.86) / 0.07) ** 2)) + np.zeros_like(x)
            for phase, pace, big, side in blobs:
                at_y = 0.50 - 0.36 * np.cos((0.35 + 0.4 * pace) * t + phase * 6.3)
                at_x = 0.055 * np.sin(0.5 * t + side * 6.3)
                radius = 0.035 + 0.045 * big
                field += np.float32(radius**2) / (
                    (x - np.float32(at_x)) ** 2 + ((y - np.float32(at_y)) * 0.85) ** 2 + 1e-4
                )
            wax = smoothstep(0.95, 1.12, field)[..., None]
            heat = np.clip((field - 1) * 0.28 + y * 0.55, 0, 1)
            colour = ramp([(0, low), (1, high)], heat)
            liquid = (
                np.array(rgb(back), np.float32) + ramp([(0, low), (1, low)], y)[:, :] * (0.15 + 0.45 * y**2)[..., None]
            )
            glass = (liquid * (1 - wax) + colour * wax) * (0.45 + 0.6 * shade[..., None])
            glass += 70 * np.exp(-(((x + 0.05 + 0.02 * (y - 0.5)) / 0.008) ** 2))[..., None] * (y < 0.75)[..., None]
            total += glass * inside[..., None]
            cover += inside[..., None]
        lit = cv2.resize(np.clip(total, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        veil = cv2.resize(
            np.clip(255 * (1 - cover[..., 0]), 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR
        )
        picture = cv2.add(cv2.multiply(wall, cv2.merge([veil] * 3), scale=1 / 255), lit)
        return film.expose(bloom(picture, 170, 6, 0.8), t)

    return paint


def visualiser(size: Size, seed: int, look: str = "ring") -> Scene:
    """Bars of light answer the beat and the tune, in a ring or as a mirrored row."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    unit = min(width, height) / 360
    stops = (
        [(0, "#0a0620"), (0.6, "#24104a"), (1, "#4a1450")]
        if look == "ring"
        else [(0, "#021a24"), (0.6, "#053a44"), (1, "#0a2230")]
    )
    backdrop = sky(size, stops, seed)
    hues = ramp(
        [(0, "#ff4a8a"), (0.3, "#ffb04a"), (0.55, "#7af0a0"), (0.8, "#4ab8ff"), (1, "#b070ff")], np.linspace(0, 1, 64)
    )
    dust = rng.random((90, 3))
    burst = lamp(round(200 * unit), (120, 60, 130) if look == "ring" else (30, 110, 110), 1.7)

    def paint(t: float) -> Picture:
        kick = kick_at(t)
        picture = backdrop.copy()
        shine(picture, burst, width / 2, height / 2, 0.72 + 0.28 * kick)
        light = np.zeros_like(picture)
        for a, b, c in dust:
            way = a * 6.283 + 0.05 * t
            reach = ((b + (0.05 + 0.1 * c) * t) % 1.0) * width * 0.62
            disc(
                light,
                width / 2 + np.cos(way) * reach,
                height / 2 + np.sin(way) * reach,
                unit * (0.8 + 1.6 * c * (0.5 + kick)),
                (130, 120, 170),
            )
        if look == "ring":
            bars = bands_at(t, 48, seed)
            inner = unit * (64 + 9 * kick)
            for number in range(96):
                level = bars[number if number < 48 else 95 - number]
                way = np.pi / 2 + (number + 0.5) * 2 * np.pi / 96 + 0.12 * t
                tone = hues[int((number if number < 48 else 95 - number) / 48 * 63)]
                line = np.array([np.cos(way), np.sin(way)])
                tail, tip = line * inner, line * (inner + unit * (5 + 96 * level))
                stroke(
                    light,
                    [(width / 2 + tail[0], height / 2 + tail[1]), (width / 2 + tip[0], height / 2 + tip[1])],
                    tone,
                    3 * unit,
                )
            for ring in range(3):
                age = (t / 0.5357 + ring) % 3
                rim = np.linspace(0, 2 * np.pi, 80)
                far = unit * (70 + 70 * age)
                stroke(
                    light,
                    np.stack([width / 2 + far * np.cos(rim), height / 2 + far * np.sin(rim)], -1),
                    np.array((110, 70, 150)) * (1 - age / 3),
                    1.5 * unit,
                )
            disc(light, width / 2, height / 2, inner * 0.86, (34, 18, 60))
            disc(light, width / 2, height / 2, inner * (0.34 + 0.14 * kick), (255, 190, 220))
        else:
            bars = bands_at(t, 40, seed)
            step = width * 0.88 / 40
            for number, level in enumerate(bars):
                x, tall = width * 0.06 + number * step, height * (0.012 + 0.40 * level)
                tone = hues[int(number / 40 * 63)]
                base = height * 0.60
                polygon(
                    light, [(x, base), (x + step * 0.66, base), (x + step * 0.66, base - tall), (x, base - tall)], tone
                )
                polygon(
                    light,
                    [
                        (x, base + 4 * unit),
                        (x + step * 0.66, base + 4 * unit),
                        (x + step * 0.66, base + tall * 0.45),
                        (x, base + tall * 0.45),
                    ],
                    tone * 0.3,
                )
            wave_x = np.linspace(0, width, 160)
            for strand in range(3):
                wave = height * 0.2 + height * 0.06 * np.sin(wave_x / width * (9 + 4 * strand) + (3 + strand) * t) * (
                    0.3 + kick
                )
                stroke(light, np.stack([wave_x, wave], -1), hues[strand * 24] * 0.8, 1.6 * unit)
        glow = cv2.GaussianBlur(cv2.resize(light, (width // 4, height // 4), interpolation=cv2.INTER_AREA), (0, 0), 3)
        picture = cv2.add(cv2.add(picture, light), cv2.resize(cv2.convertScaleAbs(glow, alpha=1.3), size))
        return film.expose(picture, t)

    return paint


def ribbons(size: Size, seed: int) -> Scene:
    """Bundles of fine lines weave in the air like the strings of a harp."""
    width, height = size
    film = Film(size, seed, corners=0.4)
    unit = height / 360
    backdrop = sky(size, [(0, "#f6efe2"), (1, "#e2cfb8")] if seed % 2 else [(0, "#081420"), (1, "#0e2c38")], seed)
    hues = (
        [rgb(code) for code in ("#d8345a", "#e8842a", "#2a7a9a", "#5a3a8a")]
        if seed % 2
        else [rgb(code) for code in ("#4af0d0", "#4a9aff", "#ff6ad8", "#ffd86a")]
    )
    share = np.linspace(0, 1, 90)

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        for bundle in range(4):
            sheet = np.zeros_like(picture)
            for line in range(26):
                k = line / 26
                y = height * (
                    0.5
                    + 0.30
                    * np.sin(2.6 * share + 0.7 * t + bundle * 1.6 + 0.9 * k)
                    * np.cos(1.3 * share * (1 + 0.2 * bundle) - 0.5 * t + 2.2 * k + seed)
                    + 0.16 * np.sin(5.1 * share - 0.9 * t + bundle + 1.4 * k)
                )
                tone = mix(hues[bundle], hues[(bundle + 1) % 4], k)
                shown = (255 - tone[0], 255 - tone[1], 255 - tone[2]) if seed % 2 else tone
                stroke(
                    sheet,
                    np.stack([share * width, y], -1),
                    mix((0, 0, 0), shown, 0.30 + 0.35 * np.sin(np.pi * k)),
                    unit,
                )
            picture = cv2.subtract(picture, sheet) if seed % 2 else cv2.add(picture, sheet)
        return film.expose(picture if seed % 2 else bloom(picture, 120, 4, 0.5), t)

    return paint
