"""The part of a training recipe that says how it is trained, and for how long.

LaVie published none of these values. Those of Latte, by the same group, are named; the others are marked "ours".
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

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
