"""Videos that a model makes while it is trained, to see how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curation.errors import UserError
from training.cascade import base, interpolate, pictures, upscale, writing
from training.engine.aside import aside
from training.engine.board import Board
from training.engine.ema import Ema
from training.engine.grid import Row, grid
from training.engine.kept import Kept
from training.engine.parallel import autocast
from training.engine.ranks import Ranks
from training.models.lavie.stage import Stage
from training.recipe import Recipe
from training.stream.loader import Batch
from training.stream.plan import Draws


class Made(NamedTuple):
    """One video, and what belongs beside it."""

    caption: str
    rows: dict[str, NDArray[np.uint8]]
    """RGB (frames, height, width, 3) by what they are: given, made, true."""


class Samples:
    """Makes the videos of `train.samples`. Every rank makes as many as the others, the first writes them all.

    Args:
        kept: what the views interpolation and vsr begin with.
    """

    def __init__(self, stage: Stage, recipe: Recipe, ranks: Ranks, kept: Kept | None, boards: Sequence[Board]):
        settings = recipe.train.samples
        given = {name: getattr(settings, name) for name in ("steps", "guidance")}
        sampling = recipe.sample.model_copy(update={name: value for name, value in given.items() if value is not None})
        self._recipe = recipe.model_copy(update={"sample": sampling})
        self._settings = settings
        self._stage = stage
        self._ranks = ranks
        self._kept = kept
        self._boards = boards

    def __call__(self, step: int, ema: Ema, out: Path) -> None:
        """Make and write them.

        Raises:
            UserError: they cannot be written.
        """
        weights = ema if self._settings.ema else None
        with (
            aside(self._stage, weights, self._ranks.device),
            autocast(self._recipe.train.precision, self._ranks.device),
        ):
            own = list(self._from_prompts() if self._kept is None else self._from_clips(self._kept))
        made = [one for part in self._ranks.gather(own) for one in part]
        with self._ranks.together():
            if self._ranks.first:
                self._write(step, made, out / "samples" / f"step-{step:08d}")

    def _from_prompts(self) -> Iterator[Made]:
        prompts, world = self._settings.prompts, self._ranks.world
        each = -(-len(prompts) // world)
        data = self._recipe.data
        for number in range(self._ranks.rank * each, (self._ranks.rank + 1) * each):
            prompt = prompts[number % len(prompts)]
            first = None
            if data.known == "first":  # the model never saw a clip without: it draws one, as a single frame
                first = pictures.as_numbers(self._film(self._drawn(prompt, number, image=True)), self._ranks.device)[
                    None
                ]
            latents = self._drawn(prompt, number, first=first)
            if number < len(prompts):  # the others keep ranks alike that have fewer
                yield Made(prompt, {"": self._film(latents)})

    def _drawn(self, prompt: str, number: int, **more: Any) -> torch.Tensor:
        draws = [Draws(self._settings.seed, 0, "first frames" if more.get("image") else "samples", number)]
        data = self._recipe.data
        return base.generate(
            self._stage, self._recipe, [prompt], draws, frames=data.frames, size=data.shapes[0].size, **more
        )

    def _from_clips(self, kept: Kept) -> Iterator[Made]:
        wanted = min(self._settings.clips, kept.clips)
        (batch,) = kept(1)
        for sample in range(len(batch.captions)):
            number = self._ranks.rank * len(batch.captions) + sample
            made = self._from_clip(batch, sample, Draws(self._settings.seed, 0, "samples", number))
            if number < wanted:
                yield made

    def _from_clip(self, batch: Batch, sample: int, draws: Draws) -> Made:
        caption, true = batch.captions[sample][0], batch.pixels[sample, : batch.frames]
        if batch.low is not None:
            given = shown = batch.low[sample, : batch.frames]
            numbers = pictures.as_numbers(given, self._ranks.device)[None]
            latents = upscale.upscale(self._stage, self._recipe, [caption], [draws], numbers)
        else:
            every = self._recipe.data.every
            given = true[::every]
            shown = given.repeat(every, axis=0)[: len(true)]
            numbers = pictures.as_numbers(given, self._ranks.device)[None]
            latents = interpolate.interpolate(self._stage, self._recipe, [caption], [draws], numbers)
        return Made(caption, {"given": shown, "made": self._film(latents), "true": true})

    def _film(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        return np.concatenate(list(pictures.decoded(self._stage.space, latents[0])))

    def _write(self, step: int, made: Sequence[Made], folder: Path) -> None:
        fps = self._settings.fps
        for number, one in enumerate(made):
            film, file = one.rows.get("made", one.rows.get("")), folder / f"{number:02d}.mp4"
            assert film is not None
            told = {"prompt": one.caption, "step": step, "seed": self._settings.seed}
            writing.write(file, iter([film]), fps=Fraction(fps), settings=told)
            for board in self._boards:
                board.film(step, f"samples/{number:02d}", film, fps, file)
        rows = [
            Row(one.caption or "(no caption)" if first == name else "", name, film)
            for one in made
            for first in [next(iter(one.rows))]
            for name, film in one.rows.items()
        ]
        picture = grid(rows, f"step {step}")
        try:
            Image.fromarray(picture).save(folder / "grid.png")
        except OSError as error:
            raise UserError(f"cannot write {folder / 'grid.png'}: {error.strerror or error}") from error
        for board in self._boards:
            board.picture(step, "samples/grid", picture)
