"""What a run tells: metrics.jsonl for programs, a progress line for people.

Losses stay on the device and are fetched once for every line, so that the device never waits for
the log.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from curation.errors import UserError
from curation.store import Place
from training.engine.ranks import Ranks
from training.stream.loader import Batch
from training.stream.meter import Report

FIELDS = ("loss", "loss_video", "loss_image", "grad_norm")


class Metrics:
    """Collects the steps since the last line and writes the next one.

    A line of metrics.jsonl has: step; the means of loss, loss_video, loss_image and grad_norm
    since the line before; samples_per_s; frames_per_s (single frames counted too); data_wait, the
    share of the time that was spent waiting for data; decode_fps, bytes_per_clip and cache_hits (`meter.Report`);
    replaced, the clips and images that others stood in for so far.
    """

    def __init__(self, path: Path, console: Console, ranks: Ranks, *, step: int, steps: int):
        """Continue a log after `step`; later lines, of a part that is done again, are cut off."""
        self.path = path
        self.console = console
        self.ranks = ranks
        if ranks.first and path.exists():
            _cut(path, step)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("train", total=steps, completed=step, told="")
        self._steps = steps
        self._clear()

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def _clear(self) -> None:
        self._values: list[Tensor] = []
        self._keys: list[Sequence[str]] = []
        self._pictures = 0
        self._samples = 0
        self._waited = 0.0
        self._since = time.perf_counter()

    def add(self, values: Tensor, batch: Batch, *, waited: float) -> None:
        """Count one step, and say which of its clips could not be decoded.

        Args:
            values: fp32 (4,), in the order of `FIELDS`, on any device; of this rank.
            batch: what went in; of this rank.
            waited: seconds that the step waited for its data.
        """
        self._values.append(values)
        self._keys.append(batch.keys)
        self._samples += len(batch.draws) * self.ranks.world
        self._pictures += batch.pixels.shape[0] * batch.pixels.shape[1] * self.ranks.world
        self._waited += waited
        self._bar.advance(self._task)
        for failure in batch.failures:
            self.console.print(f"replaced {failure}")

    def write(self, step: int, *, replaced: int, report: Report) -> None:
        """Write the line for the steps up to `step`, if there are any.

        Raises:
            UserError: a loss or gradient is not a finite number.
        """
        if not self._values:
            return
        values = self.ranks.mean(torch.stack(self._values)).cpu()  # the one wait for the device
        for number, row in enumerate(values.isfinite().all(dim=1).tolist()):
            if not row:
                keys = [key for keys in self.ranks.gather(self._keys[number]) for key in keys]
                raise UserError(
                    f"step {step - len(values) + number + 1}: the loss or its gradient is not a finite number; "
                    f"its samples: {', '.join(keys[:20])}; lower optimiser.lr or look at these samples"
                )
        seconds = max(time.perf_counter() - self._since, 1e-9)
        means = dict(zip(FIELDS, values.double().mean(dim=0).tolist()))
        line = {
            "step": step,
            **means,
            "samples_per_s": self._samples / seconds,
            "frames_per_s": self._pictures / seconds,
            "data_wait": self._waited / seconds,
            "decode_fps": report.decode_fps,
            "bytes_per_clip": report.bytes_per_clip,
            "cache_hits": report.cache_hits,
            "replaced": replaced,
        }
        if self.ranks.first:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        self._tell(line)
        self._clear()

    def _tell(self, line: dict[str, float]) -> None:
        told = (
            f"loss {line['loss']:.4f} (video {line['loss_video']:.4f}, image {line['loss_image']:.4f})  "
            f"{line['samples_per_s']:.2f} clips/s  waiting {line['data_wait']:.0%}  "
            f"decoding {line['decode_fps']:.0f} frames/s  {line['bytes_per_clip'] / 1000:.0f} kB/clip  "
            f"cache {line['cache_hits']:.0%}"
        )
        if line["replaced"]:
            told += f"  replaced {line['replaced']}"
        if self.console.is_terminal:
            self._bar.update(self._task, told=told)
        else:
            width = int(math.log10(self._steps)) + 1
            self.console.print(f"step {line['step']:{width}d}/{self._steps}  {told}")


def _cut(path: Path, step: int) -> None:
    """Keep the lines up to a step. A half line of a killed run goes as well."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    Place(path.parent).commit(path.name, "".join(kept).encode())
