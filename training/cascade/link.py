"""One model of the cascade, opened from its folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from curation.errors import UserError
from curation.validate import load
from training.models.lavie.stage import Stage
from training.recipe import Recipe, Sample

VIEWS = ("base", "interpolation", "vsr")
OPTIONS = {"base": "--model", "interpolation": "--interpolation", "vsr": "--vsr"}


@dataclass(frozen=True)
class Link:
    """A stage with its recipe, whose `sample` says how it is to be sampled now."""

    stage: Stage
    recipe: Recipe
    told: dict[str, Any]
    """What files say of the model: a hash of its weights, and how many steps it was trained."""

    @property
    def settings(self) -> dict[str, Any]:
        """For the file that is made."""
        wanted = self.recipe.sample.model_dump(include={"scheduler", "steps", "spacing", "guidance", "negative"})
        if self.recipe.sample.suffix:
            wanted["suffix"] = self.recipe.sample.suffix
        if self.recipe.data.view == "vsr":
            wanted["noise_level"] = self.recipe.sample.noise_level
        return {**wanted, **self.told}


def open_link(folder: str, view: str, changes: dict[str, Any], dtype: torch.dtype) -> Link:
    """Open a model for sampling, on the CPU.

    Args:
        folder: of a finished run, or the model/ folder in it.
        changes: settings of `Sample` that go before the recipe's, by name.

    Raises:
        UserError: there is no model, it is of another view or damaged, or a setting does not fit.
    """
    place = _model_folder(folder, OPTIONS[view])
    recipe = load(place / "recipe.yaml", Recipe)
    if recipe.data.view != view:
        kind = recipe.data.view
        raise UserError(f"{OPTIONS[view]}: {folder} holds a model for {kind}; give it as {OPTIONS[kind]}")
    recipe = recipe.model_copy(update={"sample": _changed(recipe, view, changes)})
    stage = Stage.load(place).eval().requires_grad_(False)
    if stage.view != view:
        raise UserError(f"{OPTIONS[view]}: {folder} holds a network for {stage.view}, which its recipe does not say")
    for part in (stage.unet, stage.text):
        part.to(dtype)
    told = {"model": f"sha256:{_digest(place)}", **_trained(place)}
    return Link(stage, recipe, told)


def _changed(recipe: Recipe, view: str, changes: dict[str, Any]) -> Sample:
    try:
        settings = Sample.model_validate({**recipe.sample.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        words = first["msg"].removeprefix("Input should be ").replace("greater than or equal to", "at least")
        raise UserError(f"--{option} must be {words}, not {first['input']}") from None
    if settings.steps > recipe.diffusion.steps:
        raise UserError(f"--steps must be at most {recipe.diffusion.steps}, not {settings.steps}")
    most = recipe.data.degradation.noise_level[1]
    if view == "vsr" and settings.noise_level > most:
        raise UserError(f"--noise-level must be at most {most}, as in the training, not {settings.noise_level}")
    if settings.overlap >= recipe.data.frames:
        raise UserError(f"--overlap must be less than the {recipe.data.frames} frames of a chunk ({view})")
    return settings


def _model_folder(model: str, option: str) -> Path:
    for folder in (Path(model), Path(model, "model")):
        if (folder / "config.json").is_file() and (folder / "recipe.yaml").is_file():
            return folder
    if Path(model, "checkpoints").is_dir():
        raise UserError(f"{option} {model}: this run has no model yet; it is written when training ends")
    raise UserError(f"{option} {model}: no model here; give the folder of a finished run (train.out)")


def _digest(folder: Path) -> str:
    """sha256 over names and bytes of everything but the recipe, whose settings may change."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*/**/*")):
        if path.is_file():
            whole.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with open(path, "rb") as file:
                while block := file.read(1 << 22):
                    whole.update(block)
    return whole.hexdigest()


def _trained(folder: Path) -> dict[str, Any]:
    try:
        return {"trained_steps": int(json.loads((folder / "config.json").read_text())["step"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
