"""The way of a video: base, interpolation, super resolution, or any part of it from one to the next."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curation.errors import UserError
from training.cascade.bars import Bars
from training.cascade.base import generate, takes_frames
from training.cascade.interpolate import interpolate
from training.cascade.link import VIEWS, Link, open_link
from training.cascade.memory import Place
from training.cascade.pictures import Frames, as_numbers, decoded
from training.cascade.upscale import upscale
from training.stream.plan import Draws


@dataclass(frozen=True)
class Start:
    """What a video begins as: a clip that is given, or what the base model shall make."""

    frames: int
    size: tuple[int, int]
    """Height and width in pixels."""
    rate: Fraction
    """Frames a second."""
    long: int = 0
    """How many times the base model goes on from its last frame (LaVie §5.4: five times)."""
    image: bool = False
    """One single frame."""
    given: Frames | None = None
    """A clip to begin with instead of a base model; with one, the first frame of its clip."""
    name: str = ""
    """Of the file that was given."""


@dataclass(frozen=True)
class Cascade:
    """The stages and where they work. Between them travel the frames that a file would hold, so that a video is the
    same whether a stage takes them from the one before or from a lossless file."""

    links: Mapping[str, Link]
    """By view."""
    place: Place
    seed: int = 0
    bars: Bars = lambda name: iter

    @property
    def views(self) -> list[str]:
        """The stages in their order."""
        return [view for view in VIEWS if view in self.links]

    def check(self, start: Start) -> None:
        """Whether all stages can do their part.

        Raises:
            UserError: they cannot.
        """
        base, dense, large = (self.links.get(view) for view in VIEWS)
        if base:
            base.stage.check_size(start.size, "--size")
            option = "--long" if start.long else "--first" if start.given is not None else ""
            if option and not takes_frames(base.stage):
                raise UserError(
                    f"{option}: this base model cannot go on from a frame; it takes one trained with data.known=first"
                )
            if start.long and start.frames < 2:
                raise UserError("--long needs --frames of two at least; the first is the last one of before")
            if self._always(base) and start.given is None and not start.image and not base.recipe.data.images:
                raise UserError(
                    "--model: this model needs a frame to go on from, and cannot draw it itself; give --first"
                )
        if dense:
            if start.frames < 2:
                raise UserError("--interpolation needs two frames at least")
            dense.stage.check_size(start.size, "--interpolation, --size")
        if large:
            scale = large.recipe.data.degradation.scale
            step = math.lcm(scale, large.stage.factor) // scale
            if start.size[0] % step or start.size[1] % step:
                raise UserError(
                    f"--vsr, --size: height and width of small frames must be multiples of {step}, "
                    f"not {start.size[0]} and {start.size[1]}"
                )

    def settings(self, start: Start, view: str) -> dict[str, Any]:
        """All that decides what a video is after a stage, JSON-ready: of the base model, then of each later stage."""
        told: dict[str, Any] = {"seed": self.seed}
        if start.given is not None:
            told["first" if "base" in self.links else "video"] = (
                f"{start.name} sha256:{hashlib.sha256(start.given.tobytes()).hexdigest()}"
            )
        for stage in self._until(view):
            told |= self.links[stage].settings if stage == "base" else {stage: self.links[stage].settings}
        told |= {"frames": start.frames, "size": list(start.size), "fps": float(self.rate(start, view))}
        if start.long:
            told["long"] = start.long
        return {**told, "precision": str(self.place.dtype).removeprefix("torch.")}

    def rate(self, start: Start, view: str) -> Fraction:
        """Frames a second after a stage: the dense frames take the time of those that they lie between."""
        dense = "interpolation" in self._until(view)
        return start.rate * self.links["interpolation"].recipe.data.every if dense else start.rate

    def first(self, prompts: Sequence[str], start: Start) -> list[Frames]:
        """What the videos begin as: the file that is given, or clips of the base model."""
        if "base" in self.links:
            return self.base(prompts, start)
        assert start.given is not None
        return [start.given] * len(prompts)

    def pieces(self, view: str, prompt: str, frames: Frames) -> Iterator[Frames]:
        """The frames of a stage, from those of the stage before."""
        if view == "interpolation":
            return self.denser(prompt, frames)
        if view == "vsr":
            return self.larger(prompt, frames)
        return iter([frames])

    def base(self, prompts: Sequence[str], start: Start) -> list[Frames]:
        """Clips for captions: `start.frames` and, `long` times, as many that begin with the last frame so far.

        So LaVie makes long videos, with a model that is conditioned on a clip's first frame. Where the training gave
        that frame always, the model first draws one itself, as one of the single frames that it was taught.
        """
        link, device = self.links["base"], self.place.device
        made: list[list[Frames]] = [[] for _ in prompts]

        def clips(name: str, turn: int, first: Tensor | None, image: bool) -> list[Frames]:
            latents = generate(
                link.stage,
                link.recipe,
                prompts,
                [self._draws("image" if image else "base", prompt, turn) for prompt in prompts],
                frames=start.frames,
                size=start.size,
                first=first,
                image=image,
                room=room,
                progress=self.bars(name),
            )
            return [np.concatenate(list(decoded(link.stage.space, one))) for one in latents]

        with self.place.holding(link.stage):
            count = min(start.frames, link.recipe.data.frames) if link.recipe.sample.overlap else start.frames
            room = self.place.room(link.stage, count * len(prompts), _grid(link, start.size))
            if start.image:
                return clips("image", 0, None, True)
            last = None if start.given is None else [start.given] * len(prompts)
            if last is None and self._always(link):
                last = clips("first frame", 0, None, True)
            for turn in range(start.long + 1):
                first = None if last is None else torch.stack([as_numbers(frame, device) for frame in last])
                found = clips(f"base {turn + 1}/{start.long + 1}" if start.long else "base", turn, first, False)
                last = [clip[-1:] for clip in found]
                for video, clip in zip(made, found):
                    video.append(clip[1:] if turn else clip)
        return [np.concatenate(video) for video in made]

    def denser(self, prompt: str, frames: Frames) -> Iterator[Frames]:
        """The frames and those between, `data.every` - 1 for each pair."""
        link = self.links["interpolation"]
        with self.place.holding(link.stage):
            count = min(link.recipe.data.frames, link.recipe.data.every * (len(frames) - 1) + 1)
            room = self.place.room(link.stage, count, _grid(link, frames.shape[1:3]))
            latents = interpolate(
                link.stage,
                link.recipe,
                [prompt],
                [self._draws("interpolation", prompt)],
                as_numbers(frames, self.place.device)[None],
                room=room,
                progress=self.bars("interpolation"),
            )
            yield from decoded(link.stage.space, latents[0])

    def larger(self, prompt: str, frames: Frames) -> Iterator[Frames]:
        """The frames enlarged, a few at a time."""
        link = self.links["vsr"]
        scale = link.recipe.data.degradation.scale
        with self.place.holding(link.stage):
            count = min(link.recipe.data.frames, len(frames))
            size = (frames.shape[1] * scale, frames.shape[2] * scale)
            room = self.place.room(link.stage, count, _grid(link, size))
            latents = upscale(
                link.stage,
                link.recipe,
                [prompt],
                [self._draws("vsr", prompt)],
                as_numbers(frames, self.place.device)[None],
                room=room,
                progress=self.bars("super resolution"),
            )
            yield from decoded(link.stage.space, latents[0])

    def _until(self, view: str) -> list[str]:
        return self.views[: self.views.index(view) + 1]

    @staticmethod
    def _always(link: Link) -> bool:
        """Whether the base model never saw a clip of which it was not given the first frame."""
        return link.recipe.data.known == "first"

    def _draws(self, use: str, prompt: str, turn: int = 0) -> Draws:
        """The prompt's own, so that it gives the same video alone, in a file of others, and anywhere in it."""
        return Draws(self.seed, turn, prompt, (*VIEWS, "image").index(use))


def _grid(link: Link, size: tuple[int, ...]) -> tuple[int, int]:
    return size[0] // link.stage.space.factor, size[1] // link.stage.space.factor


def open_cascade(
    folders: Mapping[str, str],
    changes: Mapping[str, Mapping[str, Any]],
    *,
    place: Place,
    offload: str = "auto",
    seed: int = 0,
    bars: Bars = lambda name: iter,
) -> Cascade:
    """Open the models of a cascade.

    Args:
        folders: by view.
        changes: of each view, settings of `recipe.sample` that go before the model's own.
        offload: see `Place.offloading`.

    Raises:
        UserError: a model or a setting cannot be used.
    """
    links = {
        view: open_link(folder, view, dict(changes.get(view, {})), place.dtype) for view, folder in folders.items()
    }
    return Cascade(links, place.offloading(offload, [link.stage for link in links.values()]), seed, bars)
