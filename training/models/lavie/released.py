"""The public checkpoints of LaVie and of Stable Diffusion: what keys they have, and which of our models they are.

Our networks have the same names, so nothing is renamed. Only the frequencies of the rotary positions are no parameters
here: one tensor, which the released code repeats under the path of every temporal attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from curation.errors import UserError
from training.models.lavie.attention import ROTARY_DIMS, THETA
from training.recipe_model import View
from training.weights import listed

_BIAS = ".time_rel_pos_bias.relative_attention_bias.weight"
_FREQUENCIES = ".rotary_emb.freqs"
_SHARED = "temporal_rotary_emb.freqs"  # beside those of the blocks, in super resolution alone

_DRIFT = 1e-3  # relative; a running mean over many steps rounds even what never changes


def view_of(tensors: Mapping[str, Tensor]) -> View | None:
    """Which of LaVie's models these weights are of; None for a 2D model."""
    if any(".attn_temporal." in name for name in tensors):
        return "vsr"
    if any(".attn_temp." in name for name in tensors):
        return "base" if any(name.endswith(_BIAS) for name in tensors) else "interpolation"
    return None


def sizes(tensors: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """Settings of `Model` by the shapes of a UNet of Stable Diffusion's family, as far as shapes tell them.

    How many heads and groups there are is not among them where no table of relative positions is: 8 and 32 in all
    that were published.

    Raises:
        UserError: the keys are those of another network.
    """

    def shape(name: str, axes: int) -> torch.Size:
        found = tensors.get(name)
        if found is None or found.ndim != axes:
            raise UserError(f"{source}: not a UNet of Stable Diffusion's family: it has no {name} of {axes} axes")
        return found.shape

    widths: list[int] = []
    while f"down_blocks.{len(widths)}.resnets.0.conv1.weight" in tensors:
        widths.append(shape(f"down_blocks.{len(widths)}.resnets.0.conv1.weight", 4)[0])
    layers = 0
    while f"down_blocks.0.resnets.{layers}.conv1.weight" in tensors:
        layers += 1
    inner = "mid_block.attentions.0.transformer_blocks.0"
    text_width = shape(f"{inner}.attn2.to_k.weight", 2)[1]
    shape("conv_in.weight", 4)
    if not widths or layers == 0:
        raise UserError(f"{source}: not a UNet of Stable Diffusion's family: it has no down_blocks.0.resnets.0")
    found: dict[str, Any] = {
        "widths": tuple(widths),
        "attention": tuple(
            any(name.startswith(f"down_blocks.{level}.attentions.") for name in tensors) for level in range(len(widths))
        ),
        "layers": layers,
        "text_width": text_width,
    }
    tables = [value for name, value in tensors.items() if name.endswith(_BIAS) and value.ndim == 2]
    return found | ({"heads": tables[0].shape[1]} if tables else {})


def frequencies() -> Tensor:
    """10000^(-2i/32), fp32 (16,), computed as rotary_embedding_torch does, which the released code uses."""
    return 1.0 / (THETA ** (torch.arange(0, ROTARY_DIMS, 2).float() / ROTARY_DIMS))


def without_frequencies(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], int]:
    """The weights without the rotary frequencies, and how many times these were there.

    Raises:
        UserError: they are others than our networks rotate by.
    """
    names = [name for name in tensors if name.endswith(_FREQUENCIES) or name == _SHARED]
    expected = frequencies()
    other = [
        name
        for name in names
        if tensors[name].shape != expected.shape
        or not torch.allclose(tensors[name].float(), expected, rtol=_drift(tensors[name]), atol=0)
    ]
    if other:
        raise UserError(
            f"{source}: {len(other)} rotary frequencies are not 10000^(-2i/{ROTARY_DIMS}) ({listed(other)}); "
            "our networks know no others"
        )
    return {name: value for name, value in tensors.items() if name not in set(names)}, len(names)


def with_frequencies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights as the released code saves them: the frequencies under every path, in the type of the weights."""
    found = dict(tensors)
    for name, value in tensors.items():
        if name.endswith(_BIAS):
            found[name.removesuffix(_BIAS) + _FREQUENCIES] = frequencies().to(value.dtype)
            if ".attn_temporal." in name:
                found[_SHARED] = frequencies().to(value.dtype)
    return found


def _drift(value: Tensor) -> float:
    return max(_DRIFT, 2 * torch.finfo(value.dtype).eps) if value.is_floating_point() else 0.0
