"""Judging tiny models on what they have not seen, beside what takes no model; for `benchmarks.learns`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import shapes
from benchmarks.shapes import Video

SEEDS = 4
"""Videos of each held-out prompt."""
CLIPS = 24
"""Held-out clips for interpolation and super resolution."""


def base(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
    """Shares of held-out prompts, of shown ones, and of held-out ones by a model without training."""
    import torch

    from training.cascade.base import generate
    from training.cascade.link import open_link
    from training.models.lavie.stage import Stage
    from training.stream.plan import Draws

    link = open_link(str(model), "base", {"scheduler": "ddim", "steps": 15}, torch.float32)
    data = link.recipe.data

    def videos(stage: Stage, asked: list[tuple[str, str, str]], turn: int) -> list[Video]:
        made: list[Video] = []
        for first in range(0, len(asked), 9):
            captions = [shapes.caption(*one) for one in asked[first : first + 9]]
            draws = [Draws(seed, turn, "learns", first + place) for place in range(len(captions))]
            latents = generate(stage, link.recipe, captions, draws, frames=data.frames, size=data.size)
            made += list(as_pixels(latents))
        return made

    def asked(pairs: Iterable[tuple[str, str]], times: int) -> list[tuple[str, str, str]]:
        return [(*pair, shape) for _ in range(times) for pair in pairs for shape in shapes.SHAPES]

    torch.manual_seed(seed)
    blank = Stage.build(link.recipe.model, "base").eval().requires_grad_(False)
    held_out, shown = asked(shapes.HELD_OUT, SEEDS), asked(shapes.SHOWN, 1)
    made = videos(link.stage, held_out, 0)
    rounds = {
        "held_out": (held_out, made),
        "shown": (shown, videos(link.stage, shown, 1)),
        "untrained": (asked(shapes.HELD_OUT, 1), videos(blank, asked(shapes.HELD_OUT, 1), 2)),
    }
    scores = {
        name: {"videos": len(films), **shapes.score([one[:2] for one in prompts], films)._asdict()}
        for name, (prompts, films) in rounds.items()
    }
    rows = [(shapes.caption(*held_out[number]), made[number]) for number in range(0, 18, 3)]
    return {**scores, "chance": shapes.CHANCE._asdict()}, film_strips({text: {"": film} for text, film in rows})


def interpolation(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
    """PSNR and SSIM of the frames between the given ones."""
    import torch

    from training.cascade.interpolate import interpolate
    from training.cascade.link import open_link
    from training.stream.plan import Draws

    link = open_link(str(model), "interpolation", {}, torch.float32)
    data, clips = link.recipe.data, judged_clips(seed)
    truth = [small(film[: data.frames], data.size) for _, film in clips]
    given = [film[:: data.every] for film in truth]
    between = [number for number in range(data.frames) if number % data.every]
    made = [
        as_pixels(interpolate(link.stage, link.recipe, [text], [Draws(seed, 0, "learns", n)], as_numbers(film)))[0]
        for n, ((text, _), film) in enumerate(zip(clips, given, strict=True))
    ]
    ways = {
        "model": made,
        "blended": [blended(film, data.every) for film in given],
        "repeated": [film.repeat(data.every, 0)[data.every // 2 - 1 :][: data.frames] for film in given],
    }
    scores = quality(
        {way: [film[between] for film in found] for way, found in ways.items()}, [f[between] for f in truth]
    )
    rows = {clips[n][0]: {**{way: film[n][:8] for way, film in ways.items()}, "truth": truth[n][:8]} for n in range(2)}
    return {"clips": len(clips), **scores}, film_strips(rows)


def vsr(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
    """PSNR and SSIM of whole pictures, each enlarged from its small, spoilt copy."""
    import torch

    from training.cascade.link import open_link
    from training.cascade.upscale import upscale
    from training.stream.degradation import degraded
    from training.stream.plan import Draws

    link = open_link(str(model), "vsr", {}, torch.float32)
    data, clips = link.recipe.data, judged_clips(seed)
    rng = np.random.default_rng((seed, 1))
    truth = [film[: data.frames] for _, film in clips]
    given = [degraded(film, data.degradation, rng) for film in truth]
    made = [
        as_pixels(upscale(link.stage, link.recipe, [text], [Draws(seed, 0, "learns", n)], as_numbers(film)))[0]
        for n, ((text, _), film) in enumerate(zip(clips, given, strict=True))
    ]
    enlarged = [
        np.stack([cv2.resize(f, (shapes.SIDE,) * 2, interpolation=cv2.INTER_CUBIC) for f in low]) for low in given
    ]
    ways = {"model": made, "bicubic": enlarged}
    rows = {
        clips[n][0]: {"given": given[n], "bicubic": enlarged[n], "model": made[n], "truth": truth[n]} for n in range(2)
    }
    return {"clips": len(clips), **quality(ways, truth)}, film_strips(rows)


def judged_clips(seed: int) -> list[tuple[str, Video]]:
    rng = np.random.default_rng((seed, 0))
    return [shapes.lively(rng) for _ in range(CLIPS)]


def small(film: Video, size: tuple[int, int]) -> Video:
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in film])


def blended(keys: Video, every: int) -> Video:
    """Each frame between two given ones as their mean, weighted by time."""
    time = np.arange((len(keys) - 1) * every + 1) / every
    before = np.minimum(time.astype(int), len(keys) - 2)
    share = (time - before)[:, None, None, None]
    return np.round(keys[before] * (1 - share) + keys[before + 1] * share).astype(np.uint8)


def as_numbers(film: Video) -> Any:
    """A clip as the models take it: float (1, 3, frames, height, width), -1 to 1."""
    import torch

    return torch.from_numpy(film.astype(np.float32) / 127.5 - 1).permute(3, 0, 1, 2)[None]


def as_pixels(latents: Any) -> Video:
    """The way back for a model that works on pixels, (batch, frames, height, width, 3)."""
    pixels: Video = ((latents.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 4, 1).numpy()
    return pixels


def quality(ways: dict[str, list[Video]], truth: list[Video]) -> dict[str, dict[str, float]]:
    """Means over the clips, of each way."""
    measures = {"psnr": psnr, "ssim": ssim}
    return {
        name: {
            way: float(np.mean([measure(a, b) for a, b in zip(made, truth, strict=True)])) for way, made in ways.items()
        }
        for name, measure in measures.items()
    }


def psnr(made: Video, truth: Video) -> float:
    """Decibels, over all pixels of a clip."""
    return float(-10 * np.log10(max(np.mean((made / 255 - truth / 255) ** 2), 1e-10)))


def ssim(made: Video, truth: Video) -> float:
    """Mean structural similarity of the channels (Wang et al. 2004, with its window and its constants)."""

    def blur(x: Any) -> Any:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    found = []
    for a, b in zip(made / 255, truth / 255, strict=True):
        mean_a, mean_b = blur(a), blur(b)
        spread = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
        together = blur(a * b) - mean_a * mean_b
        alike = (2 * mean_a * mean_b + 1e-4) * (2 * together + 9e-4)
        found.append((alike / ((mean_a**2 + mean_b**2 + 1e-4) * (spread + 9e-4))).mean())
    return float(np.mean(found))


def film_strips(rows: dict[str, dict[str, Video]]) -> Video:
    """A picture: under each caption a strip of frames for each name."""
    from training.engine.grid import Row, grid

    strips = [
        Row(text if place == 0 else "", mark, film)
        for text, films in rows.items()
        for place, (mark, film) in enumerate(films.items())
    ]
    return grid(strips, "")
