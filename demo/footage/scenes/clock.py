"""The brass wheels of a clock."""

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
    bloom,
    disc,
    lamp,
    mix,
    noise,
    place,
    polygon,
    rgb,
    shine,
    sky,
)


def clockwork(size: Size, seed: int) -> Scene:
    """Brass wheels of a clock turn into each other; a balance wheel swings to and fro."""
    width, height = size
    film = Film(size, seed, corners=0.5)
    backdrop = sky(size, [(0, "#2c3a3a"), (1, "#131c20")], seed)
    brushed = noise(width, height, (4, 180), 2, seed)[..., None]
    backdrop = np.clip(backdrop * (0.8 + 0.4 * brushed), 0, 255).astype(np.uint8)
    pitch = height * 0.0135
    teeth = [36, 18, 27, 12, 45, 16]
    metals = [rgb(code) for code in ("#d8a848", "#c87840", "#e8c878", "#b8bcc4", "#c89838", "#d88850")]
    wheels = [_gear(number, pitch, metals[k], k) for k, number in enumerate(teeth)]
    radius = [number * pitch / 2 for number in teeth]
    spots = [np.array([width * 0.36, height * 0.50])]
    joins = [(0, 1, -0.5), (1, 2, 0.35), (2, 3, -0.9), (0, 4, 2.75), (2, 5, 1.1)]
    turns = [1.0]
    phases = [0.0]
    for before, _after, angle in joins:
        after = len(spots)
        reach = radius[before] + radius[after]
        spots.append(spots[before] + reach * np.array([np.cos(angle), np.sin(angle)]))
        ratio = teeth[before] / teeth[after]
        turns.append(-turns[before] * ratio)
        phases.append(angle + np.pi + np.pi / teeth[after] - (phases[before] - angle) * -ratio * -1.0)
    glint = lamp(round(height * 0.6), (70, 60, 40), 1.6)
    balance = _balance(round(height * 0.42))
    order = [4, 0, 2, 1, 5, 3]

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        step = t * 2
        tick = int(step) + min(1.0, (step % 1.0) / 0.55) ** 2 * (3 - 2 * min(1.0, (step % 1.0) / 0.55))
        turn = 0.5 * (0.35 * t + 0.10 * tick)
        shade = np.zeros((height // 2, width // 2), np.uint8)
        for index in order:
            x, y = spots[index]
            disc(shade, x / 2 + 3, y / 2 + 5, radius[index] / 2, (150,))
        shadow = cv2.resize(cv2.GaussianBlur(shade, (0, 0), 3), size)
        picture = cv2.multiply(picture, cv2.merge([255 - shadow] * 3), scale=1 / 255)
        for index in order:
            x, y = spots[index]
            place(picture, wheels[index], x, y, 1.0, phases[index] + turns[index] * turn)
        place(picture, balance, width * 0.80, height * 0.40, 1.0, 1.9 * np.sin(2 * np.pi * t))
        disc(picture, width * 0.80, height * 0.40, height * 0.018, rgb("#d03a4a"))
        disc(picture, width * 0.80 - 1.5, height * 0.40 - 1.5, height * 0.008, rgb("#ffb0b0"))
        shine(picture, glint, width * (0.3 + 0.1 * np.sin(0.4 * t)), height * 0.15)
        return film.expose(bloom(picture, 200, 4, 0.7), t)

    return paint


def _gear(teeth: int, pitch: float, metal: Colour, seed: int) -> Cel:
    radius = teeth * pitch / 2
    side = round(radius * 2 + pitch * 4)
    cel = Cel(side, side)
    middle = side / 2
    turn = np.linspace(0, 2 * np.pi, teeth * 8, endpoint=False)
    wave = np.clip(np.cos(turn * teeth) * 2.2, -1, 1)
    reach = radius + wave * pitch * 0.62
    dark = mix(metal, (20, 10, 6), 0.55)
    cel.polygon(np.stack([middle + reach * np.cos(turn), middle + reach * np.sin(turn)], -1), metal)
    rim = radius - pitch * 1.6
    cel.disc(middle, middle, rim, dark)
    cel.disc(middle, middle, rim * 0.97, mix(metal, (0, 0, 0), 0.08))
    x = (np.arange(side, dtype=np.float32)[None] - middle) / radius
    y = (np.arange(side, dtype=np.float32)[:, None] - middle) / radius
    distance, around = np.hypot(x, y), np.arctan2(y, x)
    brushed = (
        1
        + 0.05 * np.sin(distance * radius * 1.7)
        + 0.20 * np.cos(2 * around + 0.8) * np.clip(distance, 0, 1)
        + 0.08 * np.cos(5 * around)
    )
    cel.tint(brushed[..., None])
    spokes = 5 if teeth > 20 else 0
    hollow = np.zeros((side, side), np.uint8)
    for spoke in range(spokes):
        inner, outer = rim * 0.34, rim * 0.86
        first, last = spoke * 2 * np.pi / spokes + 0.16, (spoke + 1) * 2 * np.pi / spokes - 0.16
        sweep, back = np.linspace(first, last, 14), np.linspace(last - 0.12, first + 0.12, 10)
        shape = (
            np.concatenate(
                [
                    np.stack([np.cos(sweep), np.sin(sweep)], -1) * outer,
                    np.stack([np.cos(back), np.sin(back)], -1) * inner,
                ]
            )
            + middle
        )
        polygon(hollow, shape, (255,))
        cel.stroke(np.concatenate([shape, shape[:1]]), dark, 2)
    keep = 255 - hollow
    cel.colour = cv2.multiply(cel.colour, cv2.merge([keep] * 3), scale=1 / 255)
    cel.cover = cv2.multiply(cel.cover, keep, scale=1 / 255)
    cel.disc(middle, middle, max(3.0, radius * 0.16), dark)
    cel.disc(middle, middle, max(2.2, radius * 0.125), mix(metal, (255, 255, 255), 0.35))
    cel.disc(middle, middle, max(1.4, radius * 0.05), rgb("#a01f3a") if seed % 2 else dark)
    return cel


def _balance(side: int) -> Cel:
    cel = Cel(side, side)
    middle = side / 2
    around = np.linspace(0, 2 * np.pi, 90)
    for share, tone, thick in ((0.92, rgb("#8a6a2a"), 9), (0.92, rgb("#e8c468"), 6)):
        cel.stroke(
            np.stack([middle + middle * share * np.cos(around), middle + middle * share * np.sin(around)], -1),
            tone,
            thick * side / 150,
        )
    for arm in range(2):
        way = np.array([np.cos(arm * np.pi / 2), np.sin(arm * np.pi / 2)]) * middle * 0.9
        cel.stroke([(middle - way[0], middle - way[1]), (middle + way[0], middle + way[1])], rgb("#c8a048"), 4)
    for screw in range(12):
        turn = screw * np.pi / 6
        cel.disc(
            middle + middle * 0.92 * np.cos(turn), middle + middle * 0.92 * np.sin(turn), middle * 0.04, rgb("#f8e8b8")
        )
    coil = np.linspace(0, 10 * np.pi, 220)
    cel.stroke(
        np.stack(
            [
                middle + coil / (10 * np.pi) * middle * 0.55 * np.cos(coil),
                middle + coil / (10 * np.pi) * middle * 0.55 * np.sin(coil),
            ],
            -1,
        ),
        rgb("#8ab0d0"),
        1,
    )
    return cel
