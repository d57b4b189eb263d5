"""The configuration of a training run: what to read, what to train, how, and for how long.

Defaults are the published values of LaVie's base model (arXiv 2309.15103 and its released
inference code). Values that its authors did not publish are marked "ours".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from curation.validate import Config
from training.recipe_data import Data, Positive, Share

__all__ = ["Data", "Diffusion", "FREE", "Model", "Optimiser", "Positive", "Recipe", "Sample", "Share", "Train"]


class Model(Config):
    """A 2D UNet of the Stable Diffusion family, inflated to frames."""

    unet: str | None = None
    """Folder of a diffusers UNet2DConditionModel to start from; random weights unless given."""
    widths: tuple[Positive, ...] = (320, 640, 1280, 1280)
    """Channels of each resolution, from fine to coarse; not used with `unet`."""
    attention: tuple[bool, ...] = (True, True, True, False)
    """Which resolutions have attention, in space and in time; not used with `unet`."""
    layers: Positive = 2
    """Residual blocks at each resolution of the way down; not used with `unet`."""
    heads: Positive = 8
    """Attention heads; not used with `unet`."""
    groups: Positive = 32
    """Groups of the group norms; not used with `unet`."""
    vae: str | None = None
    """Folder of a diffusers AutoencoderKL; the model works on pixels unless given."""
    text: str | None = None
    """Folder of a CLIP text model with its tokenizer, kept frozen.

    Unless given, a small CLIP text model that reads bytes is trained along."""
    text_width: Positive = 768
    """Channels of the text model that is trained along; not used with `text`."""
    text_layers: Positive = 12
    """Layers of the text model that is trained along; not used with `text`."""
    text_length: Annotated[int, Field(ge=3)] = 77
    """Tokens that the text model reads, with its begin and end marks; not used with `text`."""

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if len(self.attention) != len(self.widths):
            raise ValueError(f"attention has {len(self.attention)} entries and widths has {len(self.widths)}")
        if not any(self.attention):
            raise ValueError("attention needs at least one true")
        for width in self.widths:
            if width % self.groups or width % self.heads:
                raise ValueError(f"width {width} is not a multiple of heads ({self.heads}) and groups ({self.groups})")
        if self.text_width % self.heads:
            raise ValueError(f"text_width {self.text_width} is not a multiple of heads ({self.heads})")
        return self


class Diffusion(Config):
    """The noise schedule. `linear` is what diffusers calls linear, as in LaVie's released configuration."""

    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Variance of the noise that the first step adds."""
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """Variance of the noise that the last step adds."""
    schedule: Literal["linear", "scaled_linear"] = "linear"
    """How the variances lie between the two, by diffusers' names."""
    steps: Annotated[int, Field(ge=2)] = 1000
    """Steps from a clean clip to noise."""
    prediction: Literal["epsilon", "v_prediction"] = "epsilon"
    """What the model predicts: the noise (LaVie's base), or the velocity of Salimans and Ho (arXiv 2202.00512)."""


class Optimiser(Config):
    """AdamW. LaVie published none of these; learning rate and decay follow Latte, of the same group."""

    lr: Annotated[float, Field(gt=0)] = 1e-4
    """Learning rate after the warm-up."""
    warmup: Annotated[int, Field(ge=0)] = 1000
    """Steps over which the learning rate rises from zero; ours."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Decay of the two running means."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient; ours."""


class Train(Config):
    """How long to train, and what to leave behind."""

    out: str = "runs/base"
    """Folder of the run: checkpoints, metrics.jsonl and, at the end, model/."""
    steps: Positive = 100_000
    """Optimiser steps; ours."""
    batch: Positive = 8
    """Clips in one step; ours."""
    image_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss on single frames (alpha in LaVie §3.3; the value is ours)."""
    text_dropout: Share = 0.1
    """Share of captions that are replaced by the empty one, for classifier-free guidance."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """Decay of the running mean of the weights, which is what sampling uses (value of Latte)."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything random: order, views, noise, first weights."""
    checkpoint_every: Positive = 1000
    """Steps between checkpoints."""
    keep: Positive = 3
    """Checkpoints that are kept, the newest ones."""
    log_every: Positive = 10
    """Steps between lines of metrics.jsonl."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""


class Sample(Config):
    """Defaults of `reelmill sample` for the model that is trained."""

    steps: Positive = 50
    """Steps of DDIM."""
    guidance: Annotated[float, Field(ge=0)] = 7.5
    """Scale of classifier-free guidance; 1 turns it off."""


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

    @model_validator(mode="after")
    def _steps_fit(self) -> Recipe:
        if self.sample.steps > self.diffusion.steps:
            raise ValueError(
                f"sample.steps ({self.sample.steps}) is more than diffusion.steps ({self.diffusion.steps})"
            )
        return self


# What may change between the parts of one run: it moves no number of the training.
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
    "train.checkpoint_every",
    "train.keep",
    "train.log_every",
    "train.device",
    "sample",
)
