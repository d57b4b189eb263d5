"""Which parameters learn: all, all but some patterns, or small adapters beside frozen ones."""

from __future__ import annotations

import fnmatch
from typing import Any

from torch import nn

from curation.errors import UserError
from training.models.lavie.stage import Stage
from training.recipe import Lora, Train


def choose(stage: Stage, settings: Train) -> None:
    """Freeze what the recipe says, or everything but adapters that are added.

    Raises:
        UserError: a pattern fits no parameter, or nothing is left to learn.
    """
    for pattern in settings.frozen:
        fitting = [value for name, value in stage.named_parameters() if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
            raise UserError(f"train.frozen: no parameter fits {pattern!r}; they have names such as {_some(stage)}")
        for value in fitting:
            value.requires_grad_(False)
    if settings.lora:
        _adapt(stage, settings.lora)
    if not stage.trained():
        raise UserError("train.frozen: nothing is left to learn")


def _adapt(stage: Stage, lora: Lora) -> None:
    """Put low-rank adapters (Hu et al., arXiv 2106.09685) beside linear layers; only they learn."""
    from peft import LoraConfig, inject_adapter_in_model

    stage.requires_grad_(False)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.rank if lora.alpha is None else lora.alpha, target_modules=list(lora.targets)
    )
    try:
        inject_adapter_in_model(config, stage.unet)
    except ValueError as error:
        raise UserError(f"train.lora: {' '.join(str(error).split())[:200]}") from error


def merge(stage: Stage) -> None:
    """Add what adapters have learnt to the layers that they stand beside, and take them away."""
    for name, module in list(stage.named_modules()):
        if hasattr(module, "get_base_layer") and hasattr(module, "merge"):
            adapted: Any = module
            adapted.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(stage.get_submodule(parent), last, adapted.get_base_layer())


def _some(module: nn.Module) -> str:
    names = [name for name, _ in module.named_parameters()]
    return ", ".join(names[:: max(1, len(names) // 3)][:3])
