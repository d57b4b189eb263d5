"""Footage with known truth, joined from single shots of real films.

Every frame of a transition is made here from one frame of either shot, so truth holds by construction. The shots of
the first half of every film make the set `tune`, to choose defaults on; those of the second half make `check`,
which nothing should be chosen on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2

from benchmarks.joined.film import pictures, truth, write
from benchmarks.joined.plan import FORMATS, Format, planned
from benchmarks.joined.shots import halves
from benchmarks.joined.truth import Truth, read

SETS = ("tune", "check")


def make(
    out: Path,
    footage: Path,
    cuts: Path,
    sets: tuple[str, ...] = SETS,
    seed: int = 1,
    formats: tuple[Format, ...] = FORMATS,
    tell: Callable[[Path, Truth], None] = lambda path, known: None,
) -> list[Path]:
    """Make the films of each set in a folder of its name, each with its truth beside it; the films' paths."""
    cv2.setNumThreads(1)
    made = []
    for number, (name, shots) in enumerate(zip(SETS, halves(footage, read(cuts)))):
        if name not in sets:
            continue
        (out / name).mkdir(parents=True, exist_ok=True)
        for edit in planned(shots, seed * len(SETS) + number, formats):
            path = out / name / edit.format.name
            known = truth(edit, path.name)
            write(path, pictures(edit), edit.format)
            path.with_suffix(".json").write_text(json.dumps(known.to_json()) + "\n")
            tell(path, known)
            made.append(path)
    return made
