"""The configuration of a training run: what to read, what to train, how, and for how long."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from curation.validate import Config
from training.recipe_data import Data, Positive, Share
from training.recipe_model import Diffusion, Model
from training.recipe_sample import SAMPLING, Sample
from training.recipe_train import Lora, Optimiser, Train

__all__ = ["Data", "Diffusion", "FREE", "Lora", "Model", "Optimiser", "Positive", "Recipe", "Sample", "Share", "Train"]


class Recipe(Config):
    """A whole training run."""

    data: Data
    """Which clips are read."""
    model: Model = Model()
    """What is trained."""
    diffusion: Diffusion = Diffusion()
    """The noise schedule."""
    optimiser: Optimiser = Optimiser()
    """How the weights move."""
    train: Train = Train()
    """How long, and what is left behind."""
    sample: Sample = Sample()
    """Defaults for sampling."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_view(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("data"), dict):
            return values
        given = values.get("sample", {})
        preset = SAMPLING.get(str(values["data"].get("view", "base")), {})
        return {**values, "sample": {**preset, **given}} if isinstance(given, dict) else values

    @model_validator(mode="after")
    def _steps_fit(self) -> Recipe:
        if self.sample.steps > self.diffusion.steps:
            raise ValueError(
                f"sample.steps ({self.sample.steps}) is more than diffusion.steps ({self.diffusion.steps})"
            )
        return self

    @model_validator(mode="after")
    def _pictures_come_again(self) -> Recipe:
        if self.train.latents and self.data.views is None:
            raise ValueError(
                "train.latents: no picture comes twice, since every epoch draws other frames, crops and sides; "
                "say in data.views how many views of each sample there shall be"
            )
        return self

    @model_validator(mode="after")
    def _can_be_shown(self) -> Recipe:
        samples = self.train.samples
        if samples.every and self.data.view == "base" and not samples.prompts:
            raise ValueError("train.samples.prompts: what to make videos of?")
        if samples.every and self.data.known == "first" and not self.data.images:
            raise ValueError(
                "train.samples: with data.known=first a video needs a first frame, which the model can draw itself "
                "only if it is trained on single frames too; set data.images, or train.samples.every=0"
            )
        if samples.every and self.data.view != "base" and not self.holds_out:
            raise ValueError(
                f"train.samples: the view {self.data.view} begins with held-out clips; "
                "set data.held_out, or train.held_out.url"
            )
        if samples.every and (samples.steps or 0) > self.diffusion.steps:
            raise ValueError(
                f"train.samples.steps ({samples.steps}) is more than diffusion.steps ({self.diffusion.steps})"
            )
        return self

    @property
    def holds_out(self) -> bool:
        """Whether there is data that is not trained on."""
        return bool(self.data.held_out or self.train.held_out.url)


# What may change between the parts of one run: it moves no number of the training, or only in the last digits.
FREE = (
    "data.url",  # the datasets' hashes say whether it is the same data
    "data.datasets.*.url",
    "data.threads",
    "data.prefetch",
    "data.read",
    "data.max_failures",
    "data.cache_dir",
    "data.cache_bytes",
    "train.out",
    "train.steps",
    "train.accumulate",
    "train.parallel",
    "train.compile",
    "train.recompute",
    "train.latents",
    "train.latents_bytes",
    "train.checkpoint_every",
    "train.keep",
    "train.log_every",
    "train.held_out",
    "train.samples",
    "train.spikes",
    "train.wandb",
    "train.peak_tflops",
    "train.device",
    "sample",
)
