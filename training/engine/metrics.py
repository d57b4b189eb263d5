"""What a run tells: metrics.jsonl for programs, boards for browsers, a progress line for people.

Losses stay on the device and are fetched once for every line, so that the device never waits for the log. Ranks meet
for a line as well, and each of them knows what all of them measured.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from curation.errors import UserError
from curation.store import Place, explain
from training.engine.board import Board
from training.engine.flops import Speed
from training.engine.ranks import Ranks
from training.engine.spikes import Spikes
from training.recipe import Recipe
from training.stream.loader import Batch
from training.stream.meter import Report

FIELDS = ("loss", "loss_video", "loss_image", "grad_norm")
FILE = "metrics.jsonl"

Line = dict[str, Any]


@dataclass
class _Window:
    """What one rank did since the line before."""

    samples: int = 0
    pictures: int = 0
    flops: float = 0.0
    waited: float = 0.0


class Metrics:
    """Collects the steps since the last line and writes the next one.

    A line of metrics.jsonl has: step; the means of loss, loss_video, loss_image and grad_norm since the line before,
    over all ranks; lr; samples_per_s; frames_per_s (single frames counted too); data_wait, the share of the time that
    was spent waiting for data; decode_fps, bytes_per_clip and cache_hits (`meter.Report`); replaced, the clips and
    images that others stood in for so far; memory_gb, the most that any rank had allocated on its GPU since the line
    before, or has ever had in its main memory on a CPU; skipped, the steps that a spike left out, where it may; mfu,
    where the peak of the device is known (`flops.Speed`); and whatever else `write` is given. Samples, frames and
    replacements are those of all ranks together.

    Args:
        out: folder of the run.
        step: after which a log goes on; later lines, of a part that is done again, are cut off.
        speed: what MFU is counted with, where that is known.
    """

    def __init__(
        self,
        out: Path,
        console: Console,
        recipe: Recipe,
        ranks: Ranks,
        *,
        step: int,
        boards: Sequence[Board] = (),
        speed: Speed | None = None,
    ):
        self._path = out / FILE
        self._console = console
        self._ranks = ranks
        self._boards = boards
        self._speed = speed
        past = _kept(self._path, step)
        if ranks.first and self._path.exists():
            Place(out).commit(FILE, "".join(json.dumps(line) + "\n" for line in past).encode())
        trivial = 1 + (recipe.train.image_weight if recipe.data.images else 0)
        losses = ranks.agree([float(line["loss"]) for line in past])
        self.spikes = Spikes(recipe.train.spikes, losses, least=trivial)
        self._steps = recipe.train.steps
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or not ranks.first,
        )
        self._task = self._bar.add_task("train", total=self._steps, completed=step, told="")
        self._clear()

    def __enter__(self) -> Metrics:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def _clear(self) -> None:
        self._values: list[Tensor] = []
        self._keys: list[Sequence[str]] = []
        self._failures: list[str] = []
        self._window = _Window()
        self._since = time.perf_counter()

    def add(self, values: Tensor, batch: Batch, *, waited: float) -> None:
        """Count one step.

        Args:
            values: fp32 (4,), in the order of `FIELDS`, on any device; of this rank.
            batch: what went in; of this rank.
            waited: seconds that the step waited for its data.
        """
        self._values.append(values)
        self._keys.append(batch.keys)
        self._window.samples += batch.pixels.shape[0]
        self._window.pictures += batch.pixels.shape[0] * batch.pixels.shape[1]
        self._window.waited += waited
        self._window.flops += self._speed.flops(batch) if self._speed else 0.0
        self._failures += [f"replaced {failure}" for failure in batch.failures]
        self._bar.advance(self._task)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Something beside the training, whose time does not count."""
        started = time.perf_counter()
        yield
        self._since += time.perf_counter() - started

    def write(
        self,
        step: int,
        *,
        lr: float,
        replaced: int,
        report: Report,
        more: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Write the line for the steps up to `step`, if there are any. All ranks call this for the same steps.

        Args:
            replaced: clips and images that others stood in for so far, on all ranks.
            report: of this rank.
            more: groups of other values that were measured at this step.

        Raises:
            UserError: a loss or gradient is not a finite number, or a loss is a spike that shall stop the run.
        """
        if not self._values:
            return
        values = torch.stack(self._values).double().cpu()  # the one wait for the device
        seconds = max(time.perf_counter() - self._since, 1e-9)
        own = (values.tolist(), astuple(self._window), astuple(report), _memory_gb(self._ranks.device), self._failures)
        losses, windows, reports, memory, failures = zip(*self._ranks.gather(own))
        for failure in itertools.chain.from_iterable(failures):
            self._console.print(failure)
        by_step = list(zip(*losses))
        self._judge(step - len(by_step), by_step)

        samples, pictures, flops, waited = (sum(column) for column in zip(*windows))
        means = torch.tensor(losses, dtype=torch.float64).mean(dim=(0, 1)).tolist()
        read = Report(*(sum(column) / len(reports) for column in zip(*reports)))
        line: Line = {
            "step": step,
            **dict(zip(FIELDS, means)),
            "lr": lr,
            "samples_per_s": samples / seconds,
            "frames_per_s": pictures / seconds,
            "data_wait": waited / seconds / len(windows),
            "decode_fps": read.decode_fps,
            "bytes_per_clip": read.bytes_per_clip,
            "cache_hits": read.cache_hits,
            "replaced": replaced,
            "memory_gb": max(memory),
        }
        if self.spikes.settings.action == "skip":
            line["skipped"] = sum(fmean(rank[0] for rank in step) > self.spikes.limit for step in by_step)
        if self._speed:
            line["mfu"] = flops / seconds / (self._speed.peak * len(windows))
        line.update(more or {})
        self.spikes.window(line["loss"])
        self._publish(line)
        self._clear()

    def _judge(self, before: int, by_step: Sequence[Sequence[Sequence[float]]]) -> None:
        """Stop at a step that must not be."""
        found = self.spikes.first(by_step)
        if found is not None:
            number, bad = found
            keys = self._ranks.gather(list(self._keys[number]))
            raise self.spikes.error(before + number + 1, by_step[number], (key for rank in bad for key in keys[rank]))

    def _publish(self, line: Line) -> None:
        if not self._ranks.first:
            return
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            for board in self._boards:
                board.scalars(line["step"], dict(flat(line)))
        except OSError as error:
            raise UserError(f"cannot write the log in {self._path.parent}: {explain(error)}") from error
        told = (
            f"loss {line['loss']:.4f} (video {line['loss_video']:.4f}, image {line['loss_image']:.4f})  "
            f"{line['samples_per_s']:.2f} clips/s  waiting {line['data_wait']:.0%}  "
            f"decoding {line['decode_fps']:.0f} frames/s  {line['bytes_per_clip'] / 1000:.0f} kB/clip  "
            f"cache {line['cache_hits']:.0%}"
        )
        told += f"  MFU {line['mfu']:.0%}" if "mfu" in line else ""
        told += f"  held out {line['held_out']['loss']:.4f}" if "held_out" in line else ""
        told += f"  replaced {line['replaced']}" if line["replaced"] else ""
        if self._console.is_terminal:
            self._bar.update(self._task, told=told)
        else:
            width = int(math.log10(self._steps)) + 1
            self._console.print(f"step {line['step']:{width}d}/{self._steps}  {told}")


def flat(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line by the names that boards group: train/loss, held_out/loss, …"""
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", float(number)) for inner, number in value.items())
        elif name != "step":
            yield f"train/{name}", float(value)


def _kept(path: Path, step: int) -> list[Line]:
    """The lines up to a step. A half line of a killed run is none."""
    kept = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line = json.loads(text)
            if line["step"] <= step and math.isfinite(line["loss"]):
                kept.append(line)
    return kept


def _memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        most = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return most / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
