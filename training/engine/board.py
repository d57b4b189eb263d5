"""Where people look at a run: TensorBoard in OUT/tensorboard, and Weights & Biases where a recipe names a project."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.errors import UserError
from curation.validate import resolved
from training.recipe import Recipe


class Board(Protocol):
    """Takes what a run tells, by step."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name."""

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        """RGB (height, width, 3)."""

    def film(self, step: int, name: str, film: NDArray[np.uint8], fps: int, file: Path) -> None:
        """RGB (frames, height, width, 3), which is also in a file, as mp4."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """Event files of torch.utils.tensorboard.

    Args:
        step: after which a run goes on; later events, of a part that is done again, are hidden.
    """

    def __init__(self, folder: Path, *, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, flush_secs=20)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def film(self, step: int, name: str, film: NDArray[np.uint8], fps: int, file: Path) -> None:
        """As an animated GIF, the one kind of film that TensorBoard shows."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        first, *others = (Image.fromarray(frame) for frame in film)
        gif = io.BytesIO()
        first.save(gif, "GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
        height, width = film.shape[1:3]
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif.getvalue())
        self._writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of a W&B project, which goes on under the same name when the training does.

    The key comes from where wandb itself looks for it: WANDB_API_KEY, its settings, or what `wandb login` left in
    netrc. Addresses of data are not sent, since they may hold what opens them.

    Args:
        folder: of the run; its resolved path is what W&B knows it by.

    Raises:
        UserError: wandb is not installed, has no key, or does not take it.
    """

    def __init__(self, project: str, folder: Path, recipe: Recipe):
        try:
            import wandb
        except ImportError:
            raise UserError("train.wandb needs another library: pip install 'reelmill[wandb]'") from None
        logging.getLogger("wandb").setLevel(logging.ERROR)
        settings = resolved(recipe)
        settings["train"].pop("held_out")
        for place in ("url", "texts", "datasets"):
            settings["data"].pop(place)
        try:
            asks = wandb.setup().settings.mode in ("online", "shared")
            if asks and not wandb.login(prompt=False):
                raise UserError("train.wandb: no key for Weights & Biases; run `wandb login` or set WANDB_API_KEY")
            self._run = wandb.init(
                project=project,
                name=folder.name,
                id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
                dir=str(folder),
                resume="allow",
                config=settings,
                settings=wandb.Settings(console="off", silent=True, save_code=False),
            )
        except wandb.Error as error:
            raise UserError(f"train.wandb: {' '.join(str(error).split())[:300]}") from error
        self._run.define_metric("*", step_metric="step")  # a run that goes on may repeat steps, which W&B's own may not
        self._picture, self._film = wandb.Image, wandb.Video

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "step": step})

    def picture(self, step: int, name: str, picture: NDArray[np.uint8]) -> None:
        self._run.log({name: self._picture(Image.fromarray(picture)), "step": step})

    def film(self, step: int, name: str, film: NDArray[np.uint8], fps: int, file: Path) -> None:
        self._run.log({name: self._film(str(file), format="mp4"), "step": step})

    def close(self) -> None:
        self._run.finish()


def boards(recipe: Recipe, out: Path, *, step: int) -> list[Board]:
    """Those that a recipe asks for, in a run that goes on after `step`."""
    found: list[Board] = [WeightsAndBiases(recipe.train.wandb, out, recipe)] if recipe.train.wandb else []
    return [TensorBoard(out / "tensorboard", step=step), *found]
