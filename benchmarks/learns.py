"""Whether tiny models learn: films are curated, served over HTTP, trained on from the URL, and the models judged.

    python -m benchmarks.learns [--part PARTS] [--steps N] [--work DIR] [--json FILE] [--images DIR] [--check]

base            is asked for colours and directions that no film shows together; `shapes.seen` measures its videos
interpolation   is given every fourth frame of held-out clips, beside repeating frames and blending them
vsr             is given small, spoilt copies of held-out clips, beside bicubic enlargement

A run in --work goes on where it ended. `--check` fails where a model falls short of what docs/train.md says of it.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import cost, shapes
from benchmarks.shapes import Video

# What the films of this benchmark want of the tiny recipes; frames so far apart that the motion is large.
BASE = (
    "data.size=[16,16] data.frames=4 data.stride=5 data.images=1 model.text_length=32 optimiser.lr=2e-3 "
    "optimiser.warmup=50 train.batch=6 train.ema=0.99 train.steps=2000 train.checkpoint_every=500 train.log_every=50"
)
PARTS = {
    "base": ("moving", "tiny-base.yaml", BASE.split()),
    "interpolation": ("lively", "tiny-interpolation.yaml", []),
    "vsr": ("lively", "tiny-vsr.yaml", []),
}
"""Films, recipe and settings of each part."""
PAINTED = 1
"""Seed of the films that are trained on."""
JUDGED = 2026
"""Seed of what models are judged on. The published figures looked at it twice: a next report needs another."""
SEEDS = 4
"""Videos of each held-out prompt."""
CLIPS = 24
"""Held-out clips for interpolation and super resolution."""
LEAST = {"colour": 0.8, "direction": 0.5, "both": 0.4}
"""What `--check` wants of the base model's shares; chance is 0.17, 0.25 and 0.04."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--part", default=",".join(PARTS), help="which models, of these")
    parser.add_argument("--steps", type=int, help="training steps, in place of each part's own")
    parser.add_argument("--seed", type=int, default=JUDGED, help="of what the models are judged on")
    parser.add_argument("--work", type=Path, help="where films, datasets and models are left")
    parser.add_argument("--json", type=Path, help="where to write the figures; other parts' stay")
    parser.add_argument("--images", type=Path, help="a folder for a picture of each part")
    parser.add_argument("--check", action="store_true", help="fail where a model does not learn")
    chosen = parser.parse_args()
    judges = {"base": judge_base, "interpolation": judge_interpolation, "vsr": judge_vsr}
    found: dict[str, Any] = {"machine": cost.machine()}
    with tempfile.TemporaryDirectory(prefix="reelmill-learns-") as folder:
        work = (chosen.work or Path(folder)).absolute()
        for part in chosen.part.split(","):
            model, training = trained(part, work, chosen.steps)
            started = time.monotonic()
            judged, picture = judges[part](model, chosen.seed)
            found[part] = {**training, **judged, "judging_s": round(time.monotonic() - started)}
            print(json.dumps({part: found[part]}, indent=1), flush=True)
            if chosen.images:
                chosen.images.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(chosen.images / f"learns-{part}.png"), picture[..., ::-1])
    if chosen.json:
        before = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
        chosen.json.write_text(json.dumps({**before, **found}, indent=1) + "\n")
    if chosen.check and (short := list(falls_short(found))):
        sys.exit("\n".join(short))


def falls_short(found: dict[str, Any]) -> Iterator[str]:
    """What is not learned, of what `main` found; a line each."""
    for name, least in LEAST.items():
        share = found["base"]["held_out"][name] if "base" in found else 1.0
        if share < least:
            yield f"base: {name} is right in {share:.2f} of the held-out prompts, not in {least}"
    for part, beaten in (("interpolation", "repeated"), ("vsr", "bicubic")):
        if part in found and found[part]["psnr"]["model"] <= found[part]["psnr"][beaten]:
            yield f"{part}: PSNR is {found[part]['psnr']['model']:.2f} dB, no better than {beaten}"


def films(name: str) -> Iterator[tuple[str, Video]]:
    """Captions and clips of a dataset. What is held out is in neither."""
    rng = np.random.default_rng(PAINTED)
    if name == "lively":
        for _ in range(300):
            yield shapes.lively(rng)
        return
    asked = [(*pair, shape) for _ in range(8) for pair in shapes.SHOWN for shape in shapes.SHAPES]
    for number in rng.permutation(len(asked)):
        yield shapes.caption(*asked[number]), shapes.painted(*asked[number], rng)


def trained(part: str, work: Path, steps: int | None) -> tuple[Path, dict[str, Any]]:
    """The folder of a trained model, and what its training took."""
    name, recipe, settings = PARTS[part]
    folder, out = work / name, work / part
    if not (folder / "data" / "manifest.json").exists():
        table = shapes.write_films(folder / "films", films(name))
        manifest = folder / "films.json"
        manifest.write_text(json.dumps(_manifest(name, table)))
        _reelmill("curate", manifest, "--out", folder / "data")
    with served(folder / "data") as url:
        more = [f"data.url={url}/manifest.json", f"data.cache_dir={work / 'cache'}", "data.threads=1"]
        more += [f"train.out={out}", "train.device=cpu", *([f"train.steps={steps}"] if steps else [])]
        words = [word for setting in [*settings, *more] for word in ("--set", setting)]
        with cost.of_children() as spent:
            _reelmill("train", Path("training/recipes") / recipe, *words)
    told = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    return out, {"steps": told["step"], "training_s": round(spent.wall_s), "training_cpu_s": round(spent.cpu_s)}


def _manifest(name: str, table: Path) -> dict[str, Any]:
    """Clips are as the table says; small pictures are wanted, and dark ones."""
    return {
        "name": name,
        "sources": [{"files": str(table), "columns": {"start": "start", "end": "end"}}],
        "split": {"min_frames": shapes.FRAMES, "detector": "content", "threshold": 90, "gradual": False},
        "select": {"max_black": None, "max_frozen": None, "rules": [{"field": "frames", "min": shapes.FRAMES}]},
        "caption": {"from": ["source"]},
        "shard": {"short_side": shapes.SIDE, "samples": 64, "crf": 12},
    }


def _reelmill(*words: object) -> None:
    command = [sys.executable, "-m", "curation.cli", *map(str, words)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on this machine alone, for as long as the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def judge_base(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
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


def judge_interpolation(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
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


def judge_vsr(model: Path, seed: int) -> tuple[dict[str, Any], Video]:
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


if __name__ == "__main__":
    main()
