"""A transformer of a diffusers UNet with attention over time in it.

Both classes take the layers of the 2D module over, under the same names.
"""

from __future__ import annotations

from typing import Any

from diffusers.models import Transformer2DModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from training.models.lavie.attention import TemporalAttention, sparse_causal
from training.models.lavie.form import Form
from training.models.lavie.norms import VideoNorm
from training.models.lavie.pictures import Pictures, untouched
from training.models.lavie.temporal_module import TimeResnet


class VideoBlock(nn.Module):
    """Attention in space, to the text and over time, and a feed-forward layer (LaVie §3.2, and its released code).

    The order is space, text, time, feed-forward; time last in the released interpolation. Single frames pass the
    attention over time by (§3.3).
    """

    def __init__(self, block: BasicTransformerBlock, pictures: Pictures, form: Form):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = block.norm1, block.norm2, block.norm3
        self.attn1, self.attn2, self.ff = block.attn1, block.attn2, block.ff
        self.text_alone = bool(block.only_cross_attention)
        self.pictures = pictures
        self.sparse, self.temporal_last, self.suffix = form.sparse, form.temporal_last, form.suffix
        width = block.norm1.normalized_shape[0]
        self.add_module(f"norm_{form.suffix}", nn.LayerNorm(width))
        self.add_module(f"attn_{form.suffix}", TemporalAttention(width, block.attn1.heads, form.positions))

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """(batch * pictures, tokens, width) and (batch, 1 + images, words, width of text) to the shape of `x`."""
        x = x + self._in_space(self.norm1(x), text)
        x = x + self._to_text(self.attn2, self.norm2(x), text)
        if not self.temporal_last:
            x = self._over_time(x)
        x = x + self.ff(self.norm3(x))
        return self._over_time(x) if self.temporal_last else x

    def _in_space(self, x: Tensor, text: Tensor) -> Tensor:
        if self.text_alone:  # the upscaler's fine levels
            return self._to_text(self.attn1, x, text)
        if self.sparse:
            return sparse_causal(self.attn1, x, self.pictures)
        out: Tensor = self.attn1(x)
        return out

    def _to_text(self, attention: nn.Module, x: Tensor, text: Tensor) -> Tensor:
        """All frames of a clip share a caption, so that they are one long row of queries to it."""

        def of_clips(clips: Tensor) -> Tensor:
            rows: Tensor = attention(clips.flatten(1, 2), encoder_hidden_states=text[:, 0])
            return rows.unflatten(1, clips.shape[1:3])

        def of_images(images: Tensor) -> Tensor:
            rows: Tensor = attention(images.flatten(0, 1), encoder_hidden_states=text[:, 1:].flatten(0, 1))
            return rows.unflatten(0, images.shape[:2])

        return self.pictures.apart(x, of_clips, of_images)

    def _over_time(self, x: Tensor) -> Tensor:
        norm, attention = getattr(self, f"norm_{self.suffix}"), getattr(self, f"attn_{self.suffix}")

        def of_clips(clips: Tensor) -> Tensor:
            places = clips.transpose(1, 2)
            moved = attention(norm(places.flatten(0, 1))).unflatten(0, places.shape[:2])
            return clips + moved.transpose(1, 2)

        return self.pictures.apart(x, of_clips, untouched)


class VideoTransformer(nn.Module):
    """A `Transformer2DModel` over pictures, called as diffusers' blocks call theirs."""

    def __init__(self, transformer: Transformer2DModel, pictures: Pictures, form: Form):
        super().__init__()
        if form.fronted:
            width, groups = transformer.norm.num_channels, transformer.norm.num_groups
            self.resblock_temporal: TimeResnet | None = TimeResnet(width, groups, pictures, form, kernel=3)
            # Theirs starts at random; at zero the new model begins as the 2D one.
            for value in self.resblock_temporal.conv2.parameters():
                nn.init.zeros_(value)
        else:
            self.resblock_temporal = None
        self.norm = VideoNorm(transformer.norm, pictures, "frame")  # in the released code too
        self.proj_in, self.proj_out = transformer.proj_in, transformer.proj_out
        self.linear = bool(transformer.use_linear_projection)
        self.transformer_blocks = nn.ModuleList(
            VideoBlock(block, pictures, form) for block in transformer.transformer_blocks
        )

    def forward(self, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> tuple[Tensor]:
        """Pictures to the same shape: (batch * pictures, channels, height, width); text is that of `VideoBlock`."""
        x = hidden_states
        if self.resblock_temporal is not None:
            x = self.resblock_temporal(x)
        residual, (height, width) = x, x.shape[-2:]
        x = self.norm(x)
        if self.linear:
            x = self.proj_in(x.flatten(2).transpose(1, 2))
        else:
            x = self.proj_in(x).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            x = block(x, encoder_hidden_states)
        if self.linear:
            x = self.proj_out(x).transpose(1, 2).unflatten(2, (height, width))
        else:
            x = self.proj_out(x.transpose(1, 2).unflatten(2, (height, width)))
        return (x + residual,)
