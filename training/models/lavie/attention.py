"""Attention over time with the ways to tell frames apart, and the sparse one of LaVie's interpolation."""

from __future__ import annotations

import math

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.lavie.pictures import Pictures
from training.recipe_model import Positions

ROTARY_DIMS = 32
"""Dimensions of each head that are rotated (LaVie's released code, attention.py)."""
THETA = 10_000.0
"""Base of the wavelengths (Su et al., arXiv 2104.09864, §3.2.2)."""
BUCKETS = 32
"""Rows of the table of relative positions, half of them for each direction (LaVie's released code)."""
MAX_DISTANCE = 32
"""Frames from which on all distances share a row (LaVie's released code)."""
LARGEST_BATCH = 32_768
"""Sequences in one call of the attention kernel; CUDA's take no more than 65 535, and a large picture has more."""


def rotary(x: Tensor) -> Tensor:
    """Rotate neighbouring pairs of the first dimensions of each head by the position's angles.

    Args:
        x: queries or keys, floating, (..., frames, dim). The position is the place in `frames`.

    Returns:
        The same shape and dtype. Angles and products are fp32, also under autocast.
    """
    dims = min(ROTARY_DIMS, x.shape[-1])
    position = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
    wavelength = THETA ** (torch.arange(0, dims, 2, device=x.device, dtype=torch.float32) / dims)
    angle = position[:, None] / wavelength
    cos, sin = angle.cos(), angle.sin()
    even, odd = x[..., :dims:2].float(), x[..., 1:dims:2].float()
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
    return torch.cat((turned.to(x.dtype), x[..., dims:]), dim=-1)


def places(x: Tensor) -> Tensor:
    """Sines and cosines of each frame's number (Vaswani et al., arXiv 1706.03762, §3.5).

    AnimateDiff (arXiv 2307.04725, §4.2) adds them to what its temporal attention reads, values too. Positions that are
    relative cannot tell frames apart that look alike: their weights sum to one whatever they are.

    Args:
        x: (..., frames, width).

    Returns:
        (frames, width), the dtype of `x`.
    """
    numbers = torch.arange(x.shape[-2], device=x.device)
    return get_timestep_embedding(numbers, x.shape[-1], downscale_freq_shift=0).to(x.dtype)


class RelativeBias(nn.Module):
    """A learned number for each head and distance between frames, added to the logits.

    Raffel et al., arXiv 1910.10683 §2.1, bidirectional. The paper of LaVie does not mention it; its released
    weights hold a table for each block. It starts at zero, which adds nothing (theirs: random).
    """

    def __init__(self, heads: int):
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)
        nn.init.zeros_(self.relative_attention_bias.weight)

    def forward(self, frames: int) -> Tensor:
        """fp32 (1, heads, frames, frames): rows are queries, columns keys."""
        table = self.relative_attention_bias.weight
        place = torch.arange(frames, device=table.device)
        ahead = place[None, :] - place[:, None]
        return F.embedding(_row(ahead), table.float()).permute(2, 0, 1)[None]


def _row(ahead: Tensor) -> Tensor:
    """The row of the table for keys so many frames ahead: one for each distance below 8, then by the logarithm."""
    rows, exact = BUCKETS // 2, BUCKETS // 4
    far = ahead.abs()
    octaves = (far.clamp(min=1) / exact).log() / math.log(MAX_DISTANCE / exact)
    # Only at 16 is this a whole number; the little that is added holds wherever logarithms round.
    wide = (exact + (rows - exact) * octaves + 1e-4).long().clamp(max=rows - 1)
    return torch.where(far < exact, far, wide) + (ahead > 0) * rows


class TemporalAttention(nn.Module):
    """Self-attention along the frames of one place in the picture.

    The output projection starts at zero, weight and bias, so that a new layer adds exactly nothing.
    (LaVie's code zeroes the weight only.)
    """

    def __init__(self, width: int, heads: int, positions: Positions = "rotary_bias"):
        super().__init__()
        self.heads = heads
        self.rotary = positions in ("rotary_bias", "rotary")
        self.sinusoidal = positions == "sinusoidal"
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        out = nn.Linear(width, width)
        nn.init.zeros_(out.weight)
        nn.init.zeros_(out.bias)
        self.to_out = nn.ModuleList([out])  # a list, so that names are those of diffusers' attention
        self.time_rel_pos_bias = RelativeBias(heads) if positions == "rotary_bias" else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, frames, width) to the same shape. Logits and softmax are fp32, also under autocast."""
        if self.sinusoidal:
            x = x + places(x)
        query, key, value = (_heads(layer(x), self.heads).float() for layer in (self.to_q, self.to_k, self.to_v))
        with torch.autocast(x.device.type, enabled=False):
            query = query * query.shape[-1] ** -0.5
            if self.rotary:
                query, key = rotary(query), rotary(key)
            bias = None if self.time_rel_pos_bias is None else self.time_rel_pos_bias(x.shape[1])
            seen = _attend(query, key, value, bias)
        out: Tensor = self.to_out[0](seen.transpose(1, 2).flatten(-2).to(x.dtype))
        return out


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of queries that are scaled already, in as many calls as the kernels need."""
    parts = [
        F.scaled_dot_product_attention(*part, attn_mask=bias, scale=1.0)
        for part in zip(query.split(LARGEST_BATCH), key.split(LARGEST_BATCH), value.split(LARGEST_BATCH))
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def sparse_causal(attention: Attention, x: Tensor, pictures: Pictures) -> Tensor:
    """Each frame looks at the first frame and the one before it (LaVie's released interpolation; Tune-A-Video).

    The first frame sees itself twice, which is plain self-attention; so do single frames.

    Args:
        attention: a spatial self-attention of diffusers, without norms of its own.
        x: (batch * pictures, tokens, width).

    Returns:
        The shape of `x`.
    """

    def of_clips(y: Tensor) -> Tensor:
        first = y[:, :1]
        return torch.cat((first.expand_as(y), torch.cat((first, y[:, :-1]), dim=1)), dim=2)

    def of_images(y: Tensor) -> Tensor:
        return torch.cat((y, y), dim=2)

    def sources(layer: nn.Module) -> Tensor:
        return _heads(pictures.apart(layer(x), of_clips, of_images), attention.heads)

    query = _heads(attention.to_q(x), attention.heads)
    seen = F.scaled_dot_product_attention(query, sources(attention.to_k), sources(attention.to_v))
    out: Tensor = attention.to_out[0](seen.transpose(1, 2).flatten(-2))
    return out
