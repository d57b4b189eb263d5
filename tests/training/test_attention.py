"""Attention over time, its convolutions and group norms against float64 references that are written here."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F

from training.models.lavie import attention
from training.models.lavie.attention import RelativeBias, TemporalAttention, rotary, sparse_causal
from training.models.lavie.form import Form
from training.models.lavie.norms import VideoNorm
from training.models.lavie.pictures import Pictures
from training.models.lavie.temporal_module import TemporalModule3D


def turned(x: torch.Tensor) -> torch.Tensor:
    """(frames, dim) with pairs of the first 32 dimensions turned, as complex numbers."""
    x, dims = x.double().clone(), min(32, x.shape[-1])
    pairs = torch.view_as_complex(x[:, :dims].reshape(len(x), -1, 2).contiguous())
    angles = [[p * 10_000.0 ** (-2 * i / dims) for i in range(dims // 2)] for p in range(len(x))]
    x[:, :dims] = torch.view_as_real(pairs * torch.exp(1j * torch.tensor(angles, dtype=torch.float64))).flatten(1)
    return x


def bucket(ahead: int) -> int:
    """The row of T5's table for a key that is so many frames ahead (arXiv 1910.10683 §2.1; 32 rows, up to 32)."""
    far = abs(ahead)
    row = far if far < 8 else min(15, 8 + math.floor(8 * math.log(far / 8) / math.log(32 / 8)))
    return row + (16 if ahead > 0 else 0)


def numbered(frames: int, width: int) -> torch.Tensor:
    """Sines, then cosines, of the frames' numbers (arXiv 1706.03762 §3.5), float64 (frames, width)."""
    angles = [[p * 10_000.0 ** (-2 * i / width) for i in range(width // 2)] for p in range(frames)]
    turns = torch.tensor(angles, dtype=torch.float64)
    return torch.cat((turns.sin(), turns.cos()), dim=1)


def reference(layer: TemporalAttention, x: torch.Tensor, *, rotates: bool, biased: bool) -> torch.Tensor:
    """One sequence (frames, width) through the layer, head by head, all in float64."""
    x = x.double()
    q, k, v = (x @ linear.weight.double().T for linear in (layer.to_q, layer.to_k, layer.to_v))
    width = x.shape[1] // layer.heads
    seen = []
    for head in range(layer.heads):
        at = slice(head * width, (head + 1) * width)
        query, key = q[:, at] * width**-0.5, k[:, at]
        if rotates:
            query, key = turned(query), turned(key)
        logits = query @ key.T
        if biased:
            table = layer.time_rel_pos_bias.relative_attention_bias.weight.double()
            logits = logits + torch.tensor(
                [[table[bucket(j - i), head].item() for j in range(len(x))] for i in range(len(x))]
            )
        seen.append(torch.softmax(logits, dim=1) @ v[:, at])
    out = layer.to_out[0]
    return torch.cat(seen, dim=1) @ out.weight.double().T + out.bias.double()


def awake(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for value in layer.parameters():
        nn.init.normal_(value, std=0.2)
    return layer


@pytest.mark.parametrize("width", [8, 32, 40])
def test_rotation_is_that_of_complex_numbers(width: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, width)
    expected = torch.stack([torch.stack([turned(head) for head in sample]) for sample in x])
    torch.testing.assert_close(rotary(x).double(), expected, rtol=0, atol=1e-5)
    assert rotary(x.bfloat16()).dtype == torch.bfloat16


@torch.no_grad()
def test_the_bias_of_each_distance_is_its_row_of_the_table() -> None:
    layer = awake(RelativeBias(3))
    table, frames = layer.relative_attention_bias.weight, 61
    expected = [[table[bucket(key - query)].tolist() for key in range(frames)] for query in range(frames)]
    torch.testing.assert_close(layer(frames)[0], torch.tensor(expected).permute(2, 0, 1), rtol=0, atol=0)
    assert len({bucket(distance) for distance in range(-61, 62)}) == 31  # of 32: nothing is 0 frames ahead


@torch.no_grad()
@pytest.mark.parametrize("positions", ["rotary_bias", "rotary", "sinusoidal", "none"])
@pytest.mark.parametrize(("frames", "width", "heads"), [(1, 16, 2), (16, 80, 2), (61, 16, 2)])
def test_attention_over_time_is_that_of_the_reference(frames: int, width: int, heads: int, positions: str) -> None:
    layer = awake(TemporalAttention(width, heads, positions))
    x = torch.randn(3, frames, width)
    rotates, biased = positions in ("rotary_bias", "rotary"), positions == "rotary_bias"
    read = x + numbered(frames, width) if positions == "sinusoidal" else x
    expected = torch.stack([reference(layer, sequence, rotates=rotates, biased=biased) for sequence in read])
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("positions", ["rotary_bias", "rotary", "sinusoidal", "none"])
def test_only_positions_that_are_not_relative_tell_frames_apart_that_are_alike(positions: str) -> None:
    layer = awake(TemporalAttention(16, 2, positions))
    out = layer(torch.randn(1, 1, 16).expand(1, 5, 16))
    apart = (out - out[:, :1]).abs().amax(-1)[0, 1:]
    assert (apart > 1e-3).all() if positions == "sinusoidal" else (apart < 1e-5).all()


@torch.no_grad()
def test_logits_are_fp32_under_autocast() -> None:
    """Biases near 100 that differ by a quarter: in bf16 they would be the same number."""
    layer = awake(TemporalAttention(16, 2))
    layer.to_q.weight.zero_()
    layer.time_rel_pos_bias.relative_attention_bias.weight.copy_(100 + torch.arange(64).view(32, 2) % 7 / 4)
    x = torch.randn(1, 9, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x)
    expected = reference(layer, x[0], rotates=True, biased=True)
    torch.testing.assert_close(out[0].double(), expected, rtol=0.02, atol=0.02)


@torch.no_grad()
def test_more_sequences_than_a_kernel_takes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = awake(TemporalAttention(16, 2)), torch.randn(11, 4, 16)
    expected = layer(x)
    monkeypatch.setattr(attention, "LARGEST_BATCH", 4)
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
def test_sparse_attention_sees_the_first_frame_and_the_one_before() -> None:
    layer = awake(Attention(query_dim=16, heads=2, dim_head=8))
    x = torch.randn(2, 4 + 1, 6, 16)  # of each sample four frames and an image
    sources = [[0, 0], [0, 0], [0, 1], [0, 2], [4, 4]]
    out = sparse_causal(layer, x.flatten(0, 1), Pictures(4, 1)).unflatten(0, (2, 5))
    weights = [linear.weight.double() for linear in (layer.to_q, layer.to_k, layer.to_v, layer.to_out[0])]
    for picture, seen in enumerate(sources):
        query = x[:, picture].double() @ weights[0].T
        tokens = torch.cat([x[:, source] for source in seen], dim=1).double()
        heads = []
        for at in (slice(0, 8), slice(8, 16)):
            key, value = (tokens @ weights[1].T)[..., at], (tokens @ weights[2].T)[..., at]
            heads.append(torch.softmax(query[..., at] @ key.transpose(1, 2) * 8**-0.5, dim=-1) @ value)
        expected = torch.cat(heads, dim=-1) @ weights[3].T + layer.to_out[0].bias.double()
        torch.testing.assert_close(out[:, picture].double(), expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("scope", "together"),
    [("frame", [[0], [1], [2], [3], [4]]), ("clip", [[0, 1, 2], [3], [4]]), ("all", [[*range(5)]])],
)
def test_group_norms_pool_over_what_their_scope_says(scope: str, together: list[list[int]]) -> None:
    torch.manual_seed(0)
    norm = VideoNorm(awake(nn.GroupNorm(4, 8, eps=1e-3)), Pictures(3, 2), scope)
    x = 50 + torch.randn(2, 5, 8, 6, 4)
    x = (x * torch.arange(1, 6).view(1, 5, 1, 1, 1)).bfloat16()
    out = norm(x.flatten(0, 1)).unflatten(0, (2, 5))
    assert out.dtype == torch.bfloat16
    for pictures in together:
        groups = x[:, pictures].double().unflatten(2, (4, 2))
        mean = groups.mean(dim=(1, 3, 4, 5), keepdim=True)
        variance = groups.var(dim=(1, 3, 4, 5), keepdim=True, unbiased=False)
        plain = ((groups - mean) / (variance + 1e-3).sqrt()).flatten(2, 3)
        expected = plain * norm.weight.double().view(8, 1, 1) + norm.bias.double().view(8, 1, 1)
        torch.testing.assert_close(out[:, pictures].double(), expected, rtol=0.01, atol=0.01)


@torch.no_grad()
def test_a_temporal_module_is_that_of_the_reference() -> None:
    """On (batch, channels, frames, height, width), with norms over all frames, as the released code computes it."""
    pictures = Pictures(4, 1)
    module = awake(TemporalModule3D(8, 4, 6, Form(view="vsr", norm="clip"), pictures))
    x, time = torch.randn(2, 5, 8, 6, 4), torch.randn(2, 6)
    out = module(x.flatten(0, 1), time.repeat_interleave(5, dim=0)).unflatten(0, (2, 5))
    assert torch.equal(out[:, 4], x[:, 4])  # the single frame
    weights = {name: value.double() for name, value in module.state_dict().items()}

    def residual(y: torch.Tensor, name: str, kernels: tuple[tuple[int, ...], ...]) -> torch.Tensor:
        z = y
        for number, kernel in enumerate(kernels, start=1):
            z = F.group_norm(z, 4, weights[f"{name}.norm{number}.weight"], weights[f"{name}.norm{number}.bias"], 1e-6)
            weight = weights[f"{name}.conv{number}.weight"].reshape(8, 8, *kernel)
            padding = tuple(side // 2 for side in kernel)
            z = F.conv3d(F.silu(z), weight, weights[f"{name}.conv{number}.bias"], padding=padding)
            if number == 1:
                step = F.silu(time.double()) @ weights[f"{name}.time_emb_proj.weight"].T
                z = z + (step + weights[f"{name}.time_emb_proj.bias"])[:, :, None, None, None]
        return y + z

    clip = x[:, :4].transpose(1, 2).double()
    moved = residual(clip, "resblocks_3d_t", ((5, 1, 1), (3, 1, 1)))
    moved = residual(moved, "resblocks_3d_s", ((1, 3, 3), (1, 3, 3)))
    shift = F.conv3d(moved, weights["shift_conv.weight"][:, :, None], weights["shift_conv.bias"])
    torch.testing.assert_close(out[:, :4].transpose(1, 2).double(), clip + shift, rtol=1e-3, atol=1e-4)
