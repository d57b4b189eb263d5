"""What is known of a film: where its shots change, and what only looks as if they did."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Range = tuple[int, int]
"""Frames [first, last], both included, numbered from 0 as they are decoded."""

MEANING = (
    "hard_cuts: index of the first frame of the new shot (0-based); gradual: [first, last] frame of the transition; "
    "gradual_kinds: what each of them is; ignore: ranges to leave out; hard_negatives: look like cuts, are none"
)


@dataclass
class Truth:
    """The transitions of one film.

    A fade of one side is a gradual range and a hard cut: from its black frames at the end, or to them at the start.
    """

    file: str
    fps: float
    frames: int
    hard_cuts: list[int] = field(default_factory=list)
    gradual: list[Range] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """The kind of each gradual transition, in their order."""
    ignore: list[Range] = field(default_factory=list)
    traps: list[tuple[Range, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "fps": self.fps,
            "frames": self.frames,
            "hard_cuts": self.hard_cuts,
            "gradual": self.gradual,
            "gradual_kinds": self.kinds,
            "ignore": self.ignore,
            "hard_negatives": [{"frames": frames, "why": why} for frames, why in self.traps],
            "meaning": MEANING,
        }


def read(folder: Path) -> list[Truth]:
    """Every film's truth: one JSON file for each, or the one truth.json that the demo's footage comes with."""
    if (folder / "truth.json").exists():
        facts = json.loads((folder / "truth.json").read_text())["files"]
        return [_painted(name, film) for name, film in facts.items() if "cut_off" not in film]
    return [_truth(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def _truth(facts: dict[str, Any]) -> Truth:
    gradual = _ranges(facts["gradual"])
    return Truth(
        file=facts["file"],
        fps=facts["fps"],
        frames=facts["frames"],
        hard_cuts=facts["hard_cuts"],
        gradual=gradual,
        kinds=facts.get("gradual_kinds", ["unnamed"] * len(gradual)),
        ignore=_ranges(facts["ignore"]),
        traps=[((one["frames"][0], one["frames"][1]), one["why"]) for one in facts["hard_negatives"]],
    )


def _painted(name: str, facts: dict[str, Any]) -> Truth:
    return Truth(
        file=name,
        fps=facts["fps"],
        frames=facts["frames"],
        hard_cuts=facts["hard_cuts"],
        gradual=[(one["first"], one["last"]) for one in facts["gradual"]],
        kinds=[one["kind"] for one in facts["gradual"]],
    )


def _ranges(pairs: list[list[int]]) -> list[Range]:
    return [(first, last) for first, last in pairs]
