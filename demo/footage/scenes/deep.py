"""Under the sea: a school of fish in shafts of light, and drifting jellyfish."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Film,
    Picture,
    Scene,
    Size,
    Strip,
    bloom,
    disc,
    dithered,
    lamp,
    mix,
    noise,
    polygon,
    ramp,
    rgb,
    shine,
    sky,
    stroke,
    turned,
)
from demo.footage.scenes.elements import hills, ridge_cel


def fish_school(size: Size, seed: int) -> Scene:
    """A school of silver and yellow fish wheels through shafts of sunlight above a reef."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.45)
    rows, columns = height // 2, width // 2
    backdrop = sky(size, [(0, "#5fd0e0"), (0.25, "#2a9cc8"), (0.6, "#12609c"), (1, "#07305e")], seed)
    x = (np.arange(columns, dtype=np.float32)[None] - columns * 0.42) / rows
    y = np.arange(rows, dtype=np.float32)[:, None] / rows + 0.55
    fan = (x / y * 210).astype(np.float32)
    fade = (np.clip(1.12 - (y - 0.55) * 1.05, 0, 1) ** 1.3 * 105).astype(np.float32)
    beams = noise(512, 16, (34, 2), 3, seed)
    reefs = []
    for index, (level, tone) in enumerate([(0.86, "#1a5a86"), (0.93, "#10406a"), (1.0, "#0a2a48")]):
        heights = hills(size, level, 0.13, 5, seed + index, 5, 0.55)
        cel = ridge_cel(size, heights, [(0, tone), (1, "#041a34")], seed + index, 0.5)
        for number in range(26):
            at = rng.random() * width * 2
            coral = mix(rgb(["#d8567a", "#e8904a", "#8a5ac0", "#3aa088"][number % 4]), rgb(tone), 0.75 - 0.25 * index)
            foot = float(heights[int(at)]) + 4
            for branch in range(7):
                lean = (branch - 3) * 0.24 + rng.normal(0, 0.07)
                tall = height * (0.03 + 0.035 * index) * rng.uniform(0.6, 1.2)
                joint = (at + np.sin(lean) * tall * 0.55, foot - np.cos(lean) * tall * 0.55)
                tip = (at + np.sin(lean * 1.7) * tall, foot - np.cos(lean * 1.2) * tall)
                cel.stroke([(at, foot), joint, tip], coral, height / 360 * (1.6 + index))
                cel.disc(*tip, height / 360 * (1.3 + 0.9 * index), mix(coral, (255, 255, 255), 0.15))
        reefs.append(Strip(cel, width))
    school = rng.normal(0, 1, (84, 4))
    order = np.argsort(school[:, 2])
    bubbles = rng.random((34, 3))
    weeds = rng.random((13, 3))
    flash = lamp(round(height * 0.5), (110, 130, 120), 2.0)

    def centre(moment: float) -> tuple[float, float]:
        return (
            width * (0.5 + 0.30 * np.sin(0.55 * moment - 0.9)),
            height * (0.45 + 0.13 * np.sin(0.83 * moment + 0.4)),
        )

    def paint(t: float) -> Picture:
        ray = cv2.remap(
            beams, fan + 9 * t, np.full_like(fan, 8 + 4 * np.sin(0.4 * t)), cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
        )
        ray2 = cv2.remap(beams, fan * 1.6 - 13 * t, np.full_like(fan, 3.0), cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        light = np.clip(ray * ray2 * 2.2 - 0.25, 0, 1.3) * fade
        beam = cv2.merge([cv2.convertScaleAbs(light, alpha=k) for k in (0.75, 1.0, 0.92)])
        picture = cv2.add(backdrop, cv2.resize(beam, size, interpolation=cv2.INTER_LINEAR))
        shine(picture, flash, width * 0.42, -height * 0.06, 0.9 + 0.1 * np.sin(2 * t))
        reefs[0].over(picture, 6 * t)
        for number in order:
            a, b, depth, phase = school[number]
            lag = 0.55 * a + 0.18 * np.sin(1.1 * t + phase * 3)
            cx, cy = centre(t + lag)
            nx, ny = centre(t + lag + 0.05)
            wander = np.array([np.sin(1.7 * t + phase * 5), np.cos(1.3 * t + phase * 4)]) * height * 0.012
            px, py = cx + a * height * 0.13 + wander[0], cy + b * height * 0.095 + wander[1]
            course = float(np.arctan2((ny - cy) * 0.8, nx - cx)) + 0.12 * np.sin(3 * t + phase * 7)
            length = height * (0.030 + 0.009 * depth)
            _fish(
                picture, px, py, max(length, height * 0.014), course, 11 * t + phase * 9, float(depth), number % 5 == 0
            )
        reefs[1].over(picture, 13 * t + 100)
        for at, tall, phase in weeds:
            rise = np.linspace(0, 1, 12)
            reach = height * (0.12 + 0.22 * tall)
            wx = (
                (at * width * 1.3 - 13 * t) % (width * 1.2)
                - width * 0.1
                + np.sin(1.1 * t + phase * 6 + rise * 3) * rise * height * 0.05
            )
            stroke(picture, np.stack([wx, height * 1.0 - rise * reach], -1), (24, 92, 84), height / 360 * 4)
        reefs[2].over(picture, 26 * t + 300)
        for at, pace, phase in bubbles:
            bx = (at + 0.012 * np.sin(2.4 * t + phase * 6)) * width
            by = height * (1.1 - (phase + (0.06 + 0.1 * pace) * t) % 1.2)
            cv2.circle(
                picture,
                (round(bx), round(by)),
                max(1, round(height / 360 * (1 + 2.4 * pace))),
                (170, 224, 236),
                1,
                cv2.LINE_AA,
            )
        return film.expose(bloom(picture, 195, 5, 0.5), t)

    return paint


def _fish(
    picture: Picture, x: float, y: float, length: float, course: float, beat: float, depth: float, gold: bool
) -> None:
    wag = 0.22 * np.sin(beat)
    back = mix(rgb("#f0c030") if gold else rgb("#5a8cae"), rgb("#1a70a4"), float(np.clip(0.35 - 0.25 * depth, 0, 0.75)))
    belly = mix(
        rgb("#fff0a8") if gold else rgb("#dcf0f4"), rgb("#2a88b4"), float(np.clip(0.35 - 0.25 * depth, 0, 0.75))
    )
    up = -1.0 if np.cos(course) >= 0 else 1.0
    outline = np.array(
        [
            (1.0, 0.0),
            (0.7, 0.22),
            (0.2, 0.34),
            (-0.4, 0.22),
            (-0.8, 0.06),
            (-1.3, 0.32 + wag),
            (-1.15, wag),
            (-1.3, -0.32 + wag),
            (-0.8, -0.06),
            (-0.4, -0.22),
            (0.2, -0.34),
            (0.7, -0.22),
        ]
    )
    polygon(picture, turned(outline, course, length, x, y), belly)
    upper = np.array(
        [
            (1.0, 0.0),
            (0.7, 0.22 * up),
            (0.2, 0.36 * up),
            (-0.1, 0.5 * up),
            (-0.45, 0.22 * up),
            (-0.85, 0.04 * up),
            (0.1, 0.04 * up),
        ]
    )
    polygon(picture, turned(upper, course, length, x, y), back)
    eye = turned([(0.68, 0.06 * up)], course, length, x, y)[0]
    disc(picture, eye[0], eye[1], max(0.7, length * 0.07), (14, 22, 30))


def jellyfish(size: Size, seed: int, hue: str = "rose", count: int = 5) -> Scene:
    """Glowing jellyfish pulse upwards through dark water full of drifting plankton."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    unit = min(width, height) / 360
    deep = {"rose": ("#12205a", "#04061e"), "teal": ("#06384a", "#020c1a")}[hue]
    backdrop = sky(size, [(0, deep[0]), (1, deep[1])], seed)
    murk = noise(width, height, (4, 4), 4, seed)[..., None] * np.array([12, 16, 36], np.float32)
    backdrop = cv2.add(backdrop, dithered(murk))
    tones = {"rose": ["#ff7ab8", "#c07aff", "#ffa88a"], "teal": ["#4af0d8", "#6ab0ff", "#c8ff9a"]}[hue]
    swarm = [
        (
            rng.uniform(0.06, 0.94) if k else 0.5,
            rng.uniform(0.2, 1.1),
            (0.35 + 0.75 * (k / max(1, count - 1)) ** 1.4),
            rng.random() * 6.3,
            rgb(tones[k % 3]),
        )
        for k in range(count)
    ]
    swarm.sort(key=lambda one: one[2])
    plankton = rng.random((110, 3))
    halo = {one[4]: lamp(round(150 * unit), mix((0, 0, 0), one[4], 0.42), 2.2) for one in swarm}
    shade = ramp([(0, "#ffffff"), (1, "#606060")], np.linspace(0, 1, 12)) / 255

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        light = np.zeros_like(picture)
        for x, y, phase in plankton:
            px, py = (x + 0.01 * np.sin(t + phase * 9)) * width, ((y - 0.012 * t * (0.5 + phase)) % 1.0) * height
            disc(light, px, py, unit * (0.6 + 0.8 * phase), (70 + 60 * phase, 90 + 60 * phase, 120 + 60 * phase))
        for x, y, big, phase, tone in swarm:
            pulse = (1.9 * t + phase) % (2 * np.pi)
            squeeze = 0.5 + 0.5 * np.cos(pulse)
            px = width * x + 16 * unit * np.sin(0.5 * t + phase)
            py = height * ((y - 0.045 * big * t + 0.25) % 1.5 - 0.25) - 6 * unit * np.sin(pulse)
            lean = 0.16 * np.sin(0.5 * t + phase + 1.2)
            radius = 66 * unit * big
            shine(picture, halo[tone], px, py, 0.5 + 0.4 * squeeze)
            wide = radius * (0.86 + 0.20 * (1 - squeeze))
            tall = radius * (0.72 + 0.24 * squeeze)
            for number in range(13):
                root = (number / 12 - 0.5) * 2
                down = np.linspace(0, 1, 16)
                swing = np.sin(down * 6 - 2.1 * t + phase + number) * down * radius * 0.24
                strand = np.stack(
                    [
                        root * wide * 0.82 * (1 - 0.35 * down) + swing,
                        tall * 0.15 + down * radius * (1.7 + 0.8 * np.sin(number * 2.1) ** 2),
                    ],
                    -1,
                )
                stroke(light, turned(strand, lean, 1, px, py), mix((0, 0, 0), tone, 0.34), unit * 1.1)
            for arm in range(4):
                down = np.linspace(0, 1, 18)
                swing = np.sin(down * 8 - 2.6 * t + phase + arm * 1.7) * (0.15 + down) * radius * 0.16
                strand = np.stack([(arm - 1.5) * wide * 0.16 + swing, down * radius * 1.35], -1)
                stroke(
                    light,
                    turned(strand, lean, 1, px, py),
                    mix((0, 0, 0), mix(tone, (255, 255, 255), 0.3), 0.4),
                    unit * 4 * big + 1,
                )
            around = np.linspace(np.pi, 2 * np.pi, 26)
            hem = np.linspace(1, -1, 15)
            frill = np.stack([hem * wide, tall * (0.10 + 0.07 * np.cos(hem * 22)) * (0.5 + squeeze)], -1)
            for layer, share in enumerate((1.0, 0.84, 0.62, 0.36)):
                dome = np.stack([np.cos(around) * wide, np.sin(around) * tall], -1)
                body = np.concatenate([dome, frill]) * share + (0, -tall * 0.16 * (1 - share))
                level = (0.30, 0.42, 0.56, 0.82)[layer]
                polygon(light, turned(body, lean, 1, px, py), np.array(mix((0, 0, 0), tone, level)) * shade[layer * 2])
            for rib in np.linspace(-0.8, 0.8, 7):
                curve = np.linspace(0, 1, 9)
                line = np.stack(
                    [rib * wide * np.sin(curve * np.pi / 2), -tall * np.cos(curve * np.pi / 2) * (1 - 0.06 * abs(rib))],
                    -1,
                )
                stroke(
                    light, turned(line, lean, 1, px, py), mix((0, 0, 0), mix(tone, (255, 255, 255), 0.5), 0.62), unit
                )
        soft = cv2.GaussianBlur(cv2.resize(light, (width // 4, height // 4), interpolation=cv2.INTER_AREA), (0, 0), 3)
        light = cv2.add(cv2.GaussianBlur(light, (0, 0), 0.7), cv2.resize(soft, size))
        return film.expose(cv2.add(picture, light), t)

    return paint
