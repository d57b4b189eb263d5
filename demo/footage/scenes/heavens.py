"""Skies and beyond: aurora over mountains, a ringed planet, a flight through stars, a sea of clouds."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import (
    Field,
    Film,
    Picture,
    Scene,
    Size,
    Strip,
    bloom,
    colourise,
    disc,
    dithered,
    lamp,
    noise,
    palette,
    ramp,
    rgb,
    shine,
    sky,
    smoothstep,
    stroke,
)
from demo.footage.scenes.elements import Stars, Water, hills, ridge_cel


def aurora(size: Size, seed: int, hue: str = "green") -> Scene:
    """Curtains of aurora sway over snowy mountains and are mirrored in a still lake."""
    width, height = size
    film = Film(size, seed)
    horizon = round(height * 0.72)
    backdrop = sky(size, [(0, "#050a1e"), (0.5, "#0c2340"), (0.75, "#1d4a5a")], seed)
    stars = Stars(size, 260, seed, 0.75)
    mountains = ridge_cel(
        size, hills(size, 0.60, 0.34, 5, seed, 7, 0.5), [(0, "#24384e"), (0.3, "#0e1a2a")], seed, 0.3, 12
    )
    peaks = np.clip((height * 0.56 - np.arange(height, dtype=np.float32)[:, None]) / (height * 0.1), 0, 1)
    snow = (peaks * 1.25 > noise(width * 2, height, (70, 40), 3, seed)) * (mountains.cover > 128)
    mountains.wash(np.broadcast_to(np.array(rgb("#8fb4c8"), np.float32), mountains.colour.shape), snow * 0.75)
    range_ = Strip(mountains, width)
    shore = Strip(
        ridge_cel(size, hills(size, 0.70, 0.05, 9, seed + 3, 6, 0.65), [(0, "#081018"), (1, "#04080c")], seed), width
    )
    water = Water(size, horizon, seed, "#b4d0dc", "#02101c", glitter=0.05, swell=0.35)
    small_w, small_h = 320, round(320 * height / width)
    x = np.linspace(0, width / height, small_w, dtype=np.float32)[None]
    y = np.linspace(0, 1, small_h, dtype=np.float32)[:, None]
    rays = noise(1024, 64, (90, 4), 3, seed + 4, 0.7)
    low, high = ("#2cf09a", "#7a4af0") if hue == "green" else ("#f05aa0", "#4a6af8")
    tone = ramp([(0, high), (0.35, high), (0.75, low), (1, low)], np.linspace(0, 1, 64)) / 255

    def curtain(t: float, base: float, phase: float, pace: float) -> Field:
        line = (
            base
            + 0.09 * np.sin(1.9 * x + phase + 0.35 * pace * t)
            + 0.05 * np.sin(4.7 * x - 0.5 * t + 2 * phase)
            + 0.018 * np.sin(13 * x + 1.1 * t)
        )
        fold = x + 0.06 * np.sin(4.7 * x - 0.5 * t + 2 * phase) + 0.05 * pace * t
        sample_x = (fold * 230 + 300 * phase).astype(np.float32)
        ray = cv2.remap(
            rays, sample_x, np.full_like(sample_x, (4 * t + 20 * phase) % 64), cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
        )
        above = line - y
        body = np.exp(-np.clip(above, 0, None) * (3.6 + 5 * (1 - ray))) * smoothstep(-0.035, 0.015, above)
        share = np.clip(1 - above * 2.4, 0, 1)
        strength = body * (0.22 + 0.95 * ray**1.4) * (0.65 + 0.35 * np.sin(1.4 * x + 0.6 * t + phase))
        return strength[..., None] * tone[(share * 63).astype(np.uint8)]

    def paint(t: float) -> Picture:
        light = curtain(t, 0.40, 0.4, 1.0) + 0.8 * curtain(t, 0.30, 2.3, -0.8) + 0.6 * curtain(t, 0.50, 4.1, 0.6)
        glow = cv2.resize(np.clip(light * 310, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        picture = cv2.add(stars.add(backdrop, t), glow)
        range_.over(picture, 3 * t + 70)
        shore.over(picture, 8 * t)
        water.paint(picture, 0.5 * t)
        return film.expose(bloom(picture, 150, 6, 0.4), t)

    return paint


def ringed_planet(size: Size, seed: int, kind: str = "amber") -> Scene:
    """A banded planet turns inside its rings while a small moon passes before the stars."""
    width, height = size
    film = Film(size, seed, corners=0.5)
    looks = {
        "amber": ([(0, "#7a4a2a"), (0.3, "#c89058"), (0.5, "#f2dcae"), (0.7, "#d8a468"), (1, "#9a5f3a")], "#e8d0a4"),
        "blue": ([(0, "#0f2a5f"), (0.35, "#2f6fc0"), (0.55, "#a8dcf0"), (0.75, "#3a86c8"), (1, "#123a78")], "#b8d8e8"),
    }
    bands, ring_tone = looks[kind]
    space = np.zeros((height, width + 120, 3), np.float32)
    haze = noise(width + 120, height, (4, 3), 5, seed)
    haze2 = noise(width + 120, height, (3, 2), 5, seed + 9)
    space += smoothstep(0.45, 1.0, haze)[..., None] * np.array([42, 30, 74], np.float32)
    space += smoothstep(0.5, 1.0, haze2)[..., None] * np.array([14, 44, 60], np.float32)
    backdrop = dithered(space + 4, seed)
    backdrop = Stars((width + 120, height), 420, seed).add(backdrop, 0)
    centre_x, centre_y, radius = width * 0.47, height * 0.5, height * 0.27
    px = (np.arange(width, dtype=np.float32)[None] - centre_x) / radius
    py = (np.arange(height, dtype=np.float32)[:, None] - centre_y) / radius
    tilt, roll = 0.42, -0.36
    qx, qy = px * np.cos(roll) - py * np.sin(roll), px * np.sin(roll) + py * np.cos(roll)
    squared = qx**2 + qy**2
    depth = np.sqrt(np.clip(1 - squared, 0, 1))
    north = qy * np.cos(tilt) + depth * np.sin(tilt)
    toward = depth * np.cos(tilt) - qy * np.sin(tilt)
    longitude = np.arctan2(qx, toward)
    map_y = ((np.arcsin(np.clip(north, -1, 1)) / np.pi + 0.5) * 255).astype(np.float32)
    map_x = (longitude / (2 * np.pi) * 1024).astype(np.float32)
    latitude = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    swirl = noise(1024, 256, (16, 10), 5, seed + 2, 0.55) - 0.5
    stripes = noise(8, 256, (1, 18), 3, seed + 3, 0.6)[:, :1]
    rows = np.clip((latitude + 0.035 * swirl) * 255, 0, 255).astype(np.uint8)
    values = np.clip(stripes[rows, 0] + 0.22 * swirl, 0, 1)
    surface = colourise(values.astype(np.float32), palette(bands))
    sun = np.array([-0.72, -0.38, 0.58])
    light = (
        qx * (sun[0] * np.cos(roll) - sun[1] * np.sin(roll))
        + qy * (sun[0] * np.sin(roll) + sun[1] * np.cos(roll))
        + depth * sun[2]
    )
    lit = (np.clip(light * 1.15 + 0.04, 0.015, 1.1) ** 0.8).astype(np.float32)[..., None]
    ring_y = qy / np.sin(tilt)
    reach = np.hypot(qx, ring_y)
    around = np.arctan2(ring_y, qx)
    profile = noise(512, 8, (40, 1), 3, seed + 5, 0.7)[0]
    grooves = np.interp(reach, np.linspace(1.25, 2.3, 512), profile)
    ring = smoothstep(1.25, 1.3, reach) * smoothstep(2.3, 2.24, reach) * (0.25 + 0.75 * grooves)
    ring *= 1 - 0.9 * np.exp(-(((reach - 1.93) / 0.035) ** 2))
    shadow_side = qx * 0.72 + ring_y * 0.3
    in_shadow = smoothstep(0.95, 1.05, np.abs(qx * 0.38 - ring_y * 0.75) + (shadow_side < 0) * 2)
    ring *= 0.12 + 0.88 * in_shadow
    behind = (squared < 1) & (qy < 0)
    ring = np.where(behind, 0, ring).astype(np.float32)
    inside = np.clip((1 - np.sqrt(squared)) * radius + 0.5, 0, 1)[..., None]
    rim = np.exp(-np.abs(np.sqrt(squared) - 1.0) * 14)[..., None] * np.clip(light + 0.5, 0, 1)[..., None]
    air = np.array(rgb("#ffe0b0" if kind == "amber" else "#8fd0ff"), np.float32)
    atmosphere = (rim * air * 0.45).astype(np.float32)
    around_globe = cv2.merge([np.clip(255 * (1 - inside[..., 0]), 0, 255).astype(np.uint8)] * 3)
    lit_globe = cv2.merge([np.clip(230 * lit * inside, 0, 255)[..., 0].astype(np.uint8)] * 3)
    air_glow = dithered(atmosphere * (0.8 + 0.2 * inside) - 0.5)
    speckle = cv2.convertScaleAbs(0.66 + 0.34 * noise(1024, 64, (128, 8), 2, seed + 6), alpha=255.0)
    ring_cover = cv2.convertScaleAbs(ring, alpha=255.0)
    ring_x, ring_row = (around / (2 * np.pi) * 1024).astype(np.float32), (reach * 28).astype(np.float32)
    ring_colour = np.full((height, width, 3), rgb(ring_tone), np.uint8)

    def paint(t: float) -> Picture:
        slide = np.array([[1, 0, -30 - 5 * t], [0, 1, 0]], np.float64)
        picture = cv2.multiply(cv2.warpAffine(backdrop, slide, size), around_globe, scale=1 / 255)
        globe = cv2.remap(surface, map_x + 26 * t, map_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        picture = cv2.add(cv2.add(picture, cv2.multiply(globe, lit_globe, scale=1 / 230)), air_glow)
        dust = cv2.remap(speckle, ring_x + 45 * t, ring_row, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        opacity = cv2.merge([cv2.multiply(ring_cover, dust, scale=1 / 255)] * 3)
        picture = cv2.multiply(picture, cv2.bitwise_not(opacity), scale=1 / 255)
        result = cv2.add(picture, cv2.multiply(ring_colour, opacity, scale=1 / 255))
        angle = 0.32 * t + 2.4
        moon_x, moon_y = centre_x + np.cos(angle) * radius * 2.9, centre_y - np.sin(angle) * radius * 0.95
        disc(result, moon_x, moon_y, radius * 0.085, (30, 28, 34))
        disc(result, moon_x - radius * 0.016, moon_y - radius * 0.012, radius * 0.068, (214, 206, 196))
        return film.expose(bloom(result, 205, 5, 0.4), t)

    return paint


def star_flight(size: Size, seed: int) -> Scene:
    """A flight through a violet nebula; stars stream past and leave streaks."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    table = palette(
        [(0, "#03030c"), (0.35, "#160c38"), (0.55, "#4a1a6e"), (0.72, "#b03a8a"), (0.86, "#f08a7a"), (1, "#ffe8c0")]
    )
    wisps = noise(512, 512, (5, 5), 6, seed, 0.56)
    wisps = np.clip((wisps * 1.15 - np.abs(noise(512, 512, (4, 4), 5, seed + 1) - 0.5) * 1.1), 0, 1)
    x = (np.arange(width, dtype=np.float32)[None] - width / 2) / height
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / height
    reach = np.hypot(x, y) + 0.05
    around = np.arctan2(y, x)
    position = rng.random((620, 3))
    tints = [rgb("#ffffff"), rgb("#bcd0ff"), rgb("#ffd8b0"), rgb("#e8c0ff")]

    def paint(t: float) -> Picture:
        spin = around + 0.10 * t
        total = np.zeros((height, width), np.float32)
        for layer in range(2):
            progress = (0.10 * t + 0.5 * layer) % 1.0
            zoom = 360 * float(np.exp(-1.5 * progress)) * reach
            weight = 0.5 - 0.5 * float(np.cos(2 * np.pi * progress))
            total += weight * cv2.remap(
                wisps,
                zoom * np.cos(spin) + 190 * layer + 256,
                zoom * np.sin(spin) + 256,
                cv2.INTER_LINEAR,
                None,
                cv2.BORDER_WRAP,
            )
        picture = colourise(np.clip(total * 1.5 - 0.22, 0, 1), table)
        for number, (a, b, c) in enumerate(position):
            far = (c - 0.22 * t) % 1.0 * 2.4 + 0.06
            near_far = far + 0.05
            sx, sy = (a - 0.5) * 2.4 * height, (b - 0.5) * 1.8 * height
            tip = (width / 2 + sx / far * 0.5, height / 2 + sy / far * 0.5)
            if -40 < tip[0] < width + 40 and -40 < tip[1] < height + 40:
                tail = (width / 2 + sx / near_far * 0.5, height / 2 + sy / near_far * 0.5)
                bright = min(1.0, 1.1 - far / 2.6)
                tone = tuple(channel * bright for channel in tints[number % 4])
                stroke(picture, [tail, tip], tone, min(3.0, max(1.0, 0.8 / far)) * height / 360)
                if far < 0.5:
                    disc(picture, *tip, height / 360 * min(2.2, 0.7 / far), tone)
        return film.expose(bloom(picture, 190, 4, 0.8), t)

    return paint


def cloud_sea(size: Size, seed: int, hour: str = "dawn") -> Scene:
    """A flight over a sea of clouds towards the sun (or the moon); a flock of birds crosses."""
    width, height = size
    rng = np.random.default_rng(seed)
    film = Film(size, seed)
    dawn = hour == "dawn"
    horizon = round(height * 0.44)
    stops = (
        [(0, "#2a4a8c"), (0.22, "#8a86b8"), (0.38, "#ffc49a"), (0.45, "#fff0c8")]
        if dawn
        else [(0, "#070b20"), (0.3, "#1a2a54"), (0.46, "#5a74a0")]
    )
    backdrop = sky(size, stops, seed)
    disc_x = width * (0.64 if dawn else 0.3)
    disc_y = height * (0.36 if dawn else 0.2)
    shine(backdrop, lamp(round(height * 0.6), (150, 100, 50) if dawn else (60, 74, 110), 2.4), disc_x, disc_y)
    shine(backdrop, lamp(round(height * 0.075), (255, 250, 225) if dawn else (225, 230, 240), 0.25), disc_x, disc_y)
    stars = Stars(size, 0 if dawn else 150, seed, 0.42)
    texture = noise(512, 512, (9, 9), 6, seed + 1, 0.55)
    puffs = np.abs(noise(512, 512, (14, 14), 4, seed + 2, 0.5) - 0.5) * 2
    texture = np.clip(0.62 * texture + 0.42 * (1 - puffs), 0, 1)
    texture = (texture - texture.min()) / (texture.max() - texture.min())
    relief = np.clip(0.5 + 4.0 * (np.roll(texture, 3, 0) - np.roll(texture, -3, 0)), 0, 1)
    mixed = (0.55 * texture + 0.45 * relief).astype(np.float32)
    table = palette(
        [(0, "#4a4a7c"), (0.3, "#8f7a9c"), (0.5, "#e0a898"), (0.7, "#ffe0b8"), (1, "#fffaf0")]
        if dawn
        else [(0, "#070d20"), (0.35, "#1c2c50"), (0.6, "#54719c"), (0.85, "#a8c0dc"), (1, "#e8f2ff")]
    )
    down = np.linspace(0, 1, height - horizon, dtype=np.float32)[:, None]
    depth = 1 / (0.05 + down)
    u = ((np.arange(width, dtype=np.float32)[None] - width / 2) / height * depth * 70).astype(np.float32)
    v = np.broadcast_to(depth * 52, u.shape).astype(np.float32)
    haze = (np.clip(1 - down * 2.6, 0, 1) ** 1.5)[..., None]
    mist_colour = np.array(rgb("#ffe2b8" if dawn else "#5a74a0"), np.float32)
    veil = np.broadcast_to(255 * (1 - haze), (*u.shape, 3)).astype(np.uint8)
    mist = np.broadcast_to(haze * mist_colour, (*u.shape, 3)).astype(np.uint8)
    flock = np.stack([rng.normal(0, 1, 17), rng.normal(0, 1, 17), rng.random(17)], -1)
    ink = rgb("#2c2440") if dawn else rgb("#05070f")

    def paint(t: float) -> Picture:
        picture = stars.add(backdrop, t)
        bulge = cv2.remap(texture, u + 3 * t, v - 14 * t, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        lift = v - 14 * t + (bulge - 0.5) * 30
        value = cv2.remap(mixed, u + 3 * t, lift, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
        ground = colourise(np.clip(value * 1.5 - 0.3, 0, 1), table)
        picture[horizon:] = cv2.add(cv2.multiply(ground, veil, scale=1 / 255), mist)
        for across, along, phase in flock:
            bx = width * (0.12 + 0.055 * t) + across * height * 0.12
            by = height * (0.28 - 0.008 * t) + along * height * 0.045 - across * height * 0.03
            wing = height * 0.022
            flap = np.sin(9 * t + phase * 6.3) * 0.55
            stroke(
                picture,
                [
                    (bx - wing, by - wing * flap),
                    (bx - wing * 0.35, by - wing * (0.25 + 0.5 * flap)),
                    (bx, by),
                    (bx + wing * 0.35, by - wing * (0.25 + 0.5 * flap)),
                    (bx + wing, by - wing * flap),
                ],
                ink,
                max(1.0, height / 240),
            )
        return film.expose(bloom(picture, 215, 6, 0.5), t)

    return paint
