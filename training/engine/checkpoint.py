"""Checkpoints: whole or not there, tensors as safetensors and all else as JSON, nothing pickled.

OUT/checkpoints/step-00000040/
  model.safetensors       trained parameters, by name
  ema.safetensors         their running mean
  optimiser.safetensors   AdamW's state, "exp_avg/NAME" and so on
  rng.safetensors         states of torch's generators
  state.json              step, position in the data, recipe
OUT/checkpoints/latest    name of the newest
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from curation.errors import UserError
from curation.store import Place, explain
from training.engine.ema import Ema
from training.stream.loader import Position

_NAME = re.compile(r"^step-(\d{8,})$")


@dataclass
class State:
    """What a checkpoint knows besides tensors."""

    step: int
    """Optimiser steps that were taken."""
    position: Position
    """In the data; it also names the datasets by their hashes."""
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


def save(
    out: Path,
    state: State,
    *,
    parameters: Mapping[str, nn.Parameter],
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    keep: int,
) -> None:
    """Write a checkpoint, publish it by one rename, and drop all but the newest `keep`.

    Raises:
        UserError: the disk is full or read-only; what was there before is untouched.
    """
    folder = out / "checkpoints"
    name = f"step-{state.step:08d}"
    part = folder / f"{name}.incomplete"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file({key: value.detach().contiguous() for key, value in parameters.items()}, part / "model.safetensors")
        save_file(ema.mean, part / "ema.safetensors")
        save_file(_flat(optimiser, list(parameters)), part / "optimiser.safetensors")
        save_file(_generators(), part / "rng.safetensors")
        (part / "state.json").write_text(json.dumps(dataclasses.asdict(state), indent=1))
        publish(part, folder / name)
        Place(folder).commit("latest", f"{name}\n".encode())
        _drop_old(folder, keep)
    except OSError as error:
        raise UserError(f"cannot write the checkpoint {folder / name}: {explain(error)}") from error


def load(
    checkpoint: Path,
    *,
    parameters: Mapping[str, nn.Parameter],
    ema: Ema,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Put a checkpoint's tensors in their places.

    Raises:
        UserError: it is damaged, or of another model.
    """
    try:
        device = str(next(iter(parameters.values())).device)
        with torch.no_grad():
            for name, value in load_file(checkpoint / "model.safetensors", device=device).items():
                parameters[name].copy_(value)
        ema.load(load_file(checkpoint / "ema.safetensors", device=device))
        _unflat(optimiser, list(parameters), load_file(checkpoint / "optimiser.safetensors"))
        _set_generators(load_file(checkpoint / "rng.safetensors"))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _damaged(checkpoint, error) from error


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


def _flat(optimiser: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"{kind}/{names[number]}": value.contiguous()
        for number, values in state.items()
        for kind, value in values.items()
    }


def _unflat(optimiser: torch.optim.Optimizer, names: list[str], flat: Mapping[str, Tensor]) -> None:
    numbers = {name: number for number, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        kind, name = key.split("/", 1)
        state.setdefault(numbers[name], {})[kind] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _generators() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_generators(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _damaged(checkpoint: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{checkpoint} cannot be used ({reason}); remove that folder to resume from the one before")
