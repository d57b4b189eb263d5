"""Trainings that lose a process: on Ray Train they start again by themselves, under torchrun with the same command.

    python -m benchmarks.lost_workers

Each run is of two processes on this machine; one is killed after the first checkpoint. What comes out is compared with
a run that nothing disturbed: the same samples, the losses within rounding.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import torch

from training.engine.checkpoint import newest

_STEPS = 60
_TINY = """
data: {frames: 4, stride: 2, size: [16, 24], images: 2}
model: {widths: [8, 16], attention: [false, true], layers: 1, heads: 2, groups: 4, text_width: 16, text_layers: 1,
        text_length: 24}
train: {steps: 60, batch: 4, checkpoint_every: 5, log_every: 1, device: cpu}
"""
_BIN = Path(sysconfig.get_path("scripts"))


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "training"))
    from conftest import squares, write_dataset

    with tempfile.TemporaryDirectory(prefix="reelmill-lost-") as temporary:
        folder = Path(temporary)
        (folder / "tiny.yaml").write_text(_TINY)
        dataset = write_dataset(folder / "squares", squares(10))

        def command(out: str) -> list[str]:
            overrides = ["--set", f"data.url={dataset}", "--set", f"train.out={folder / out}"]
            return [str(_BIN / "reelmill"), "train", str(folder / "tiny.yaml"), *overrides]

        torchrun = [str(_BIN / "torchrun"), "--standalone", "--nproc-per-node=2", "--no-python"]
        subprocess.run(command("alone"), check=True)

        ray = _robbed([*command("ray"), "--ray", "2"], folder / "ray", b"RayTrainWorker")
        print(f"Ray Train ended with {ray}")
        lost = _robbed([*torchrun, *command("torchrun")], folder / "torchrun", b"reelmill")
        print(f"torchrun ended with {lost}, and left {newest(folder / 'torchrun')}")
        assert ray == 0 and lost != 0
        subprocess.run([*torchrun, *command("torchrun")], check=True)

        expected = _losses(folder / "alone")
        for name in ("ray", "torchrun"):
            found = _losses(folder / name)
            assert _position(folder / name) == _position(folder / "alone")
            print(
                f"{name}: {len(found)} steps, losses differ by at most {float((found / expected - 1).abs().max()):.1e}"
            )


def _robbed(command: list[str], out: Path, name: bytes) -> int:
    """Start a run, kill one of its workers after the first checkpoint, and wait for its end."""
    run = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while newest(out) is None:
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(_workers(run.pid, name)[-1], signal.SIGKILL)
    return run.wait()


def _workers(parent: int, name: bytes) -> list[int]:
    """Processes below another one that have a word in their command line."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, below = [], [parent]
    while below:
        children = [pid for pid, above in parents.items() if above in below]
        found += [pid for pid in children if name in Path(f"/proc/{pid}/cmdline").read_bytes()]
        below = children
    return sorted(found)


def _losses(out: Path) -> torch.Tensor:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, _STEPS + 1))
    return torch.tensor([line["loss"] for line in lines])


def _position(out: Path) -> object:
    return json.loads((out / f"checkpoints/step-{_STEPS:08d}/state.json").read_text())["position"]


if __name__ == "__main__":
    main()
