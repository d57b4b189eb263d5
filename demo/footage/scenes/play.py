"""Races: sprinters on a red track, a rowing eight."""

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
    mix,
    noise,
    oval,
    polygon,
    ramp,
    rgb,
    stroke,
    turned,
)


def sprint(size: Size, seed: int) -> Scene:
    """Sprinters run on a red track before a full stand; the camera keeps pace with them."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.3)
    unit = height / 360
    stand = Cel(width * 2, height)
    stand.polygon([(0, 0), (width * 2, 0), (width * 2, height * 0.46), (0, height * 0.46)], rgb("#2e3a5a"))
    fans = [rgb(code) for code in ("#f25a5a", "#f2c84a", "#5ab0f2", "#f2f2f2", "#7ad07a", "#c080e0", "#f29a4a")]
    for row in range(13):
        y = height * 0.03 + row * height * 0.033
        for x in np.arange(0, width * 2, 9 * unit):
            if rng.random() < 0.9:
                px, py = x + rng.normal(0, 1.6) * unit, y + rng.normal(0, 1.5) * unit
                stand.disc(px, py + 5 * unit, 4.4 * unit, mix(fans[int(rng.integers(7))], (30, 36, 60), 0.35))
                stand.disc(px, py, 2.6 * unit, mix(rgb("#e8b890"), rgb("#5a3a28"), rng.random()))
    stand.polygon(
        [(0, height * 0.455), (width * 2, height * 0.455), (width * 2, height * 0.52), (0, height * 0.52)],
        rgb("#f4f4f0"),
    )
    for board in range(8):
        x = board * width / 4
        stand.polygon(
            [
                (x, height * 0.46),
                (x + width / 4 - 4, height * 0.46),
                (x + width / 4 - 4, height * 0.515),
                (x, height * 0.515),
            ],
            [rgb("#1f4fa8"), rgb("#e8a020"), rgb("#1f8a5a"), rgb("#b8283a")][board % 4],
        )
        for mark in range(5):
            stand.disc(x + width * (0.04 + 0.04 * mark), height * 0.488, 4 * unit, (250, 250, 250))
    stand.colour = cv2.GaussianBlur(stand.colour, (0, 0), 1.3 * unit)
    crowd = Strip(stand, width)
    grass = Cel(width * 2, height)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    turf = noise(width * 2, height, (160, 90), 3, seed)
    green = np.array(rgb("#57a044"), np.float32) * (0.8 + 0.4 * turf)[..., None]
    grass.wash(green, ((rows > 0.515) & (rows < 0.585)) * np.ones((1, width * 2), np.float32))
    lawn = Strip(grass, width)
    lanes = 4
    edge = [0.58 + 0.42 * (k / lanes) ** 1.25 for k in range(lanes + 1)]
    track = ramp([(0, "#b8452e"), (1, "#d8583a")], np.linspace(0, 1, height - round(height * 0.58)))
    grit = noise(width * 2, len(track), (300, 60), 2, seed + 1)
    floor = Cel(width * 2, height)
    floor.wash(
        np.vstack(
            [
                np.zeros((height - len(track), width * 2, 3), np.float32),
                track[:, None] * (0.88 + 0.24 * grit)[..., None],
            ]
        ),
        (rows > 0.58) * np.ones((1, width * 2), np.float32),
    )
    red = Strip(floor, width)
    kits = [
        (rgb("#ffd23a"), rgb("#1f6a3a")),
        (rgb("#2a6ae0"), rgb("#ffffff")),
        (rgb("#e83a4a"), rgb("#20203a")),
        (rgb("#f4f4f4"), rgb("#d8283a")),
    ]
    skins = [rgb("#7a4a2e"), rgb("#e0a880"), rgb("#4a2c1e"), rgb("#b87a50")]

    def paint(t: float) -> Picture:
        picture = np.zeros((height, width, 3), np.uint8)
        crowd.over(picture, 110 * unit * t)
        lawn.over(picture, 170 * unit * t)
        red.over(picture, 330 * unit * t)
        for number, line in enumerate(edge):
            stroke(picture, [(0, line * height), (width, line * height)], (244, 240, 232), (1.5 + number) * unit)
        for lane in range(lanes):
            big = height * (0.25 + 0.075 * lane)
            foot = height * (edge[lane] * 0.4 + edge[lane + 1] * 0.6)
            x = width * (0.36 + 0.10 * lane) % width + width * 0.07 * np.sin(0.5 * t + lane * 2.0)
            _runner(picture, x, foot, big, 13.5 * t + lane * 1.7, skins[lane], *kits[lane])
        return film.expose(bloom(picture, 225, 3, 0.3), t)

    return paint


def _runner(
    picture: Picture, x: float, y: float, tall: float, stride: float, skin: Colour, shirt: Colour, shorts: Colour
) -> None:
    polygon(picture, oval(x, y, tall * 0.26, tall * 0.035), (110, 38, 28))
    bob = tall * 0.035 * np.cos(2 * stride)
    hip = np.array([x, y - tall * 0.50 + bob])
    neck = hip + np.array([0.10, -0.32]) * tall
    far_skin = mix(skin, (20, 10, 20), 0.3)

    def leg(phase: float, tone: Colour) -> None:
        thigh = 0.95 * np.sin(phase) + 0.2
        bend = 0.35 + 0.95 * (0.5 - 0.5 * np.sin(phase + 0.9)) ** 1.2
        knee = hip + np.array([np.sin(thigh), np.cos(thigh)]) * tall * 0.25
        shin = thigh - bend
        foot = knee + np.array([np.sin(shin), np.cos(shin)]) * tall * 0.25
        stroke(picture, [hip, knee], tone, tall * 0.085)
        stroke(picture, [knee, foot], tone, tall * 0.058)
        stroke(
            picture, [foot, foot + np.array([np.cos(shin), -np.sin(shin)]) * tall * 0.075], (250, 240, 70), tall * 0.045
        )
        stroke(
            picture, [hip, hip * 0.45 + knee * 0.55], mix(shorts, (0, 0, 0), 0.0 if tone == skin else 0.3), tall * 0.105
        )

    def arm(phase: float, tone: Colour) -> None:
        swing = 0.95 * np.sin(phase) - 0.1
        elbow = neck + np.array([np.sin(swing), np.cos(swing)]) * tall * 0.16 + (0, tall * 0.02)
        hand = elbow + np.array([np.sin(swing + 1.5), np.cos(swing + 1.5)]) * tall * 0.145
        stroke(picture, [neck + (0, tall * 0.02), elbow, hand], tone, tall * 0.046)

    leg(stride + np.pi, far_skin)
    arm(stride, far_skin)
    side = np.array([0.085, 0.0]) * tall
    polygon(
        picture, [neck - side * 0.8 + (0, -tall * 0.01), neck + side * 0.8, hip + side * 0.85, hip - side * 0.85], shirt
    )
    number = neck * 0.7 + hip * 0.3
    disc(picture, number[0] + tall * 0.01, number[1], tall * 0.035, shorts)
    leg(stride, skin)
    arm(stride + np.pi, skin)
    head = neck + np.array([0.05, -0.095]) * tall
    stroke(picture, [neck, head], skin, tall * 0.05)
    disc(picture, head[0], head[1], tall * 0.068, skin)
    polygon(
        picture, oval(head[0] - tall * 0.015, head[1] - tall * 0.025, tall * 0.064, tall * 0.05, -0.3), (30, 20, 18)
    )


def rowing(size: Size, seed: int) -> Scene:
    """A rowing eight, seen from above, draws its wake across green water."""
    width, height = size
    film = Film(size, seed, corners=0.4)
    unit = min(width, height * 1.2) / 400
    texture = noise(512, 512, (22, 9), 4, seed, 0.55)
    grid_x, grid_y = (a.astype(np.float32) for a in np.meshgrid(np.arange(width), np.arange(height)))
    table = ramp(
        [(0, "#06343e"), (0.45, "#0e5c62"), (0.75, "#2a8c88"), (0.92, "#8fd0c0"), (1, "#eefaf0")],
        np.linspace(0, 1, 256),
    ).astype(np.uint8)
    strokes_each_second = 0.62

    def along(stroke_number: float) -> float:
        phase = stroke_number % 1.0
        return stroke_number + 0.06 * np.sin(2 * np.pi * phase)

    def paint(t: float) -> Picture:
        beat = t * strokes_each_second
        moved = along(beat) * 250 * unit
        one = cv2.remap(
            texture,
            grid_x * 0.8 / unit + np.float32(moved * 0.8),
            grid_y * 0.8 / unit + np.float32(6 * t),
            cv2.INTER_LINEAR,
            None,
            cv2.BORDER_WRAP,
        )
        two = cv2.remap(
            texture,
            grid_x * 1.5 / unit + np.float32(moved * 1.5),
            grid_y * 1.5 / unit - np.float32(11 * t),
            cv2.INTER_LINEAR,
            None,
            cv2.BORDER_WRAP,
        )
        value = 0.55 * one + 0.45 * two
        level = np.clip((value - 0.30) * 1.5, 0, 1)
        picture: Picture = table[(level * 205).astype(np.uint8)]
        foam: Picture = np.zeros((height, width), np.uint8)
        bow, middle = width * 0.86, height * (0.5 + 0.015 * np.sin(0.7 * t))
        length = min(width * 0.78, 500 * unit)
        for side in (-1, 1):
            wake = np.linspace(0, 1, 24)
            stroke(
                foam, np.stack([bow - wake * width * 1.1, middle + side * (2 + 62 * wake) * unit], -1), (70,), 5 * unit
            )
        for back in range(1, 6):
            when = np.floor(beat) - back + 0.42
            drift = (along(beat) - along(when)) * 250 * unit
            for seat in range(8):
                side = 1 if seat % 2 else -1
                x = bow - length * (0.17 + 0.088 * seat) - drift
                grow = 1 + 0.35 * back
                if x > -40 * unit:
                    ring = oval(x, middle + side * 74 * unit, 13 * unit * grow, 9 * unit * grow)
                    stroke(foam, np.concatenate([ring, ring[:1]]), (max(20, 190 - 34 * back),), 2 * unit)
        foam = cv2.GaussianBlur(foam, (0, 0), 2 * unit)
        rough = cv2.convertScaleAbs(value, alpha=330)
        white = cv2.multiply(foam, rough, scale=1 / 210)
        picture = cv2.add(picture, cv2.merge([white] * 3))
        shell = [
            (bow, middle),
            (bow - length * 0.12, middle - 6 * unit),
            (bow - length * 0.5, middle - 9 * unit),
            (bow - length * 0.88, middle - 6 * unit),
            (bow - length, middle),
            (bow - length * 0.88, middle + 6 * unit),
            (bow - length * 0.5, middle + 9 * unit),
            (bow - length * 0.12, middle + 6 * unit),
        ]
        polygon(picture, np.array(shell) + (5 * unit, 8 * unit), (6, 40, 46))
        polygon(picture, shell, rgb("#f2d24a"))
        stroke(picture, [(bow - 4, middle), (bow - length * 0.14, middle)], rgb("#b83a2a"), 2 * unit)
        phase = beat % 1.0
        drive = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
        angle = 0.62 - 1.24 * drive
        in_water = phase < 0.5
        for seat in range(8):
            side = 1 if seat % 2 else -1
            x = bow - length * (0.17 + 0.088 * seat)
            pin = np.array([x - 8 * unit, middle + side * 20 * unit])
            way = np.array([-np.sin(angle), side * np.cos(angle)])
            blade = pin + way * 66 * unit
            stroke(picture, [(x - 8 * unit, middle + side * 6 * unit), pin], (60, 60, 66), 2 * unit)
            stroke(picture, [pin - way * 24 * unit, blade], (240, 236, 226), 2.2 * unit)
            tone = rgb("#d8342a") if not in_water else rgb("#8a4a44")
            polygon(
                picture, turned(oval(0, 0, 11 * unit, 4.4 * unit), float(np.arctan2(way[1], way[0])), 1, *blade), tone
            )
            body = x + (7 - 20 * drive) * unit
            hands = pin - way * 24 * unit
            for arm in (-1, 1):
                stroke(picture, [(body, middle + arm * 6 * unit), hands], rgb("#c89070"), 3 * unit)
            stroke(picture, [(body, middle - 3 * unit), (x - 17 * unit, middle - 3 * unit)], rgb("#2a3a6a"), 4 * unit)
            stroke(picture, [(body, middle + 3 * unit), (x - 17 * unit, middle + 3 * unit)], rgb("#2a3a6a"), 4 * unit)
            polygon(picture, oval(body, middle, 5.5 * unit, 9 * unit), rgb("#ffffff"))
            disc(picture, body - 1 * unit, middle, 4.2 * unit, mix(rgb("#3a2418"), rgb("#c89a50"), (seat * 0.29) % 1.0))
        cox = bow - length * (0.17 + 0.088 * 8)
        polygon(picture, oval(cox, middle, 5 * unit, 7 * unit), rgb("#d8342a"))
        disc(picture, cox, middle, 4 * unit, rgb("#2a3a6a"))
        return film.expose(picture, t)

    return paint
