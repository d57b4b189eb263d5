"""Which shots are joined how: the edit lists of generated films, chosen by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.joined.shots import Shot
from benchmarks.joined.transitions import Join, deck
from benchmarks.joined.traps import FRAMES, Trap, View

# Frames of a shot between its transitions, and between these and a trap.
_SHORTEST, _LONGEST = 28, 72
_AROUND_TRAP = 14
# Orders that are tried until long transitions and long traps fit into the shots.
_ORDERS = 1000
# Shots less unlike than this (mean of 0 to 255) could be read as one, and their cut as none.
_UNLIKE = 16.0


@dataclass(frozen=True)
class Format:
    """How a generated film is stored."""

    name: str
    codec: str
    size: tuple[int, int]
    fps: int
    options: dict[str, str]


# Without mbtree=0, x264 writes other bytes each time where the width is no multiple of 16.
FORMATS = (
    Format(
        "h264-long.mp4",
        "libx264",
        (640, 360),
        24,
        {"preset": "veryfast", "crf": "23", "g": "250", "bf": "3", "x264-params": "mbtree=0"},
    ),
    Format(
        "h264-fixed.mkv",
        "libx264",
        (854, 480),
        30,
        {"preset": "veryfast", "crf": "24", "g": "30", "bf": "0", "sc_threshold": "0", "x264-params": "mbtree=0"},
    ),
    Format("vp9.webm", "libvpx-vp9", (640, 360), 25, {"deadline": "realtime", "cpu-used": "8", "crf": "33", "b": "1M"}),
    Format("mpeg4.mp4", "mpeg4", (854, 480), 25, {"b": "2500k", "g": "12", "bf": "2"}),
)


@dataclass(frozen=True)
class Piece:
    """`frames` frames of a shot after the first `skipped`, transitions included."""

    shot: Shot
    skipped: int
    frames: int
    view: View
    mirrored: bool
    trap: Trap | None


@dataclass(frozen=True)
class EditList:
    """Pieces, and the joins between them: one less."""

    format: Format
    pieces: tuple[Piece, ...]
    joins: tuple[Join, ...]


def planned(shots: list[Shot], seed: int, formats: tuple[Format, ...] = FORMATS) -> list[EditList]:
    """A film of each format; all kinds of transitions are dealt out among them, and every film has all traps.

    Raises:
        ValueError: the shots are too few or too short.
    """
    chance = random.Random(seed)
    cards = deck(1)
    chance.shuffle(cards)
    uses = dict.fromkeys(shots, 0)
    return [_film(form, cards[number :: len(formats)], uses, chance) for number, form in enumerate(formats)]


def _film(form: Format, gradual: list[Join], uses: dict[Shot, int], chance: random.Random) -> EditList:
    joins = [*gradual, *[Join("cut", 0) for _ in gradual]]
    traps: list[str | None] = [*FRAMES]
    traps += [None] * (len(joins) + 1 - len(traps))
    # No piece may be longer than two of the shots, since neighbours are never of the same one.
    room = sorted(shot.frames for shot in uses)[-2] if len(uses) > 1 else 0
    for _ in range(_ORDERS):
        chance.shuffle(joins)
        chance.shuffle(traps)
        overlaps = [0, *[join.frames for join in joins], 0]
        if all(sum(overlaps[at : at + 2]) + _least(kind) <= room for at, kind in enumerate(traps)):
            break
    else:
        raise ValueError(f"transitions do not fit into shots of {room} frames; longer footage is needed")
    pieces: list[Piece] = []
    for at, kind in enumerate(traps):
        before = pieces[-1].shot if pieces else None
        pieces.append(_piece(overlaps[at], overlaps[at + 1], kind, before, uses, chance))
    return EditList(form, tuple(pieces), tuple(joins))


def _least(kind: str | None) -> int:
    """Frames between the transitions of a shot that hold such a trap."""
    return max(_SHORTEST, FRAMES[kind] + 2 * _AROUND_TRAP if kind else 0)


def _piece(
    lead: int, tail: int, kind: str | None, before: Shot | None, uses: dict[Shot, int], chance: random.Random
) -> Piece:
    least = _least(kind)
    fitting = [shot for shot in uses if shot.frames >= lead + least + tail and shot is not before]
    unlike = [shot for shot in fitting if before is None or shot.unlike(before) >= _UNLIKE]
    # The least used first; among these, long shots are left for where they are needed.
    shot = min(unlike or fitting, key=lambda one: uses[one] * _LONGEST / one.frames + chance.random())
    uses[shot] += 1
    middle = min(max(least, chance.randint(_SHORTEST, _LONGEST)), shot.frames - lead - tail)
    frames = lead + middle + tail
    trap = None
    if kind:
        place = lead + chance.randint(_AROUND_TRAP, middle - FRAMES[kind] - _AROUND_TRAP)
        trap = Trap(kind, place, chance.randrange(1 << 20))
    view = View(chance.uniform(0.85, 1.0), chance.random(), chance.random())
    return Piece(shot, chance.randint(0, shot.frames - frames), frames, view, chance.random() < 0.5, trap)
