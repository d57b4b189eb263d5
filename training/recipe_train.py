"""The part of a training recipe that says how it is trained, and for how long.

LaVie published none of these values. Those of Latte, by the same group, are named; the others are marked "ours".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curation.validate import Config
from training.recipe_data import Positive, Share


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
