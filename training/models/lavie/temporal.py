"""Attention over time with rotary positions, as LaVie adds it to every spatial block (§3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROTARY_DIMS = 32
"""Dimensions of each head that are rotated (LaVie's released code, attention.py)."""
THETA = 10_000.0
"""Base of the wavelengths (Su et al., arXiv 2104.09864, §3.2.2)."""


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


class TemporalAttention(nn.Module):
    """Self-attention along the frames of one place in the picture.

    The output projection starts at zero, weight and bias, so that a new layer adds exactly nothing.
    (LaVie's code zeroes the weight only.)
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        out = nn.Linear(width, width)
        nn.init.zeros_(out.weight)
        nn.init.zeros_(out.bias)
        self.to_out = nn.ModuleList([out])  # a list, so that names are those of diffusers' attention

    def forward(self, x: Tensor) -> Tensor:
        """(n, frames, width) to the same shape."""

        def split(y: Tensor) -> Tensor:
            return y.view(*y.shape[:-1], self.heads, -1).transpose(1, 2)

        query, key, value = rotary(split(self.to_q(x))), rotary(split(self.to_k(x))), split(self.to_v(x))
        out: Tensor = self.to_out[0](F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(-2))
        return out


@dataclass
class Layout:
    """How the pictures of one call lie on the folded batch axis: per sample a clip, then single frames."""

    frames: int = 1
    images: int = 0


class TemporalBlock(nn.Module):
    """Attention over the clip's frames, with a residual; single frames pass by untouched (§3.3).

    It stands in a diffusers `Transformer2DModel` behind the spatial block, and so takes the
    arguments of one and uses only the first.
    """

    def __init__(self, width: int, heads: int, layout: Layout):
        super().__init__()
        self.layout = layout
        self.norm_temp = nn.LayerNorm(width)
        self.attn_temp = TemporalAttention(width, heads)

    def forward(self, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        """(batch * pictures, tokens, width) to the same shape."""
        frames = self.layout.frames
        x = hidden_states.unflatten(0, (-1, frames + self.layout.images))
        clip, images = x[:, :frames], x[:, frames:]
        tokens = clip.shape[2]
        along_time = clip.transpose(1, 2).flatten(0, 1)
        moved = self.attn_temp(self.norm_temp(along_time)).unflatten(0, (-1, tokens)).transpose(1, 2)
        return torch.cat((clip + moved, images), dim=1).flatten(0, 1)
