"""Files of weights: read without running what is in them, and without holding them in memory.

A file is mapped, so that its numbers come from the disk when they are looked at. A `.safetensors` file can hold nothing
but tensors; a pickled one (`.pt`, `.pth`, `.ckpt`, `.bin`) is read by torch's restricted reader, which refuses code.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation.errors import UserError
from curation.store import explain

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
SUFFIXES = (".safetensors", *PICKLED)

_SHOWN = 10
_HARMLESS: list[Any] = [argparse.Namespace]
"""What trainers keep beside their weights: settings, as bare attributes."""


def read(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file; those under `ema`, the running mean, where a trainer has put several sets into it.

    Raises:
        UserError: the file is missing, damaged, wants to run code, or holds something else.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: weights are files that end in {', '.join(SUFFIXES)}")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {explain(error)}") from error
    except UserError:
        raise
    except Exception as error:  # whatever a reader stumbles over in a stranger's file
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{path}: damaged, or no file of weights: {reason}") from error
    if isinstance(found, Mapping):
        found = next((found[key] for key in ("ema", "state_dict") if isinstance(found.get(key), Mapping)), found)
    if not isinstance(found, Mapping) or not found:
        raise UserError(f"{path}: holds no named tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise UserError(f"{path}: holds {str(name)[:80]!r}, which is no tensor, among its weights")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise UserError(f"{path}: {name[:80]!r} has more numbers than the file holds for it")
    return dict(found)


def find(folder: Path, *stems: str) -> Path:
    """The file of weights in a folder of diffusers or transformers, by its name without the ending.

    Raises:
        UserError: there is none.
    """
    names = [f"{stem}{ending}" for ending in (".safetensors", ".fp16.safetensors", ".bin") for stem in stems]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder}: has none of {', '.join(names)}")


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a `.safetensors` file, or a `.pt` with the tensors under `ema` as LaVie's are; sorted by name."""
    ordered = {name: tensors[name].contiguous() for name in sorted(tensors)}
    if path.suffix == ".safetensors":
        save_file(ordered, path, metadata={"format": "pt"})  # transformers asks for it
    else:
        torch.save({"ema": ordered}, path)


def fingerprint(tensors: Mapping[str, Tensor], names: Iterable[str] | None = None) -> str:
    """A sha256 over names, types, shapes and numbers: the same weights give the same, whatever file they are in."""
    digest = hashlib.sha256()
    for name in sorted(tensors) if names is None else names:
        value = tensors[name].detach().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def account(tensors: Mapping[str, Tensor], wanted: Mapping[str, torch.Size], source: str) -> None:
    """Hold every key of a file against what a model has.

    Raises:
        UserError: keys are missing or left over, or have other shapes; the line names the first ten of each.
    """
    missing = [name for name in wanted if name not in tensors]
    left_over = [name for name in tensors if name not in wanted]
    other = [
        f"{name} {_shape(tensors[name].shape)} for {_shape(shape)}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    kinds = (("missing", missing), ("left over", left_over), ("of another shape", other))
    told = [f"{len(names)} {kind} ({listed(names)})" for kind, names in kinds if names]
    if told:
        raise UserError(f"{source}: its keys are not those of the network: {'; '.join(told)}")


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Look at every number.

    Raises:
        UserError: a tensor does not hold floating numbers, or holds some that are not finite.
    """
    whole = [name for name, value in tensors.items() if not value.is_floating_point()]
    if whole:
        raise UserError(f"{source}: {len(whole)} tensors hold other than floating numbers ({listed(whole)})")
    broken = [name for name, value in tensors.items() if not bool(value.isfinite().all())]
    if broken:
        raise UserError(f"{source}: {len(broken)} tensors hold numbers that are not finite ({listed(broken)})")


def listed(names: list[str]) -> str:
    """The first ten."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _unpickled(path: Path) -> object:
    with open(path, "rb") as file:
        begin = file.read(2)
    mapped = zipfile.is_zipfile(path)  # what torch has written since 1.6; older files cannot be mapped
    if begin == b"PK" and not mapped:
        raise UserError(f"{path}: its end is missing; copy or fetch it again")
    if mapped:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise UserError(f"{path}: is compressed, which torch never does; no bounds could be held")
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: {_refused(path)}") from error


def _refused(path: Path) -> str:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            wanted = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # too damaged to be told
        wanted = []
    if wanted:
        return f"wants to run {listed(wanted)} when it is opened, which is refused; weights are tensors alone"
    return "damaged, or wants to run code when it is opened; weights are tensors alone"


def _shape(shape: torch.Size) -> str:
    return "x".join(str(side) for side in shape) or "scalar"
