"""Whether tiny models learn: films are curated, served over HTTP, trained on from the URL, and the models judged.

    python -m benchmarks.learns [--part PARTS] [--steps N] [--work DIR] [--json FILE] [--images DIR] [--check]

base            is asked for colours and directions that no film shows together; `shapes.seen` measures its videos
interpolation   is given every fourth frame of held-out clips, beside repeating frames and blending them
vsr             is given small, spoilt copies of held-out clips, beside bicubic enlargement

Each part trains on one core, several parts at once. A run in --work goes on where it ended. `--check` fails where a
model falls short of what docs/train.md says of it.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import cost, judged, shapes
from benchmarks.shapes import Video

# What the films of this benchmark want of the tiny recipes; frames so far apart that the motion is large.
BASE = (
    "data.size=[16,16] data.frames=4 data.stride=5 data.images=1 train.batch=16 train.steps=1500 train.ema=0.99 "
    "optimiser.lr=3e-3 optimiser.warmup=50 optimiser.schedule=cosine optimiser.decay=1500 "
    "train.checkpoint_every=500 train.log_every=50"
)
PARTS = {
    "base": ("moving", "tiny-base.yaml", BASE.split()),
    "interpolation": ("lively", "tiny-interpolation.yaml", []),
    "vsr": ("lively", "tiny-vsr.yaml", []),
}
"""Films, recipe and settings of each part."""
JUDGES = {"base": judged.base, "interpolation": judged.interpolation, "vsr": judged.vsr}
PAINTED = 1
"""Seed of the films that are trained on."""
JUDGED = 1127
"""Seed of what models are judged on. Settings that change after seeing its figures need another."""
LEAST = {"colour": 0.9, "direction": 0.6, "both": 0.6}
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
    parts = chosen.part.split(",")
    found: dict[str, Any] = {"machine": cost.machine(), "seed": chosen.seed}
    with tempfile.TemporaryDirectory(prefix="reelmill-learns-") as folder:
        work = (chosen.work or Path(folder)).absolute()
        for name in sorted({PARTS[part][0] for part in parts}):
            prepare(name, work / name)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            models = list(pool.map(lambda part: trained(part, work, chosen.steps), parts))
        for part, (model, training) in zip(parts, models, strict=True):
            scores, picture = JUDGES[part](model, chosen.seed)
            found[part] = {**training, **scores}
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


def prepare(name: str, folder: Path) -> None:
    """The films of a dataset, the dataset in `data`, and in `text` a model that reads its captions."""
    if (folder / "data" / "manifest.json").exists():
        return
    clips = list(films(name))
    write_text_model(folder / "text", [text for text, _ in clips])
    table = shapes.write_films(folder / "films", clips)
    manifest = folder / "films.yaml"
    manifest.write_text(json.dumps(_manifest(name, table)))
    _reelmill("curate", manifest, "--out", folder / "data", mark=name)


def write_text_model(folder: Path, captions: list[str]) -> None:
    """A CLIP text model with random weights that knows every word of the captions, in the place of the trained one.

    LaVie's stays frozen too. Its layers add little to the embeddings of words, since what random ones add is no sense.
    """
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    length = 2 + max(len(text.split()) for text in captions)
    marks = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    untrained = CLIPTokenizer(vocab=marks, merges=[], model_max_length=length)
    tokenizer = untrained.train_new_from_iterator(captions, vocab_size=1000, show_progress=False)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=length, bos_token_id=0, eos_token_id=1, pad_token_id=1, initializer_factor=0.1,
    )  # fmt: skip
    torch.manual_seed(PAINTED)
    model = CLIPTextModel(config)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def trained(part: str, work: Path, steps: int | None) -> tuple[Path, dict[str, Any]]:
    """The folder of a trained model, and what its training took."""
    name, recipe, settings = PARTS[part]
    folder, out = work / name, work / part
    with served(folder / "data") as url:
        more = [f"data.url={url}/manifest.json", f"data.cache_dir={work / 'cache'}", "data.threads=1"]
        more += [f"model.text={folder / 'text'}", f"train.out={out}", "train.device=cpu"]
        more += [f"train.steps={steps}"] if steps else []
        words = [word for setting in [*settings, *more] for word in ("--set", setting)]
        started = time.monotonic()
        _reelmill("train", Path("training/recipes") / recipe, *words, mark=part)
    told = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    return out, {"steps": told["step"], "training_s": round(time.monotonic() - started)}


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


def _reelmill(*words: object, mark: str) -> None:
    """Run a command; its lines get a mark, as several run at once."""
    command = [sys.executable, "-m", "curation.cli", *map(str, words)]
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=one_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            print(f"{mark}: {line}", end="", flush=True)
    if run.returncode:
        sys.exit(f"{mark}: the command ended with {run.returncode}")


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


if __name__ == "__main__":
    main()
