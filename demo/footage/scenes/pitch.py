"""Football, seen from above."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Colour,
    Field,
    Film,
    Picture,
    Scene,
    Size,
    disc,
    dithered,
    mix,
    noise,
    oval,
    polygon,
    rgb,
    stroke,
    turned,
)


def football(size: Size, seed: int) -> Scene:
    """Two teams pass a ball about on a striped pitch seen from above; the view follows the ball."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.3)
    unit = height / 360
    pitch_w, pitch_h = round(1050 * unit), round(560 * unit)
    pitch = _pitch(pitch_w, pitch_h, unit, seed)
    formation = [
        (0.05, 0.5),
        (0.20, 0.18),
        (0.17, 0.40),
        (0.17, 0.62),
        (0.20, 0.84),
        (0.36, 0.28),
        (0.34, 0.5),
        (0.36, 0.74),
        (0.55, 0.2),
        (0.58, 0.5),
        (0.55, 0.8),
    ]
    home = np.array(formation)
    spots = np.concatenate([home, 1 - home]) * (pitch_w * 0.92, pitch_h * 0.88) + (pitch_w * 0.04, pitch_h * 0.06)
    wander = rng.random((22, 4)) * 6.3
    kits: list[tuple[Colour, Colour]] = [(rgb("#e8323c"), rgb("#ffffff")), (rgb("#2a52d8"), rgb("#f8d848"))]
    chain = [6]
    while len(chain) < 30:
        options = [
            k for k in range(11) if k != chain[-1] and k and np.hypot(*(spots[k] - spots[chain[-1]])) < 330 * unit
        ]
        chain.append(int(rng.choice(options or [6])))
    hold, fly = 0.7, 0.65

    def ball_rough(t: float) -> tuple[int, int, float]:
        lap = hold + fly
        step = int(t / lap)
        return chain[step % 30], chain[(step + 1) % 30], float(np.clip((t - step * lap - hold) / fly, 0, 1))

    def players(t: float) -> Field:
        first, second, share = ball_rough(t)
        focus = spots[first] * (1 - share) + spots[second] * share
        roam = (
            np.stack(
                [np.sin(0.8 * t + wander[:, 0]) + 0.5 * np.sin(1.7 * t + wander[:, 2]), np.cos(0.7 * t + wander[:, 1])],
                -1,
            )
            * 30
            * unit
        )
        drift = np.array([np.sin(0.3 * t + 1) * 50 * unit, 0])
        pull = np.clip(1 - np.hypot(*(spots - focus).T) / (420 * unit), 0, 1)[:, None] * 0.16
        return spots + roam + drift + (focus - spots) * pull

    def ball(t: float) -> tuple[Field, float]:
        first, second, share = ball_rough(t)
        ease = 1 - (1 - share) ** 1.6
        now = players(t)
        return now[first] * (1 - ease) + now[second] * ease + (5 * unit, 3 * unit), float(np.sin(np.pi * share))

    def paint(t: float) -> Picture:
        look = np.mean([ball(max(0.0, t + k))[0] for k in (-0.8, -0.4, 0.0, 0.4, 0.8)], axis=0)
        left = float(np.clip(look[0] - width / 2, 2, pitch_w - width - 2))
        top = float(np.clip(look[1] - height / 2, 2, pitch_h - height - 2))
        picture = cv2.warpAffine(
            pitch, np.array([[1, 0, -left], [0, 1, -top]], np.float64), size, flags=cv2.INTER_LINEAR
        )
        now, later = players(t), players(t + 0.12)
        shade = np.zeros((height, width), np.uint8)
        for x, y in now - (left, top):
            polygon(shade, oval(x + 9 * unit, y + 6 * unit, 15 * unit, 6 * unit, 0.55), (105,))
        picture = cv2.multiply(picture, cv2.merge([255 - shade] * 3), scale=1 / 255)
        for index, ((x, y), way) in enumerate(zip(now - (left, top), later - now, strict=True)):
            course = float(np.arctan2(way[1], way[0]))
            pace = min(1.0, float(np.hypot(*way)) / (4 * unit))
            shirt, trim = kits[index // 11] if index not in (0, 11) else (rgb("#f0a020"), (30, 30, 30))
            swing = np.sin(9 * t + index) * 6 * unit * pace
            for side, reach in ((4.2, swing), (-4.2, -swing)):
                polygon(picture, turned(oval(reach, side * unit, 5.5 * unit, 2.6 * unit), course, 1, x, y), trim)
            polygon(picture, turned(oval(0, 0, 5.2 * unit, 9.5 * unit), course, 1, x, y), shirt)
            for side, reach in ((9.5, -swing * 0.7), (-9.5, swing * 0.7)):
                polygon(
                    picture, turned(oval(reach, side * unit, 4 * unit, 2.3 * unit), course, 1, x, y), rgb("#c89070")
                )
            disc(picture, x, y, 4.2 * unit, mix(rgb("#2a1a12"), rgb("#a8703a"), (index * 0.37) % 1.0))
        spot, rise = ball(t)
        bx, by = spot - (left, top)
        disc(picture, bx + (3 + 14 * rise) * unit, by + (3 + 10 * rise) * unit, 3.4 * unit, (30, 66, 30))
        big = (3.8 + 1.8 * rise) * unit
        disc(picture, bx, by - 3 * rise * unit, big, (250, 250, 250))
        for patch in range(3):
            way = 8 * t + patch * 2.1
            disc(
                picture,
                bx + np.cos(way) * big * 0.5,
                by - 3 * rise * unit + np.sin(way) * big * 0.5,
                big * 0.26,
                (40, 40, 44),
            )
        return film.expose(picture, t)

    return paint


def _pitch(width: int, height: int, unit: float, seed: int) -> Picture:
    x = np.arange(width, dtype=np.float32)[None]
    stripe = np.where((x / (62 * unit)).astype(int) % 2, 1.0, 0.86)
    blades = noise(width, height, (width // 3, height // 3), 2, seed) - 0.5
    broad = noise(width, height, (8, 5), 4, seed + 1) - 0.5
    grass = np.array(rgb("#4fa03c"), np.float32) * (stripe * (1 + 0.22 * blades + 0.25 * broad))[..., None]
    pitch = dithered(np.clip(grass, 0, 255))
    white, thick = (236, 242, 232), 2.6 * unit
    near, far, top, bottom = 26 * unit, width - 26 * unit, 22 * unit, height - 22 * unit
    stroke(pitch, [(near, top), (far, top), (far, bottom), (near, bottom), (near, top)], white, thick)
    stroke(pitch, [(width / 2, top), (width / 2, bottom)], white, thick)
    ring = oval(width / 2, height / 2, 72 * unit, 72 * unit, 0, 64)
    stroke(pitch, np.concatenate([ring, ring[:1]]), white, thick)
    disc(pitch, width / 2, height / 2, 4 * unit, white)
    for goal, way in ((near, 1), (far, -1)):
        for deep, half in ((130, 145), (48, 66)):
            stroke(
                pitch,
                [
                    (goal, height / 2 - half * unit),
                    (goal + way * deep * unit, height / 2 - half * unit),
                    (goal + way * deep * unit, height / 2 + half * unit),
                    (goal, height / 2 + half * unit),
                ],
                white,
                thick,
            )
        polygon(
            pitch,
            [
                (goal, height / 2 - 30 * unit),
                (goal - way * 20 * unit, height / 2 - 30 * unit),
                (goal - way * 20 * unit, height / 2 + 30 * unit),
                (goal, height / 2 + 30 * unit),
            ],
            (206, 214, 206),
        )
    return pitch
