"""Checkpoints: whole or not there, tensors as safetensors and all else as JSON, nothing pickled.

OUT/checkpoints/step-00000040/
  shard-*.safetensors     what each rank wrote: model/NAME the trained parameters, ema/NAME their running mean,
                          exp_avg/NAME, exp_avg_sq/NAME and step/NAME of AdamW, rng/DEVICE/RANK of torch's generators
  state.json              step, position in the data, recipe
OUT/checkpoints/latest    name of the newest

Torch's distributed checkpoints write and read the tensors, so that every rank writes what it holds, what several hold
is written once, and any number of ranks reads what it needs. Their usual format has a pickle; this one, of the same
library, has the offsets of every shard in the headers of its safetensors.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.tensor import DTensor

from curation.errors import UserError
from curation.store import Place, explain
from training.engine.ema import Ema
from training.engine.ranks import Ranks
from training.stream.loader import Position

_NAME = re.compile(r"^step-(\d{8,})$")

# It warns of every checkpoint of a single process, and notes two lines for each tensor.
warnings.filterwarnings("ignore", message="torch.distributed is disabled")
logging.getLogger("c10d-NullHandler-dcp_logger").setLevel(logging.WARNING)


@dataclass
class State:
    """What a checkpoint knows besides tensors."""

    step: int
    """Optimiser steps that were taken."""
    position: Position
    """In the data, with counts over all ranks; it also names the datasets by their hashes."""
    recipe: dict[str, Any]
    """The resolved recipe."""


def newest(out: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    folder = out / "checkpoints"
    names = [name for name in os.listdir(folder) if _NAME.match(name)] if folder.is_dir() else []
    return folder / max(names, key=lambda name: int(name.removeprefix("step-"))) if names else None


def read_state(checkpoint: Path) -> State:
    """The state of a checkpoint.

    Raises:
        UserError: it is damaged.
    """
    try:
        values = json.loads((checkpoint / "state.json").read_text())
        return State(**{**values, "position": Position.from_json(values["position"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(checkpoint, error) from error


class Learned:
    """The tensors of a run by their names in checkpoints: parameters, means, optimiser and generators."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], ema: Ema, optimiser: torch.optim.AdamW):
        self.parameters = parameters
        self.ema = ema
        self.optimiser = optimiser
        _begin(optimiser)

    def tensors(self) -> dict[str, Tensor]:
        """All but the generators, in the memory where they change."""
        found = {f"model/{name}": value.detach() for name, value in self.parameters.items()}
        found |= {f"ema/{name}": value for name, value in self.ema.mean.items()}
        for name, value in self.parameters.items():
            found |= {f"{kind}/{name}": part for kind, part in self.optimiser.state[value].items()}
        return found


def _begin(optimiser: torch.optim.AdamW) -> None:
    """Give AdamW the state that its first step would give it, so that there is something to load into."""
    for group in optimiser.param_groups:
        on_device = group["fused"] or group["capturable"]
        for value in group["params"]:
            optimiser.state[value] = {
                "step": torch.zeros((), device=value.device if on_device else "cpu"),
                "exp_avg": torch.zeros_like(value),
                "exp_avg_sq": torch.zeros_like(value),
            }


class Checkpoints:
    """Writes the checkpoints of a run, each behind the training's back; loads one at the start.

    Leaving the context waits for what is being written.

    Args:
        keep: how many, the newest ones.
    """

    def __init__(self, out: Path, ranks: Ranks, *, keep: int):
        self._folder = out / "checkpoints"
        self._ranks = ranks
        self._keep = keep
        # A group of its own: what is said about a write must not mix with what the training says.
        self._group: Any = dist.new_group(backend="gloo") if ranks.world > 1 else None
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._name = ""

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._publisher.shutdown(wait=True)

    def save(self, state: State, learned: Learned) -> None:
        """Copy this rank's part to main memory, and begin to write it; returns when the tensors may change again.

        A write that failed is told by the next call, or by `wait`. What was there before is then untouched.

        Raises:
            UserError: the checkpoint before could not be written.
        """
        self.wait()
        self._name = f"step-{state.step:08d}"
        part = self._folder / f"{self._name}.incomplete"
        text = json.dumps(dataclasses.asdict(state), indent=1)
        tensors = {**_share(learned.tensors(), self._ranks), **_generators(self._ranks.rank)}
        try:
            if self._ranks.first:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
            written = async_save(
                tensors,
                storage_writer=HuggingFaceStorageWriter(str(part), save_distributed=True),
                process_group=self._group,
            )
        except (OSError, CheckpointException) as error:
            raise self._unwritten(error) from error
        assert isinstance(written, Future)
        self._writing = self._publisher.submit(self._publish, written, part, text)

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            UserError: the disk is full or read-only.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                writing.result()
            except (OSError, CheckpointException) as error:
                raise self._unwritten(error) from error

    def _publish(self, written: Future[Any], part: Path, text: str) -> None:
        """Give a checkpoint its name by one rename when all ranks have written, and drop old ones after that."""
        written.result()
        if self._ranks.first:
            (part / "state.json").write_text(text)
            publish(part, part.with_suffix(""))
            Place(self._folder).commit("latest", f"{part.stem}\n".encode())
            _drop_old(self._folder, self._keep)

    def _unwritten(self, error: BaseException) -> UserError:
        return UserError(f"cannot write the checkpoint {self._folder / self._name}: {explain(_cause(error))}")

    def load(self, checkpoint: Path, learned: Learned) -> None:
        """Put a checkpoint's tensors in their places.

        A rank that the checkpoint knows no generators of keeps its own.

        Raises:
            UserError: it is damaged, or of another model.
        """
        reader = HuggingFaceStorageReader(str(checkpoint))
        try:
            saved = reader.read_metadata().state_dict_metadata
            generators = {name: value for name, value in _generators(self._ranks.rank).items() if name in saved}
            load({**learned.tensors(), **generators}, storage_reader=reader, process_group=self._group)
            _set_generators(generators)
        except (CheckpointException, Exception) as error:  # whatever the reader meets in damaged files
            raise _damaged(checkpoint, _cause(error)) from error


def publish(part: Path, final: Path) -> None:
    """Rename a finished folder to its final name, with everything in it safely on the disk."""
    for path in (*part.rglob("*"), part):
        _sync(path)
    old = final.with_name(f"{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.rename(final, old)
    os.rename(part, final)
    _sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove what a killed run left half-written."""
    for path in (*out.glob("checkpoints/*.incomplete"), *out.glob("checkpoints/*.old"), *out.glob("*.incomplete")):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop_old(folder: Path, keep: int) -> None:
    names = sorted((name for name in os.listdir(folder) if _NAME.match(name)), key=lambda name: int(name[5:]))
    for name in names[:-keep]:
        # Renamed first, so that a checkpoint with half of its files never has a whole one's name.
        os.rename(folder / name, folder / f"{name}.old")
        shutil.rmtree(folder / f"{name}.old", ignore_errors=True)


def _share(tensors: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """What this rank writes: its shards, and of what all ranks hold alike an even part, so that only that is copied."""
    alike = [name for name, value in tensors.items() if not isinstance(value, DTensor)]
    alike.sort(key=lambda name: (-tensors[name].nbytes, name))
    others = {name for number, name in enumerate(alike) if number % ranks.world != ranks.rank}
    return {name: value for name, value in tensors.items() if name not in others}


def _generators(rank: int) -> dict[str, Tensor]:
    states = {f"rng/cpu/{rank}": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"rng/cuda/{rank}"] = torch.cuda.get_rng_state()
    return states


def _set_generators(states: Mapping[str, Tensor]) -> None:
    for name, value in states.items():
        if name.startswith("rng/cpu/"):
            torch.set_rng_state(value)
        else:
            torch.cuda.set_rng_state(value)


def _cause(error: BaseException) -> BaseException:
    """What went wrong on the first of the ranks that failed."""
    if isinstance(error, CheckpointException) and error.failures:
        return next(iter(error.failures.values()))[0]
    return error


def _damaged(checkpoint: Path, error: BaseException) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{checkpoint} cannot be used ({reason}); remove that folder to resume from the one before")
