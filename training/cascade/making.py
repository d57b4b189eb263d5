"""Prompts to files: what they begin as, which are there already, and the way through the stages for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from training.cascade import writing
from training.cascade.cascade import Cascade, Start
from training.cascade.pictures import Frames, read, read_image
from training.cascade.prompts import Job


def start(
    cascade: Cascade,
    video: str | None,
    first: str | None,
    *,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    long: int = 0,
    image: bool = False,
) -> Start:
    """What all videos begin as: a file, or what the base model makes; see `training.sample.sample`.

    Raises:
        UserError: the file cannot be read, or a stage cannot do its part.
    """
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    if video is None:
        recipe = cascade.links["base"].recipe
        rate = rate or Fraction(recipe.sample.fps).limit_denominator(1001)
        count = 1 if image else frames or recipe.data.frames
        size = size or recipe.data.shapes[0].size
        given = read_image(Path(first), size) if first else None
        begun = Start(count, size, rate, long=long, image=image, given=given, name=Path(first or "").name)
    else:
        given, its_rate = read(Path(video), size, frames)
        begun = Start(
            len(given), (given.shape[1], given.shape[2]), rate or its_rate, given=given, name=Path(video).name
        )
    cascade.check(begun)
    return begun


def make(
    jobs: Sequence[Job],
    cascade: Cascade,
    begun: Start,
    *,
    scale: int,
    batch: int,
    keep: bool,
    resume: bool,
    console: Console,
) -> None:
    """Make all files.

    Args:
        scale: how many times every pixel is repeated.
        batch: prompts that the base model takes at once.
        keep: write what the stages before the last one made, too.
        resume: leave files alone that are there with the same settings.

    Raises:
        UserError: a file cannot be written.
    """

    def settings(job: Job, view: str) -> dict[str, Any]:
        return {"prompt": job.prompt, **cascade.settings(begun, view), "scale": scale}

    def write(out: Path, pieces: Iterable[Frames], job: Job, view: str) -> None:
        enlarged = (piece.repeat(scale, axis=1).repeat(scale, axis=2) for piece in pieces)
        writing.write(out, enlarged, fps=cascade.rate(begun, view), settings=settings(job, view))
        console.print(f"wrote {out}")

    last = cascade.views[-1]
    left = []
    for job in jobs:
        if resume and writing.settings(job.out) == settings(job, last):
            console.print(f"{job.out} is there already")
        else:
            left.append(job)
    for first in range(0, len(left), batch):
        now = left[first : first + batch]
        clips = cascade.first([job.prompt for job in now], begun)
        for job, clip in zip(now, clips):
            for view in cascade.views:
                pieces = cascade.pieces(view, job.prompt, clip)
                if view == last:
                    write(job.out, pieces, job, view)
                    break
                clip = np.concatenate(list(pieces))
                if keep:
                    write(job.out.with_suffix(f".{view}{job.out.suffix}"), [clip], job, view)
