"""python -m demo [--footage DIR]: raw films to clips, shards, a report, and a model trained from their URL."""

from __future__ import annotations

import argparse
import functools
import http.server
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

OUT = Path("demo-out")
RECIPE = Path("training/recipes/tiny-base.yaml")
PROMPT = "An evening on the coast, from sunset to fireworks"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--footage", type=Path, help="a folder of your own videos, in place of the demo's")
    parser.add_argument("--steps", type=int, help="training steps, in place of the recipe's")
    chosen = parser.parse_args()
    started = time.monotonic()
    if chosen.footage is None:
        dataset, model = OUT / "dataset", OUT / "model"
        _tell("Raw footage, made here", [sys.executable, "-m", "demo.footage", OUT / "footage"])
        manifest = Path("manifests/demo.yaml")
    else:
        name = chosen.footage.resolve().name
        dataset, model, manifest = OUT / f"{name}-dataset", OUT / f"{name}-model", chosen.footage
    reelmill = [sys.executable, "-m", "curation.cli"]
    _tell("Scenes, scores, captions, shards, report", [*reelmill, "curate", manifest, "--out", dataset, "--update"])
    _tell("Is it what it says?", [*reelmill, "verify", dataset])
    with _served(dataset) as url:
        settings = [f"data.url={url}/manifest.json", f"train.out={model}"]
        if chosen.steps:
            settings.append(f"train.steps={chosen.steps}")
        overrides = [word for setting in settings for word in ("--set", setting)]
        _tell("A tiny text-to-video model, trained from the URL", [*reelmill, "train", RECIPE, *overrides])
    video = model / "sample.mp4"
    sample = [*reelmill, "sample", "--model", model, "--prompt", PROMPT, "--out", video, "--scale", "8"]
    _tell("A video from a prompt", sample)
    print(f"\nDone in {time.monotonic() - started:.0f} s. Look at:")
    for what, path in (
        ("the report", dataset / "report" / "index.html"),
        ("the shards", dataset / "shards"),
        ("the training log", model / "metrics.jsonl"),
        ("the sample", video),
    ):
        print(f"  {what:<17} {path}")
    return 0


def _tell(title: str, command: Sequence[object]) -> None:
    """Show a command as a user would type it, and run it; end with its exit code if it fails."""
    words = [str(word) for word in command]
    typed = ["reelmill", *words[3:]] if words[1:3] == ["-m", "curation.cli"] else ["python", *words[1:]]
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")
    print(f"$ {shlex.join(typed)}", flush=True)
    done = subprocess.run(words, check=False)
    if done.returncode:
        sys.exit(done.returncode)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # the trainer reads a part of a file and has what it wants
            super().handle()


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The folder over HTTP on this machine alone, for as long as the block runs."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
