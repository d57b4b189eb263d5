"""What a good clip is not: a grey card, a colour card, a picture too dark to see."""

from __future__ import annotations

import cv2
import numpy as np

from demo.footage.painting import Film, Picture, Scene, Size, disc, noise, polygon, rgb, stroke


def grey_card(size: Size, seed: int) -> Scene:
    """A flat grey card fills the picture."""
    width, height = size
    film = Film(size, seed, corners=0.08, grain=0.8)
    card = np.full((height, width, 3), 128, np.uint8)

    def paint(t: float) -> Picture:
        return film.expose(card, t)

    return paint


def colour_card(size: Size, seed: int) -> Scene:
    """A colour chart with six patches in four rows lies on a grey table."""
    width, height = size
    codes = [
        "#735244",
        "#c29682",
        "#627a9d",
        "#576c43",
        "#8580b1",
        "#67bdaa",
        "#d67e2c",
        "#505ba6",
        "#c15a63",
        "#5e3c6c",
        "#9dbc40",
        "#e0a32e",
        "#383d96",
        "#469449",
        "#af363c",
        "#e7c71f",
        "#bb5695",
        "#0885a1",
        "#f3f3f2",
        "#c8c8c8",
        "#a0a0a0",
        "#7a7a79",
        "#555555",
        "#343434",
    ]
    card = np.full((height, width, 3), 92, np.uint8)
    side = height * 0.2
    left, top = width / 2 - side * 3, height / 2 - side * 2
    polygon(
        card,
        [
            (left - 10, top - 10),
            (left + side * 6 + 10, top - 10),
            (left + side * 6 + 10, top + side * 4 + 10),
            (left - 10, top + side * 4 + 10),
        ],
        (22, 22, 24),
    )
    for index, code in enumerate(codes):
        x, y = left + index % 6 * side + 4, top + index // 6 * side + 4
        polygon(card, [(x, y), (x + side - 8, y), (x + side - 8, y + side - 8), (x, y + side - 8)], rgb(code))
    film = Film(size, seed, corners=0.15, grain=0.8)

    def paint(t: float) -> Picture:
        return film.expose(card, t)

    return paint


def too_dark(size: Size, seed: int) -> Scene:
    """A room at night, so dark that almost nothing is seen."""
    width, height = size
    film = Film(size, seed, corners=0.5, grain=0.9)
    room: Picture = np.zeros((height, width, 3), np.uint8)
    polygon(
        room,
        [
            (width * 0.6, height * 0.2),
            (width * 0.75, height * 0.2),
            (width * 0.75, height * 0.55),
            (width * 0.6, height * 0.55),
        ],
        (8, 9, 14),
    )
    stroke(room, [(width * 0.675, height * 0.2), (width * 0.675, height * 0.55)], (3, 3, 4), 2)
    murk = (noise(width, height, (4, 3), 3, seed)[..., None] * (3, 3, 5)).astype(np.uint8)
    room = cv2.add(room, murk)

    def paint(t: float) -> Picture:
        picture = room.copy()
        disc(picture, width * (0.3 + 0.02 * t), height * 0.7, height * 0.04, (6, 5, 4))
        return film.expose(picture, t)

    return paint
