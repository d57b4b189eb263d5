"""What the VAE makes of pictures, kept on disk for when the same pictures come again.

A clip, or a single frame, is known by its bytes and by the VAE: so neither the address of a dataset nor what was
drawn to make the pictures matters, and what is kept is never of other pictures. Kept are mean and deviation of the
posterior, from which each epoch draws anew. It saves the VAE; pictures are decoded all the same.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation.errors import UserError
from curation.store import explain
from training.models.lavie.latents import Latents, Normal, Pixels
from training.recipe_train import Train
from training.transfer import sent
from training.weights import fingerprint


class LatentCache:
    """A folder of posteriors; several processes and runs may share it.

    Args:
        space: whose VAE it is.
        precision: what the VAE computes in.
        room: bytes that this process may add.

    Raises:
        UserError: nothing can be written there.
    """

    def __init__(self, space: Latents, folder: Path, *, precision: str, room: int):
        self._space = space
        self._folder = folder
        self._room = room
        weights = {name: value.cpu() for name, value in space.vae.state_dict().items()}
        self._vae = f"{fingerprint(weights)} {precision}".encode()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"train.latents: cannot use {folder}: {explain(error)}") from error

    @staticmethod
    def of(space: Pixels | Latents, settings: Train, *, share: int) -> LatentCache | None:
        """That of a recipe; None where it has none.

        Args:
            share: processes that share the room that is left.
        """
        if settings.latents is None:
            return None
        if isinstance(space, Pixels):
            raise UserError("train.latents: the model works on pixels; give it model.vae, or leave train.latents out")
        folder = Path(settings.latents)
        held = sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))
        room = max(0, settings.latents_bytes - held) // share
        return LatentCache(space, folder, precision=settings.precision, room=room)

    def encode(self, pictures: NDArray, frames: int, normal: Normal, device: torch.device) -> Tensor:
        """As `Latents.encode`, of uint8 (batch, frames + images, height, width, 3); what is new is kept.

        Raises:
            UserError: the disk cannot be written.
        """
        means, deviations = [], []
        for sample in pictures:
            parts = (sample[:frames], *(image[None] for image in sample[frames:]))
            mean, deviation = zip(*(self._posterior(part, device) for part in parts))
            means.append(torch.cat(mean))
            deviations.append(torch.cat(deviation))
        return self._space.drawn(torch.stack(means), torch.stack(deviations), normal)

    def _posterior(self, pictures: NDArray, device: torch.device) -> tuple[Tensor, Tensor]:
        """Of one clip or single frame by itself, so that the same pictures give the same bits."""
        name = hashlib.sha256(self._vae + str(pictures.shape).encode() + pictures.tobytes()).hexdigest()
        path = self._folder / name[:2] / f"{name}.safetensors"
        try:
            kept = load_file(path)
            return sent(kept["mean"], device), sent(kept["deviation"], device)
        except (OSError, SafetensorError, KeyError):
            path.unlink(missing_ok=True)  # not there, or half-written when the machine stopped
        rgb = sent(torch.from_numpy(pictures), device).permute(0, 3, 1, 2).float() / 127.5 - 1
        mean, deviation = self._space.posterior(rgb)
        self._keep(path, {"mean": mean.cpu(), "deviation": deviation.cpu()})
        return mean, deviation

    def _keep(self, path: Path, tensors: dict[str, Tensor]) -> None:
        size = sum(value.nbytes for value in tensors.values()) + 1024
        if size > self._room:
            return
        self._room -= size
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            path.parent.mkdir(exist_ok=True)
            save_file({name: value.contiguous() for name, value in tensors.items()}, part)
            os.replace(part, path)
        except (OSError, SafetensorError) as error:
            part.unlink(missing_ok=True)
            raise UserError(f"train.latents: cannot write {path}: {' '.join(str(error).split())[:200]}") from error
