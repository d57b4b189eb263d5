"""Films of one coloured shape that moves one way, their captions, and what can be measured of a video of them.

The films are painted, encoded and given a table of ranges with captions, so that `reelmill curate` makes a dataset of
them as of any other footage. What a video shows is measured from its pixels alone: the hue of what is coloured, and
the way its centre moves.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from demo.footage.painting import Paint, disc, noise, polygon, turned

Video = NDArray[np.uint8]
"""RGB, (frames, height, width, 3)."""

COLOURS = {
    "red": (230, 40, 40),
    "yellow": (230, 230, 40),
    "green": (40, 230, 40),
    "cyan": (40, 230, 230),
    "blue": (40, 40, 230),
    "magenta": (230, 40, 230),
}
"""Sixty degrees of hue from one to the next."""
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Steps in x and y; y points down."""
SHAPES = ("ball", "square", "triangle")
PAIRS = tuple(itertools.product(COLOURS, DIRECTIONS))
HELD_OUT = (
    ("red", "left"),
    ("yellow", "right"),
    ("green", "up"),
    ("cyan", "down"),
    ("blue", "left"),
    ("magenta", "up"),
)
"""Pairs of colour and direction that no film shows: each colour and each direction is in others."""
SHOWN = tuple(pair for pair in PAIRS if pair not in HELD_OUT)

FRAMES, RATE, SIDE = 18, 8, 64
"""Frames of a clip, frames a second, and pixels along each side of the films."""
_GROUND = (26, 27, 34)


def caption(colour: str, direction: str, shape: str) -> str:
    return f"a {colour} {shape} moves {direction}"


def painted(colour: str, direction: str, shape: str, rng: np.random.Generator) -> Video:
    """A clip that does what the caption says: a shape moves from the middle of the picture towards a side.

    Size, speed and path are drawn. From anywhere to anywhere, a direction would show in no single frame and in no mean
    over the frames, and so small a model does not find it within minutes.
    """
    radius = rng.uniform(0.14, 0.18)
    way = rng.uniform(0.26, 0.3)
    along = rng.uniform(0.45, 0.52)
    across = rng.uniform(0.42, 0.58)
    video = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    video[:] = _GROUND
    x_step, y_step = DIRECTIONS[direction]
    for number, picture in enumerate(video):
        gone = along + way * number / (FRAMES - 1)
        place = gone if x_step + y_step > 0 else 1 - gone
        x, y = (place, across) if x_step else (across, place)
        draw(picture, shape, x * SIDE, y * SIDE, radius * SIDE, COLOURS[colour])
    return video


def lively(rng: np.random.Generator) -> tuple[str, Video]:
    """A clip with more to see, and its caption: two shapes that turn on curved ways, one in front of the other.

    The ground is a texture that stands still.
    """
    grain = noise(SIDE, SIDE, (8, 8), 3, int(rng.integers(1 << 30)))[..., None]
    ground = (np.array(_GROUND) + grain * rng.uniform(30, 90, 3)).astype(np.uint8)
    video = ground[None].repeat(FRAMES, 0)
    names = []
    for _ in range(2):
        colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
        radius, bend = rng.uniform(0.12, 0.18), rng.uniform(0.15, 0.3)
        middle = rng.uniform(radius + bend, 1 - radius - bend, 2) if radius + bend < 0.5 else (0.5, 0.5)
        angle, spin = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.2) * rng.choice((-1, 1))
        names.append(f"a {colour} {shape}")
        for number, picture in enumerate(video):
            turn = angle + spin * number
            x, y = middle[0] + bend * np.cos(turn), middle[1] + bend * np.sin(turn)
            draw(picture, shape, x * SIDE, y * SIDE, radius * SIDE, COLOURS[colour], turn=turn)
    return " and ".join(names), video


def draw(
    picture: NDArray[np.uint8], shape: str, x: float, y: float, radius: float, colour: Paint, *, turn: float = 0.0
) -> None:
    """A shape about as large as a disc of this radius, turned by an angle."""
    if shape == "ball":
        disc(picture, x, y, radius, colour)
        return
    first, corners = (np.pi / 4, 4) if shape == "square" else (-np.pi / 2, 3)
    angles = turn + first + np.arange(corners) * 2 * np.pi / corners
    polygon(picture, turned(np.stack([np.cos(angles), np.sin(angles)], -1), 0.0, 1.2 * radius, x, y), colour)


def write_films(folder: Path, clips: Iterable[tuple[str, Video]], *, per_film: int = 60) -> Path:
    """Films of so many clips each, and a table with the range and the caption of every clip; its path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "captions.csv"
    kept = iter(clips)
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "start", "end", "caption"])
        for number in itertools.count():
            film = list(itertools.islice(kept, per_film))
            if not film:
                return table
            name, first = f"film-{number:03d}.mp4", 0
            _encode(folder / name, [video for _, video in film])
            for text, video in film:
                rows.writerow([name, f"{first / RATE:.4f}", f"{(first + len(video)) / RATE:.4f}", text])
                first += len(video)
    return table


def _encode(path: Path, videos: Sequence[Video]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10", "g": "18", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *videos[0].shape[1:3], "yuv420p"
        for picture in itertools.chain.from_iterable(videos):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


class Seen(NamedTuple):
    """What a video shows, as far as it can be told."""

    colour: str | None
    direction: str | None


COLOURED = 70
"""Least difference of the strongest and the weakest channel of a pixel that belongs to the shape, of 255."""
LEAST_AREA = 0.02
"""Least share of a picture that the shape covers; the smallest painted one covers 0.04."""
LEAST_WAY = 0.15
"""Least share of the side that the centre moves; the painted ones move 0.2 or more."""
STRAIGHT = 2.0
"""How many times farther it moves along the one axis than along the other."""


def seen(video: Video) -> Seen:
    """Measure colour and direction of what is coloured in a video.

    The colour is the one of `COLOURS` nearest in hue to most coloured pixels; six in ten must agree. The direction is
    that of the centre of the coloured pixels, from the first third of the frames to the last third, where it moves far
    and straight enough; half of the frames of each third must show something.
    """
    strongest, weakest = video.max(-1).astype(int), video.min(-1).astype(int)
    shape = strongest - weakest >= COLOURED
    area = shape.mean((1, 2))
    whole = area >= LEAST_AREA
    if not whole.any():
        return Seen(None, None)
    hue = np.concatenate([cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 0][mask] for frame, mask in zip(video, shape)])
    votes = np.bincount(np.round(hue.astype(float) * 2 / 60).astype(int) % 6, minlength=6)
    colour = list(COLOURS)[int(votes.argmax())] if votes.max() >= 0.6 * votes.sum() else None
    third = max(1, len(video) // 3)
    if whole[:third].mean() < 0.5 or whole[-third:].mean() < 0.5:
        return Seen(colour, None)
    centres = np.array([np.argwhere(mask).mean(0) if mask.any() else (np.nan, np.nan) for mask in shape])
    centres[~whole] = np.nan
    down, right = (np.nanmean(centres[-third:], 0) - np.nanmean(centres[:third], 0)) / video.shape[1:3]
    longer, shorter = max(abs(down), abs(right)), min(abs(down), abs(right))
    if longer < LEAST_WAY or longer < STRAIGHT * shorter:
        return Seen(colour, None)
    if abs(right) > abs(down):
        return Seen(colour, "right" if right > 0 else "left")
    return Seen(colour, "down" if down > 0 else "up")


class Score(NamedTuple):
    """Shares of videos that show what was asked."""

    colour: float
    direction: float
    both: float


CHANCE = Score(1 / len(COLOURS), 1 / len(DIRECTIONS), 1 / len(PAIRS))
"""Of videos that show some colour and some direction, whatever was asked."""


def score(asked: Sequence[tuple[str, str]], videos: Sequence[Video]) -> Score:
    """How many of the videos show the asked (colour, direction)."""
    found = [seen(video) for video in videos]
    colour = np.array([seen.colour == pair[0] for seen, pair in zip(found, asked, strict=True)])
    direction = np.array([seen.direction == pair[1] for seen, pair in zip(found, asked, strict=True)])
    return Score(float(colour.mean()), float(direction.mean()), float((colour & direction).mean()))
