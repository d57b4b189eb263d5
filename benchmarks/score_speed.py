"""What scoring costs over the bare model on the same batches, and what the size of batches does, in one run.

    python -m benchmarks.score_speed [--model ViT-B-32] [--clips 48] [--runs 3] [--json FILE]

Weights are random: they change no time. The bare side runs the image tower on tensors that are ready, in batches
of the sizes that scoring uses. Scoring is the whole phase on rows of clips as split leaves them: JPEG pictures
decoded, resized and embedded, then consistency, aesthetic score, ten categories and two prompts; with `--no-signal`
without the built-in scorer. Sides take turns. On a CPU the ratio is of CPU seconds of one core, on a GPU of wall
seconds; larger is better, 1 is the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import cost
from curation.models import batches, clip
from curation.phases import Unit
from curation.phases.score import Score
from curation.recipe import Recipe

_PICTURES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--model", default="ViT-B-32", help="a model of open_clip")
    parser.add_argument("--clips", type=int, default=48, help="clips with three pictures each")
    parser.add_argument("--runs", type=int, default=3, help="turns of each side")
    parser.add_argument("--no-signal", action="store_true", help="leave the built-in scorer out")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        figures = _measured(chosen, Path(folder))
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _measured(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    recipe = _recipe(chosen.model, folder, signal=not chosen.no_signal)
    assert recipe.score.clip is not None
    model = clip.loaded(recipe.score.clip)
    rows = [_row(number) for number in range(chosen.clips)]
    phase = Score(recipe)
    unit = Unit(0, "", None)
    phase.process(unit, rows[:2], folder)  # loads, and measures the sizes of batches
    spans = list(pairwise(batches.edges(chosen.clips * _PICTURES, model.sizes)))
    ready = [_tensors(batches.filled(end - start, model.sizes), model) for start, end in spans]
    on_gpu = model.device == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time

    def bare() -> None:
        for batch in ready:
            model._forward(batch)

    turns = []
    for _ in range(chosen.runs):
        turns.append({"bare": _took(bare, clock), "scoring": _took(lambda: phase.process(unit, rows, folder), clock)})
        print(json.dumps({name: round(seconds, 2) for name, seconds in turns[-1].items()}), flush=True)
    ratios = [turn["bare"] / turn["scoring"] for turn in turns]
    sizes = clip._SIZES[model.device]
    return {
        "machine": cost.machine(),
        "device": model.device,
        "model": chosen.model,
        "pictures": chosen.clips * _PICTURES,
        "signal": not chosen.no_signal,
        "sizes_used": list(model.sizes),
        "turns": chosen.runs,
        "pictures_a_second": {
            side: round(chosen.clips * _PICTURES / statistics.median(turn[side] for turn in turns), 2)
            for side in ("bare", "scoring")
        },
        "throughput_over_bare": {
            "least": round(min(ratios), 3),
            "median": round(statistics.median(ratios), 3),
            "most": round(max(ratios), 3),
        },
        "pictures_a_second_by_size": _by_size(model, (1, 2, *sizes), clock),
    }


def _by_size(model: clip.ClipModel, sizes: tuple[int, ...], clock: Callable[[], float]) -> dict[str, Any]:
    """Speed of the bare tower; and whether a picture's embedding has the bits that the first usable size gives."""
    import torch

    probe = torch.randn((max(sizes), *model._shape), generator=torch.Generator().manual_seed(0))
    first = model._forward(probe[: clip._SIZES[model.device][0]])
    found = {}
    for size in sizes:
        result = model._forward(probe[:size])
        seconds = min(_took(lambda size=size: model._forward(probe[:size]), clock) for _ in range(3))  # type: ignore[misc]
        shared = min(size, len(first))
        found[str(size)] = {
            "pictures_a_second": round(size / seconds, 2),
            "same_bits": bool(np.array_equal(result[:shared], first[:shared])),
        }
    return found


def _took(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began


def _tensors(count: int, model: clip.ClipModel) -> Any:
    import torch

    return torch.randn((count, *model._shape))


def _recipe(name: str, folder: Path, *, signal: bool) -> Recipe:
    """Scores by a model with random weights in this folder."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    made = open_clip.create_model(name)
    config = open_clip.get_model_config(name)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file(made.state_dict(), str(folder / "open_clip_model.safetensors"))
    torch.save(torch.nn.Linear(config["embed_dim"], 1).state_dict(), folder / "head.pth")
    score: dict[str, Any] = {
        "clip": {"model": str(folder)},
        "aesthetic": {"head": str(folder / "head.pth")},
        "categories": {},
        "prompts": {"watermark": {}, "nsfw": {}},
    }
    if not signal:
        score["signal"] = None
    return Recipe.model_validate({"name": "bench", "sources": [{"files": "none"}], "score": score})


def _row(number: int) -> dict[str, Any]:
    """A clip with pictures that are as hard to decode as films: smooth shapes under some grain."""
    chance = np.random.default_rng(number)
    jpegs = []
    for _ in range(_PICTURES):
        shapes = cv2.resize(
            chance.integers(0, 256, (9, 16, 3), dtype=np.uint8), (456, 256), interpolation=cv2.INTER_CUBIC
        )
        grain = np.clip(shapes + chance.normal(0, 6, shapes.shape), 0, 255).astype(np.uint8)
        jpegs.append(bytes(cv2.imencode(".jpg", grain, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]))
    return {"clip_id": f"{number:016x}", "thumbnails": jpegs}


if __name__ == "__main__":
    main()
