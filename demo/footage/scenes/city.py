"""The city after dark: a skyline, a motorway, rain on a window."""

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
    polygon,
    rgb,
    shine,
    sky,
    stroke,
)
from demo.footage.scenes.elements import Stars, Water


def _block_row(
    size: Size, base: float, tall: tuple[float, float], wide: tuple[int, int], wall: str, lit: float, seed: int
) -> Strip:
    """Houses with lit windows, standing on `base` (share of height)."""
    width, height = size
    rng = np.random.default_rng(seed)
    cel = Cel(width * 2, height)
    unit = height / 360
    floor = height * base
    x = 0.0
    warm = [rgb("#ffd890"), rgb("#ffb45a"), rgb("#fff0c8"), rgb("#bfe0ff"), rgb("#ff9a6a")]
    while x < width * 2 - 4:
        broad = min(float(rng.uniform(*wide)) * unit, width * 2 - x)
        top = floor - height * rng.uniform(*tall)
        tone = mix(rgb(wall), (255, 255, 255), 0.05 * rng.random())
        cel.polygon([(x, floor), (x + broad, floor), (x + broad, top), (x, top)], tone)
        cel.polygon(
            [(x + broad * 0.72, floor), (x + broad, floor), (x + broad, top), (x + broad * 0.72, top)],
            mix(tone, (0, 0, 0), 0.3),
        )
        if rng.random() < 0.4:
            middle = x + broad / 2
            cel.polygon(
                [
                    (x + broad * 0.25, top),
                    (x + broad * 0.75, top),
                    (x + broad * 0.65, top - 14 * unit),
                    (x + broad * 0.35, top - 14 * unit),
                ],
                tone,
            )
            cel.stroke([(middle, top - 12 * unit), (middle, top - 34 * unit)], tone, unit * 1.5)
            cel.disc(middle, top - 34 * unit, 1.4 * unit, rgb("#ff4a4a"))
        step_x, step_y = 7.0 * unit * (wide[0] / 40), 9.0 * unit * (wide[0] / 40)
        office = rng.random() < 0.35
        for wy in np.arange(top + step_y * 0.6, floor - step_y * 0.4, step_y):
            whole_floor = office and rng.random() < 0.5
            for wx in np.arange(x + step_x * 0.6, x + broad - step_x, step_x):
                if rng.random() < (lit * 1.6 if whole_floor else lit):
                    glow = mix(warm[int(rng.integers(5))], rgb(wall), 0.55 * rng.random())
                    cel.polygon(
                        [
                            (wx, wy),
                            (wx + step_x * 0.55, wy),
                            (wx + step_x * 0.55, wy + step_y * 0.5),
                            (wx, wy + step_y * 0.5),
                        ],
                        glow,
                    )
        x += broad + rng.uniform(0, 5) * unit
    return Strip(cel, width)


def skyline(size: Size, seed: int, hour: str = "night") -> Scene:
    """A city skyline slides by at night; cars pass on the wet street in front."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    unit = height / 360
    stops = {
        "night": [(0, "#090b26"), (0.4, "#2a1f55"), (0.78, "#b0487a"), (1, "#f08a5a")],
        "blue": [(0, "#04101e"), (0.45, "#0e3354"), (0.8, "#2f7f9a"), (1, "#8ac8b8")],
    }[hour]
    walls = {"night": ("#5a3a6c", "#33244f", "#151228"), "blue": ("#245a74", "#153a54", "#081624")}[hour]
    backdrop = sky(size, stops, seed)
    shine(backdrop, lamp(round(height * 0.24), (60, 60, 84), 2.0), width * 0.78, height * 0.2)
    disc(backdrop, width * 0.78, height * 0.2, height * 0.055, (250, 240, 222))
    stars = Stars(size, 110, seed, 0.4)
    rows = [
        _block_row(size, 0.80, (0.22, 0.52), (30, 70), walls[0], 0.30, seed + 1),
        _block_row(size, 0.80, (0.14, 0.42), (40, 96), walls[1], 0.36, seed + 2),
        _block_row(size, 0.82, (0.06, 0.28), (70, 150), walls[2], 0.42, seed + 3),
    ]
    street = round(height * 0.80)
    water = Water(size, street, seed, "#8f86a0", "#0a0914", "#ffcf90", 0.10, swell=0.9)
    cars = [
        (
            rng.random(),
            float(rng.choice([-1, 1])),
            rng.uniform(90, 150),
            rgb(["#c8302a", "#d8d8e0", "#2a5a9a", "#e0a82a", "#3a3a46"][k % 5]),
        )
        for k in range(12)
    ]
    front_lamp, back_lamp = lamp(round(26 * unit), (255, 240, 200), 1.8), lamp(round(20 * unit), (255, 40, 30), 1.8)
    street_lamp = lamp(round(44 * unit), (255, 190, 110), 2.2)

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t)
        for row, pace in zip(rows, (9, 20, 40), strict=True):
            row.over(picture, pace * unit * t + 50 * pace)
        picture[street:] = cv2.convertScaleAbs(backdrop[street:], alpha=0.2)
        line = street - 2 * unit
        for pole in range(6):
            px = (pole * 180 * unit - 70 * unit * t) % (1080 * unit) - 90 * unit
            stroke(
                picture,
                [(px, line), (px, line - 70 * unit), (px + 16 * unit, line - 74 * unit)],
                (18, 16, 30),
                2 * unit,
            )
            shine(picture, street_lamp, px + 16 * unit, line - 72 * unit, 0.9)
        for start, way, drive, tone in cars:
            span = width + 160 * unit
            px = (start * span + way * drive * unit * t - 70 * unit * t) % span - 80 * unit
            base = line + (1 if way > 0 else -3) * unit
            body = np.array([(-22, 0), (22, 0), (22, -8), (12, -9), (7, -16), (-9, -16), (-15, -9), (-22, -8)]) * unit
            polygon(picture, body * (way, 1) + (px, base), mix(tone, (14, 12, 30), 0.45))
            polygon(
                picture,
                np.array([(-8, -15), (6, -15), (10, -9.5), (-12, -9.5)]) * unit * (way, 1) + (px, base),
                (70, 80, 104),
            )
            for wheel in (-13, 13):
                disc(picture, px + wheel * unit, base, 4.4 * unit, (8, 8, 14))
            shine(picture, front_lamp, px + way * 24 * unit, base - 5 * unit)
            shine(picture, back_lamp, px - way * 23 * unit, base - 6 * unit)
        water.paint(picture, 0.6 * t)
        return film.expose(bloom(picture, 190, 4, 0.6), t)

    return paint


def motorway(size: Size, seed: int) -> Scene:
    """A drive on a motorway by night: red tail lights ahead, white head lights coming, lamps passing."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    unit = height / 360
    horizon = height * 0.46
    backdrop = sky(size, [(0, "#060818"), (0.46, "#3a2a58"), (0.47, "#15141f"), (1, "#24242c")], seed)
    shine(backdrop, lamp(round(height * 0.4), (120, 70, 60), 2.0), width / 2, horizon)
    town = _block_row(size, 0.465, (0.01, 0.13), (18, 44), "#1a1734", 0.4, seed)
    asphalt = noise(256, 256, (32, 32), 3, seed)
    down = np.linspace(0.004, 1, height - round(horizon), dtype=np.float32)[:, None]
    depth = 1 / down
    u = ((np.arange(width, dtype=np.float32)[None] - width / 2) / height * depth * 60).astype(np.float32)
    v = np.broadcast_to(np.minimum(depth, 40) * 90, u.shape).astype(np.float32)
    fade = np.clip(down * 2.2, 0, 1)
    cars = [(rng.random() * 60, rng.choice([0.7, 1.9, 3.1]), rng.uniform(3.5, 7.0), -1.0) for _ in range(18)]
    cars += [(rng.random() * 60, rng.choice([-1.3, -2.5, -3.7]), rng.uniform(20, 26), 1.0) for _ in range(26)]
    white, red, amber = (lamp(72, tone, 2.4) for tone in ((255, 246, 220), (255, 44, 30), (255, 176, 84)))
    sized = {
        name: [cv2.resize(light, (2 * r + 1, 2 * r + 1), interpolation=cv2.INTER_AREA) for r in range(2, 64)]
        for name, light in (("white", white), ("red", red), ("amber", amber))
    }
    speed = 15.0

    def spot(across: float, up: float, far: float) -> tuple[float, float]:
        return width / 2 + across / far * height * 0.72, horizon + (1.0 - up) / far * height * 0.72

    def glow(picture: Picture, name: str, x: float, y: float, radius: float, strength: float = 1.0) -> None:
        shine(picture, sized[name][int(np.clip(radius - 2, 0, 61))], x, y, strength)

    def paint(t: float) -> Picture:
        picture = backdrop.copy()
        town.over(picture, 2 * t)
        ground = cv2.remap(asphalt, u, v + 135 * t * speed / 15, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        grey = cv2.convertScaleAbs((ground - 0.3) * 26 * fade)
        lower = picture[round(horizon) :]
        lower[:] = cv2.add(lower, cv2.merge([grey, grey, grey]))
        for line in (-4.3, -3.1, -1.9, 1.3, 2.5, 3.7):
            for dash in range(14):
                far = 0.7 + (dash * 3.0 - speed * t) % 42
                if line in (-4.3, 3.7) or far < 42:
                    close, remote = spot(line, 0, far), spot(line, 0, far + 1.2)
                    broad = 0.05 * height * 0.72
                    polygon(
                        picture,
                        [
                            (close[0] - broad / far, close[1]),
                            (close[0] + broad / far, close[1]),
                            (remote[0] + broad / (far + 1.2), remote[1]),
                            (remote[0] - broad / (far + 1.2), remote[1]),
                        ],
                        mix((200, 190, 170), (40, 36, 50), min(1.0, far / 26)),
                    )
        for edge in (-0.25, 0.05):
            stroke(picture, [spot(edge, 0.28, 0.8), spot(edge, 0.28, 60)], (120, 116, 130), 2 * unit)
        lights = []
        for post in range(8):
            lights.append((0.8 + (post * 6.0 - speed * t) % 48, 0, 0.0))
        for index, (start, lane, pace, _way) in enumerate(cars):
            closing = -(speed - pace * 1.6) if index < 18 else -(speed + pace)
            lights.append((0.75 + (start + closing * t) % 60, 1 if index < 18 else 2, float(lane)))
        for far, kind, lane in sorted(lights, reverse=True):
            size_here = height * 0.72 / far
            dim = min(1.0, 1.3 - far / 60)
            if kind == 0:
                low, head = spot(-0.1, 0, far), spot(-0.1, 2.3, far)
                stroke(picture, [low, head], (44, 40, 54), max(1.0, 0.06 * size_here))
                for arm in (-0.7, 0.5):
                    end = spot(arm, 2.35, far)
                    stroke(picture, [head, end], (44, 40, 54), max(1.0, 0.04 * size_here))
                    glow(picture, "amber", *end, 0.45 * size_here + 3, dim)
                continue
            left, right = spot(lane - 0.33, 0.22, far), spot(lane + 0.33, 0.22, far)
            roof, foot = spot(lane, 0.62, far)[1], spot(lane, 0.02, far)[1]
            middle = (left[0] + right[0]) / 2
            half = 0.44 * size_here
            if far < 20:
                polygon(
                    picture,
                    [
                        (middle - half, foot),
                        (middle + half, foot),
                        (middle + half, left[1] - half * 0.3),
                        (middle + half * 0.7, roof),
                        (middle - half * 0.7, roof),
                        (middle - half, left[1] - half * 0.3),
                    ],
                    (20, 19, 28),
                )
            name = "red" if kind == 1 else "white"
            for x, y in (left, right):
                glow(picture, name, x, y, (0.30 if kind == 1 else 0.5) * size_here + 2.5, dim)
                disc(picture, x, y, max(0.8, 0.06 * size_here), (255, 90, 70) if kind == 1 else (255, 252, 240))
                glow(picture, name, x, y + 0.42 * size_here, 0.22 * size_here + 2, 0.45 * dim)
        return film.expose(bloom(picture, 190, 4, 0.6), t)

    return paint


def rainy_window(size: Size, seed: int, hue: str = "warm") -> Scene:
    """Blurred city lights behind a window; drops cling to the glass and some run down."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed, corners=0.5)
    unit = min(width, height) / 360
    wide = width + 120
    codes = {
        "warm": ["#ffb45a", "#ff6a3a", "#ffe0a0", "#ff3a4a", "#6ab8ff", "#ffd070"],
        "cool": ["#5ad0ff", "#8a7aff", "#ff6ad0", "#60ffc8", "#ffffff", "#4a7aff"],
    }[hue]
    street = sky(
        (wide, height), [(0, "#0e1226"), (0.6, "#2c2038" if hue == "warm" else "#14304a"), (1, "#120e18")], seed
    )
    for index in range(120):
        light = np.zeros_like(street)
        x, y, radius = rng.random() * wide, height * (0.12 + 0.85 * rng.random()), unit * rng.uniform(9, 27)
        tone = mix((0, 0, 0), rgb(codes[index % 6]), rng.uniform(0.25, 0.65))
        disc(light, x, y, radius, tone)
        disc(light, x, y, radius * 0.86, mix(tone, (0, 0, 0), 0.18))
        street = cv2.add(street, light)
    street = cv2.GaussianBlur(street, (0, 0), 1.6 * unit)
    crisp = cv2.convertScaleAbs(street, alpha=1.35)
    grid_x, grid_y = (a.astype(np.float32) for a in np.meshgrid(np.arange(width), np.arange(height)))
    bend_x, bend_y, gloss = np.zeros_like(grid_x), np.zeros_like(grid_x), np.zeros_like(grid_x)
    wet = np.zeros((height, width), np.uint8)

    def bead(x: float, y: float, radius: float, bx: Picture, by: Picture, shine_on: Picture, mask: Picture) -> None:
        left, right, top, bottom = (
            int(x - radius - 1),
            int(x + radius + 2),
            int(y - radius * 1.3 - 1),
            int(y + radius * 1.2 + 2),
        )
        left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
        if right <= left or bottom <= top:
            return
        dx = (grid_x[top:bottom, left:right] - x) / radius
        dy = (grid_y[top:bottom, left:right] - y) / (radius * 1.15)
        r2 = dx**2 + dy**2
        inside = r2 < 1
        where = (slice(top, bottom), slice(left, right))
        bx[where][inside] = (-dx * radius * 5.5)[inside]
        by[where][inside] = (-dy * radius * 5.0)[inside]
        shine_on[where][inside] = (
            120 * np.exp(-((dx + 0.35) ** 2 + (dy + 0.45) ** 2) * 16) - 70 * np.clip(r2 - 0.55, 0, 1)
        )[inside]
        mask[where][inside] = 255

    for _ in range(round(420 * width * height / 230400)):
        bead(
            rng.random() * width,
            rng.random() * height,
            unit * (1.2 + 8.0 * rng.random() ** 5),
            bend_x,
            bend_y,
            gloss,
            wet,
        )
    runners = [
        (rng.random() * width, rng.random(), rng.uniform(0.10, 0.30), unit * rng.uniform(4.5, 8.5), rng.random() * 6.3)
        for _ in range(13)
    ]

    def paint(t: float) -> Picture:
        shift = 40 + 12 * t
        bx, by, glint, mask = bend_x.copy(), bend_y.copy(), gloss.copy(), wet.copy()
        for x, start, pace, radius, phase in runners:
            travel = start + pace * (t + 0.35 * np.sin(1.7 * t + phase))
            y = (travel % 1.25 - 0.1) * height
            px = x + 5 * unit * np.sin(y / height * 9 + phase)
            for back in range(7):
                ty = y - radius * (1.8 + 2.2 * back)
                bead(
                    x + 5 * unit * np.sin(ty / height * 9 + phase),
                    ty,
                    radius * max(0.18, 0.55 - 0.07 * back),
                    bx,
                    by,
                    glint,
                    mask,
                )
            bead(px, y, radius, bx, by, glint, mask)
        behind = cv2.remap(street, grid_x + shift, grid_y, cv2.INTER_LINEAR)
        through = cv2.remap(crisp, grid_x + shift + bx, grid_y + by, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        cv2.copyTo(through, mask, behind)
        brighter, darker = cv2.convertScaleAbs(np.clip(glint, 0, 255)), cv2.convertScaleAbs(np.clip(-glint, 0, 255))
        picture = cv2.subtract(cv2.add(behind, cv2.merge([brighter] * 3)), cv2.merge([darker] * 3))
        return film.expose(bloom(picture, 185, 4, 0.6), t)

    return paint
