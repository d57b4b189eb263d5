"""Seeded damage to the bytes of a file, of the kinds that disks, networks and attackers do."""

from __future__ import annotations

from typing import Literal

import numpy as np

Random = np.random.Generator
_LARGE = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 0x01000000)


def mutated(data: bytes, random: Random) -> bytes:
    """One to three changes, chosen and placed by `random`."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        if changed:
            change = _CHANGES[random.integers(len(_CHANGES))]
            change(changed, random)
    return bytes(changed)


def _part(data: bytearray, random: Random, largest: int = 4096) -> slice:
    start = int(random.integers(len(data)))
    return slice(start, start + int(random.integers(1, largest)))


def _flip_bits(data: bytearray, random: Random) -> None:
    for _ in range(random.integers(1, 64)):
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))


def _noise(data: bytearray, random: Random) -> None:
    part = _part(data, random)
    data[part] = random.bytes(len(data[part]))


def _zeros(data: bytearray, random: Random) -> None:
    part = _part(data, random)
    data[part] = bytes(len(data[part]))


def _remove(data: bytearray, random: Random) -> None:
    del data[_part(data, random)]


def _repeat(data: bytearray, random: Random) -> None:
    part = _part(data, random)
    data[part] = data[part] * int(random.integers(2, 5))


def _move(data: bytearray, random: Random) -> None:
    part = _part(data, random)
    taken = data[part]
    del data[part]
    at = int(random.integers(len(data) + 1))
    data[at:at] = taken


def _break_off(data: bytearray, random: Random) -> None:
    del data[int(random.integers(len(data))) :]


def _head_or_tail(data: bytearray, random: Random) -> int:
    """A place where headers and indexes lie."""
    near = int(random.integers(min(len(data), 2048)))
    return near if random.integers(2) else len(data) - 1 - near


def _number(data: bytearray, random: Random) -> None:
    """A field of a header gets an extreme value."""
    at, width = _head_or_tail(data, random), int(random.choice([1, 2, 4, 8]))
    value = _LARGE[random.integers(len(_LARGE))] & ((1 << 8 * width) - 1)
    order: Literal["big", "little"] = "big" if random.integers(2) else "little"
    data[at : at + width] = value.to_bytes(width, order)


_CHANGES = (_flip_bits, _noise, _zeros, _remove, _repeat, _move, _break_off, _number, _number, _number)
