"""The key layouts of the public checkpoints, by rules of their own: names and shapes, at any width.

Written from the module definitions of the published inference code (Vchitect/LaVie, base/, interpolation/ and vsr/)
and of Stable Diffusion's UNet, not from our models, so that a test that loads them holds one against the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """What of a UNet of Stable Diffusion's family is not the same in all of them."""

    widths: tuple[int, ...] = (64, 128)
    attention: tuple[bool, ...] = (True, False)
    only_text: tuple[bool, ...] = (False, False)
    """Where the first attention of a block looks at the text as well."""
    channels: tuple[int, int] = (4, 4)
    text: int = 48
    heads: int = 2
    linear: bool = False
    """Whether transformers project by matrices, not by 1x1 convolutions."""
    noise_levels: int = 0


BASE = Size()
INTERPOLATION = Size(channels=(8, 4))
VSR = Size((64, 128), (True, True), (True, False), (7, 4), linear=True, noise_levels=1000)
PUBLISHED_BASE = Size((320, 640, 1280, 1280), (True,) * 3 + (False,), (False,) * 4, text=768, heads=8)
PUBLISHED_INTERPOLATION = replace(PUBLISHED_BASE, channels=(8, 4))
PUBLISHED_VSR = Size(
    (256, 512, 512, 1024), (False, True, True, True), (True, True, True, False), (7, 4), 1024, 8, True, 1000
)

Extra = Callable[[str, int], Shapes]


def affine(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def layer(name: str, out: int, into: int, *kernel: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into, *kernel)} | ({f"{name}.bias": (out,)} if bias else {})


def attention(name: str, width: int, context: int) -> Shapes:
    found = layer(f"{name}.to_q", width, width, bias=False)
    found |= layer(f"{name}.to_k", width, context, bias=False) | layer(f"{name}.to_v", width, context, bias=False)
    return found | layer(f"{name}.to_out.0", width, width)


def residual(name: str, into: int, out: int, time: int | None, first: tuple = (3, 3), second: tuple = (3, 3)) -> Shapes:
    found = affine(f"{name}.norm1", into) | layer(f"{name}.conv1", out, into, *first)
    found |= layer(f"{name}.time_emb_proj", out, time) if time else {}
    found |= affine(f"{name}.norm2", out) | layer(f"{name}.conv2", out, out, *second)
    return found | (layer(f"{name}.conv_shortcut", out, into, 1, 1) if into != out else {})


def transformer(name: str, width: int, size: Size, only_text: bool, block: Extra, around: Extra) -> Shapes:
    kernel = () if size.linear else (1, 1)
    inner = f"{name}.transformer_blocks.0"
    found = affine(f"{name}.norm", width) | layer(f"{name}.proj_in", width, width, *kernel)
    found |= attention(f"{inner}.attn1", width, size.text if only_text else width)
    found |= attention(f"{inner}.attn2", width, size.text)
    for number in (1, 2, 3):
        found |= affine(f"{inner}.norm{number}", width)
    found |= layer(f"{inner}.ff.net.0.proj", 8 * width, width) | layer(f"{inner}.ff.net.2", width, 4 * width)
    return found | layer(f"{name}.proj_out", width, width, *kernel) | block(inner, width) | around(name, width)


def nothing(name: str, width: int) -> Shapes:
    return {}


def image(size: Size, block: Extra = nothing, around: Extra = nothing) -> Shapes:
    """A 2D UNet; `block` and `around` add to its transformer blocks and its transformers."""
    widths, time, last = size.widths, 4 * size.widths[0], len(size.widths) - 1
    found = layer("conv_in", widths[0], size.channels[0], 3, 3)
    found |= layer("time_embedding.linear_1", time, widths[0]) | layer("time_embedding.linear_2", time, time)
    if size.noise_levels:
        found["class_embedding.weight"] = (size.noise_levels, time)
    for level, width in enumerate(widths):
        name, into = f"down_blocks.{level}", widths[max(0, level - 1)]
        for number in (0, 1):
            found |= residual(f"{name}.resnets.{number}", into if number == 0 else width, width, time)
            if size.attention[level]:
                found |= transformer(f"{name}.attentions.{number}", width, size, size.only_text[level], block, around)
        if level < last:
            found |= layer(f"{name}.downsamplers.0.conv", width, width, 3, 3)
    for number in (0, 1):
        found |= residual(f"mid_block.resnets.{number}", widths[-1], widths[-1], time)
    found |= transformer("mid_block.attentions.0", widths[-1], size, False, block, around)
    before = widths[-1]
    for up, level in enumerate(range(last, -1, -1)):
        name, width, finer = f"up_blocks.{up}", widths[level], widths[max(0, level - 1)]
        for number in (0, 1, 2):
            skipped = finer if number == 2 else width
            found |= residual(f"{name}.resnets.{number}", (before if number == 0 else width) + skipped, width, time)
            if size.attention[level]:
                found |= transformer(f"{name}.attentions.{number}", width, size, size.only_text[level], block, around)
        if level:
            found |= layer(f"{name}.upsamplers.0.conv", width, width, 3, 3)
        before = width
    return found | affine("conv_norm_out", widths[0]) | layer("conv_out", size.channels[1], widths[0], 3, 3)


def over_time(kind: str, heads: int, positions: bool) -> Extra:
    """attn_KIND and norm_KIND of a transformer block, with the shared frequencies repeated under every path."""

    def block(name: str, width: int) -> Shapes:
        found = attention(f"{name}.attn_{kind}", width, width) | affine(f"{name}.norm_{kind}", width)
        if positions:
            found[f"{name}.attn_{kind}.time_rel_pos_bias.relative_attention_bias.weight"] = (32, heads)
            found[f"{name}.attn_{kind}.rotary_emb.freqs"] = (16,)
        return found

    return block


def base(size: Size = BASE) -> Shapes:
    """lavie_base.pt"""
    return image(size, over_time("temp", size.heads, positions=True))


def interpolation(size: Size = INTERPOLATION) -> Shapes:
    """lavie_interpolation.pt"""
    return image(size, over_time("temp", size.heads, positions=False))


def vsr(size: Size = VSR) -> Shapes:
    """lavie_vsr.pt"""

    def around(name: str, width: int) -> Shapes:
        return residual(f"{name}.resblock_temporal", width, width, None, (3, 1, 1), (3, 1, 1))

    found = image(size, over_time("temporal", size.heads, positions=True), around)
    found["temporal_rotary_emb.freqs"] = (16,)
    count, time = len(size.widths), 4 * size.widths[0]
    places = [(f"down_temporal_blocks.{level}", width) for level, width in enumerate(size.widths)]
    places += [("mid_temporal_block", size.widths[-1])]
    places += [(f"up_temporal_blocks.{count - 1 - level}", width) for level, width in enumerate(size.widths)]
    for name, width in places:
        found |= residual(f"{name}.resblocks_3d_t", width, width, time, (5, 1, 1), (3, 1, 1))
        found |= residual(f"{name}.resblocks_3d_s", width, width, time)
        found |= layer(f"{name}.shift_conv", width, width, 1, 1)
    return found


def filled(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Random tensors of these shapes, small enough that a network of them gives finite numbers."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator).mul(0.05).to(dtype) for name, shape in sorted(shapes.items())
    }
    for name in tensors:
        if name.endswith("freqs"):
            tensors[name] = (1.0 / (10000 ** (torch.arange(0, 32, 2).float() / 32))).to(dtype)
    return tensors
