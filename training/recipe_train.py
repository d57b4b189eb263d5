"""The part of a training recipe that says how it is trained, and for how long.

LaVie published none of these values. Those of Latte, by the same group, are named; the others are marked "ours".
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Union

from pydantic import Field, model_validator

from curation.validate import Config
from training.recipe_data import Positive, Share
from training.recipe_seen import HeldOut, Samples, Spikes


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

    schedule: Literal["constant", "cosine"] = "constant"
    """What the learning rate does after the warm-up: stay, or fall along half a cosine."""
    decay: Union[Positive, None] = None
    """The step at which a `cosine` has fallen to zero. It is not `train.steps`, which may grow while a run goes on."""

    @model_validator(mode="after")
    def _falls(self) -> Optimiser:
        if (self.schedule == "cosine") != (self.decay is not None):
            raise ValueError("decay: needed for the schedule cosine, and for no other")
        if self.decay is not None and self.decay <= self.warmup:
            raise ValueError(f"decay ({self.decay}) must be more than warmup ({self.warmup})")
        return self

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay is None:
            return self.lr
        done = min(1.0, (step - self.warmup) / (self.decay - self.warmup))
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


class Lora(Config):
    """Low-rank adapters (arXiv 2106.09685) that learn while everything else is frozen."""

    rank: Positive = 16
    """Of the matrices that are added; ours."""
    alpha: Union[Positive, None] = None
    """What is added is scaled by alpha / rank; alpha is rank unless given."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("to_q", "to_k", "to_v", "to_out.0")
    """Ends of the names of the layers of the network that get one; unless given all projections of its attention."""


class Train(Config):
    """How long to train, how the work is spread, and what to leave behind."""

    out: str = "runs/base"
    """Folder of the run: checkpoints, metrics.jsonl and, at the end, model/."""
    steps: Positive = 100_000
    """Optimiser steps; ours."""
    batch: Positive = 8
    """Clips in one step, over all processes and parts; ours."""
    accumulate: Positive = 1
    """Parts that each process cuts its share of a batch into, one after another: memory for time, the same step."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What several processes do: each holds the whole model (ddp), or a shard of every parameter (fsdp: FSDP2)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """What is multiplied in; parameters, running mean, optimiser, norms and losses are fp32 in any case."""
    compile: bool = False
    """Compile the network, block by block."""
    recompute: bool = False
    """Compute the inside of each block again on the way back in place of keeping it (activation checkpointing)."""
    frozen: tuple[str, ...] = ()
    """Parameters that do not learn: patterns of their names, such as unet.*.attn1.*"""
    lora: Union[Lora, None] = None
    """Train adapters alone; `model/` gets them merged."""
    latents: Union[str, None] = None
    """Folder that keeps what the VAE makes of pictures, for those that come again; wants `data.views`."""
    latents_bytes: Positive = 200_000_000_000
    """The most that the folder may hold; when it is full, nothing more is kept."""
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
    held_out: HeldOut = HeldOut()
    """The loss on samples that are not trained on, by the noise level."""
    samples: Samples = Samples()
    """Videos that the model makes while it is trained."""
    spikes: Spikes = Spikes()
    """What happens when the loss jumps."""
    wandb: Union[str, None] = None
    """Project of Weights & Biases that gets what TensorBoard gets; it takes the key from its usual places."""
    peak_tflops: Annotated[Union[float, None], Field(gt=0)] = None
    """What the device can do at most in the precision of the run, in 10^12 operations a second, for MFU; of the GPUs
    in `engine.flops.PEAKS` it is known."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
