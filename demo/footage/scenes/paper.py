"""Cut paper: hills with a bouncing ball, a whale among waves."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Cel,
    Colour,
    Field,
    Film,
    Picture,
    Scene,
    Size,
    Strip,
    disc,
    mix,
    noise,
    oval,
    place,
    polygon,
    rgb,
    stroke,
    turned,
)


def _sheet(size: Size, heights: Field, code: str, seed: int, pattern: str = "plain") -> Strip:
    """A sheet of cut paper below a line of heights, with a soft shadow above its edge and a pale cut rim."""
    width, height = size
    period = len(heights)
    cel = Cel(period, height)
    outline = np.stack([np.arange(-8, period + 8), np.take(heights, np.arange(-8, period + 8), mode="wrap")], -1)
    bottom = [(period + 8, height + 8), (-8, height + 8)]
    cel.polygon([*outline, *bottom], mix(rgb(code), (255, 255, 255), 0.45))
    cel.polygon([*(outline + (0, 2.2)), *bottom], rgb(code))
    rng = np.random.default_rng(seed)
    if pattern == "dots":
        for _ in range(90):
            x = rng.random() * period
            cel.disc(
                x,
                float(heights[int(x)]) + height * (0.05 + 0.3 * rng.random()),
                height / 360 * 3,
                mix(rgb(code), (255, 255, 255), 0.3),
            )
    elif pattern == "waves":
        for row in range(1, 6):
            cel.stroke(outline + (0, row * height * 0.045), mix(rgb(code), (255, 255, 255), 0.22), height / 240)
    elif pattern == "trees":
        for _ in range(14):
            x, tall = rng.random() * period, height * rng.uniform(0.10, 0.17)
            foot = float(heights[int(x)]) + height * 0.02
            tone = mix(rgb(code), rgb(["#f2c14e", "#e8643c", "#3a7d5a"][int(rng.integers(3))]), 0.75)
            cel.polygon(
                [(x - tall * 0.03, foot), (x + tall * 0.03, foot), (x, foot - tall)], mix(tone, (30, 20, 20), 0.5)
            )
            cel.disc(x, foot - tall * 0.85, tall * 0.28, mix(tone, (255, 255, 255), 0.3))
            cel.disc(x + 1, foot - tall * 0.85 + 1.5, tall * 0.27, tone)
    fibre = noise(period, height, (period // 3, height // 3), 2, seed) - 0.5
    broad = noise(period, height, (10, 6), 3, seed + 1) - 0.5
    cel.tint((1 + 0.10 * fibre + 0.08 * broad)[..., None])
    lifted = np.roll(cel.cover, round(-height * 0.010), axis=0)
    shadow = cv2.GaussianBlur(lifted, (0, 0), height * 0.014).astype(np.float32) / 255 * 0.42
    cover = cel.cover.astype(np.float32) / 255
    cel.cover = np.clip(255 * (cover + (1 - cover) * shadow), 0, 255).astype(np.uint8)
    return Strip(cel, width)


def _cut_out(side: int, shapes: list[tuple[Field, Colour]]) -> Cel:
    """Shapes on a transparent sheet, with a soft shadow below them."""
    cel = Cel(side, side)
    for points, colour in shapes:
        cel.polygon(points, colour)
    fibre = noise(side, side, (max(2, side // 3),) * 2, 2, side) - 0.5
    cel.tint((1 + 0.12 * fibre)[..., None])
    drop = round(side * 0.03)
    shadow = (
        cv2.GaussianBlur(np.roll(cel.cover, (drop, drop // 2), (0, 1)), (0, 0), side * 0.022).astype(np.float32)
        / 255
        * 0.4
    )
    cover = cel.cover.astype(np.float32) / 255
    cel.cover = np.clip(255 * (cover + (1 - cover) * shadow), 0, 255).astype(np.uint8)
    return cel


def _wavy(size: Size, level: float, swing: float, turns: tuple[int, int], phase: float) -> Field:
    width, height = size
    around = np.arange(width * 2) / (width * 2) * 2 * np.pi
    return height * (
        level - swing * (0.6 * np.sin(turns[0] * around + phase) + 0.4 * np.sin(turns[1] * around + 2 * phase))
    )


def bouncing_ball(size: Size, seed: int, mood: str = "morning") -> Scene:
    """A red ball bounces over cut-paper hills under a paper sun and clouds on strings."""
    width, height = size
    film = Film(size, seed, corners=0.25, grain=1.5)
    tones = {
        "morning": ("#f7e3b5", "#f4b942", ["#9cc5a1", "#6ba292", "#4a8c7a", "#35605a"], "#e4572e"),
        "candy": ("#cfe8f5", "#ff7f6a", ["#f5c0d0", "#e88ab0", "#b86aa8", "#6a4a8a"], "#2a9d8f"),
    }[mood]
    paper = np.clip(
        np.array(rgb(tones[0]), np.float32)
        * (0.97 + 0.08 * noise(width, height, (width // 3, height // 3), 2, seed)[..., None]),
        0,
        255,
    )
    backdrop = paper.astype(np.uint8)
    patterns = ("plain", "trees", "dots", "waves")
    sheets = [
        _sheet(size, _wavy(size, level, 0.045, turns, seed + k), tones[2][k], seed + k, patterns[k])
        for k, (level, turns) in enumerate([(0.58, (3, 5)), (0.68, (2, 7)), (0.80, (3, 4)), (0.93, (2, 5))])
    ]
    side = round(height * 0.5)
    middle = side / 2
    rays = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = np.where(np.arange(48) % 4 < 2, 0.46, 0.33) * side
    sun = _cut_out(
        side,
        [
            (
                np.stack([middle + reach * np.cos(rays), middle + reach * np.sin(rays)], -1),
                mix(rgb(tones[1]), (255, 255, 255), 0.3),
            ),
            (oval(middle, middle, side * 0.25, side * 0.25), rgb(tones[1])),
        ],
    )
    cloud_side = round(height * 0.34)
    cloud = _cut_out(
        cloud_side,
        [
            (oval(cloud_side * x, cloud_side * y, cloud_side * r, cloud_side * r), (252, 250, 244))
            for x, y, r in ((0.28, 0.55, 0.15), (0.48, 0.46, 0.20), (0.68, 0.54, 0.16), (0.48, 0.58, 0.17))
        ],
    )
    ball_side = round(height * 0.2)
    ring = ball_side / 2
    ball = _cut_out(
        ball_side,
        [
            (oval(ring, ring, ring * 0.8, ring * 0.8, 0, 48), rgb(tones[3])),
            (oval(ring, ring, ring * 0.8, ring * 0.24, 0.5, 48), (250, 240, 220)),
            (oval(ring * 0.75, ring * 0.7, ring * 0.16, ring * 0.1, -0.7), (255, 200, 180)),
        ],
    )

    def paint(t: float) -> Picture:
        picture: Picture = backdrop.copy()
        place(picture, sun, width * 0.78, height * 0.26, 1.0, 0.25 * t)
        for number in range(4):
            x = (number * 0.34 * width - 16 * t * (1 + 0.2 * number)) % (width * 1.36) - width * 0.18
            y = height * (0.17 + 0.07 * (number % 2)) + 3 * np.sin(1.2 * t + number)
            stroke(picture, [(x, -2), (x, y)], (120, 100, 84), 1)
            place(picture, cloud, x, y, 0.8 + 0.15 * (number % 2), 0.05 * np.sin(1.2 * t + number))
        for index, pace in enumerate((16, 34, 66)):
            sheets[index].over(picture, pace * height / 360 * t + 90 * index)
        hop = 0.72
        phase = (t % hop) / hop
        leap = 4 * phase * (1 - phase)
        squash = 1 - 0.32 * float(np.exp(-((min(phase, 1 - phase) / 0.07) ** 2)))
        x = width * (0.40 + 0.06 * np.sin(0.7 * t))
        y = height * 0.775 - ring * 0.8 * squash - height * 0.40 * leap
        shade = picture.copy()
        polygon(shade, oval(x, height * 0.785, ring * (0.9 - 0.35 * leap), ring * 0.2), (30, 40, 40))
        picture = cv2.addWeighted(picture, 0.72 + 0.15 * leap, shade, 0.28 - 0.15 * leap, 0)
        flat = cv2.resize(ball.colour, (ball_side, max(2, round(ball_side * squash))))
        pressed = Cel(flat.shape[1], flat.shape[0])
        turn = cv2.getRotationMatrix2D((ring, ring), -np.degrees(2.4 * t), 1.0)
        pressed.colour = cv2.resize(
            cv2.warpAffine(ball.colour, turn, (ball_side, ball_side)), (ball_side, flat.shape[0])
        )
        pressed.cover = cv2.resize(cv2.warpAffine(ball.cover, turn, (ball_side, ball_side)), (ball_side, flat.shape[0]))
        place(picture, pressed, x, y, 1.0, 0.0, 1 + (1 - squash) * 0.6)
        sheets[3].over(picture, 120 * height / 360 * t)
        return film.expose(picture, t)

    return paint


def paper_whale(size: Size, seed: int) -> Scene:
    """A paper whale spouts among paper waves that slide to and fro; stars hang on threads."""
    width, height = size
    film = Film(size, seed, corners=0.25, grain=1.5)
    fibre = noise(width, height, (width // 3, height // 3), 2, seed)[..., None]
    night = np.array(rgb("#233a6b"), np.float32) * (0.95 + 0.12 * fibre)
    backdrop: Picture = np.clip(night, 0, 255).astype(np.uint8)
    tones = ["#5aa0c8", "#3f86b8", "#2a6aa0", "#1d4f80", "#163a62"]
    around = np.arange(width * 2) / (width * 2) * 2 * np.pi
    waves = [
        _sheet(
            size,
            height * (0.58 + 0.085 * k) - height * 0.035 * np.abs(np.sin((7 + k % 3) * around / 2 * 2 + k)) ** 0.8,
            tones[k],
            seed + k,
            "waves" if k % 2 else "plain",
        )
        for k in range(5)
    ]
    side = round(height * 0.62)
    body = [
        (0.06, 0.52),
        (0.10, 0.38),
        (0.22, 0.30),
        (0.40, 0.28),
        (0.56, 0.33),
        (0.70, 0.44),
        (0.80, 0.46),
        (0.86, 0.34),
        (0.80, 0.22),
        (0.88, 0.26),
        (0.92, 0.30),
        (0.98, 0.22),
        (0.99, 0.32),
        (0.93, 0.42),
        (0.90, 0.56),
        (0.78, 0.66),
        (0.55, 0.72),
        (0.28, 0.72),
        (0.10, 0.66),
    ]
    belly = [
        (0.07, 0.56),
        (0.20, 0.60),
        (0.40, 0.61),
        (0.60, 0.60),
        (0.72, 0.66),
        (0.55, 0.72),
        (0.28, 0.72),
        (0.10, 0.66),
    ]
    whale = _cut_out(
        side,
        [
            (np.array(body) * side, rgb("#e8eef2")),
            (np.array(body) * side * 0.985 + side * 0.0075, rgb("#7c93b0")),
            (np.array(belly) * side, rgb("#dfe6ea")),
            (oval(side * 0.20, side * 0.48, side * 0.018, side * 0.022), rgb("#1b2438")),
            (turned(oval(0, 0, side * 0.11, side * 0.04), 0.7, 1, side * 0.42, side * 0.64), rgb("#66809f")),
        ],
    )
    star_side = round(height * 0.09)
    tips = np.linspace(0, 2 * np.pi, 10, endpoint=False) - np.pi / 2
    far = np.where(np.arange(10) % 2 == 0, 0.45, 0.2) * star_side
    star = _cut_out(
        star_side,
        [(np.stack([star_side / 2 + far * np.cos(tips), star_side / 2 + far * np.sin(tips)], -1), rgb("#ffd86a"))],
    )
    moon_side = round(height * 0.3)
    moon = _cut_out(
        moon_side,
        [
            (oval(moon_side / 2, moon_side / 2, moon_side * 0.4, moon_side * 0.4, 0, 48), rgb("#fff0c4")),
            (oval(moon_side * 0.62, moon_side * 0.42, moon_side * 0.06, moon_side * 0.06), rgb("#ecd49a")),
            (oval(moon_side * 0.4, moon_side * 0.6, moon_side * 0.09, moon_side * 0.08), rgb("#ecd49a")),
        ],
    )

    def paint(t: float) -> Picture:
        picture: Picture = backdrop.copy()
        place(picture, moon, width * 0.82, height * 0.22, 1.0, 0.06 * np.sin(0.8 * t))
        for number in range(9):
            x = width * (0.06 + 0.11 * number)
            y = height * (0.10 + 0.17 * ((number * 0.618) % 1.0)) + 2 * np.sin(t + number)
            stroke(picture, [(x, -2), (x, y)], (120, 134, 170), 1)
            place(picture, star, x, y, 0.8 + 0.4 * ((number * 0.37) % 1.0), 0.5 * np.sin(0.9 * t + number * 1.7))
        for index, wave in enumerate(waves):
            if index == 2:
                x = width * (0.40 + 0.10 * np.sin(0.35 * t))
                y = height * (0.60 + 0.05 * np.sin(1.1 * t))
                for drop in range(15):
                    age = (t * 1.1 + drop / 15) % 1.0
                    way = ((drop * 0.618) % 1.0 - 0.5) * 1.3
                    px = x - side * 0.14 + way * age * side * 0.5
                    py = y - side * 0.20 - side * (1.0 * age - 0.95 * age**2) * 1.1
                    disc(picture, px, py, height * 0.011 * (1.2 - 0.5 * age), rgb("#bfe4f4"))
                place(picture, whale, x, y, 1.0, 0.07 * np.sin(1.1 * t + 0.9))
            wave.over(
                picture,
                (26 + 10 * index) * np.sin(0.9 * t + index * 1.1) + 100 * index,
                round(height * 0.008 * np.sin(1.3 * t + index)),
            )
        return film.expose(picture, t)

    return paint
