"""A diffusers 2D UNet inflated to video: pictures folded into the batch, attention over time added.

Every parameter of the 2D model keeps its name and value; the new ones contain `_temp`. Group norms
see one picture at a time, so at the start the model equals the 2D model on every frame.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models import Transformer2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.models.lavie.temporal import Layout, TemporalBlock
from training.recipe import Model

WEIGHTS = "diffusion_pytorch_model.safetensors"


def image_unet(model: Model, *, channels: int, text_width: int) -> UNet2DConditionModel:
    """A 2D UNet of Stable Diffusion's layout with random weights."""
    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in model.attention]
    up = ["CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(model.attention)]
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(model.widths),
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=model.layers,
        attention_head_dim=model.heads,  # diffusers' name for the number of heads
        norm_num_groups=model.groups,
        cross_attention_dim=text_width,
    )


class VideoUNet(nn.Module):
    """A 2D UNet that is given a clip and single frames together (LaVie §3.3)."""

    def __init__(self, unet: UNet2DConditionModel):
        """Inflate `unet` in place."""
        super().__init__()
        self.unet = unet
        self._layout = Layout()
        for module in list(unet.modules()):
            if isinstance(module, Transformer2DModel):
                block = TemporalBlock(module.inner_dim, module.config.num_attention_heads, self._layout)
                module.transformer_blocks.append(block.to(unet.device, unet.dtype))

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return int(self.unet.config.in_channels)

    @property
    def factor(self) -> int:
        """Height and width of a picture must be multiples of this."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    def forward(self, x: Tensor, timesteps: Tensor, text: Tensor, *, frames: int) -> Tensor:
        """Predict the noise in clips and single frames.

        Args:
            x: (batch, channels, frames + images, height, width), the clip first.
            timesteps: int64 (batch,), shared by the clip and the single frames of a sample.
            text: (batch, 1 + images, tokens, width): the clip's caption, then one for each image.
            frames: how many of the pictures are the clip.

        Returns:
            The shape of `x`.
        """
        batch, pictures = x.shape[0], x.shape[2]
        self._layout.frames, self._layout.images = frames, pictures - frames
        text = torch.cat((text[:, :1].expand(-1, frames, -1, -1), text[:, 1:]), dim=1)
        out = self.unet(
            x.transpose(1, 2).flatten(0, 1),
            timesteps.repeat_interleave(pictures),
            encoder_hidden_states=text.flatten(0, 1),
            return_dict=False,
        )[0]
        folded: Tensor = out.unflatten(0, (batch, pictures))
        return folded.transpose(1, 2)

    def save(self, folder: Path) -> None:
        """Write the 2D model's configuration and all weights."""
        self.unet.save_config(folder)
        save_file({name: value.contiguous() for name, value in self.unet.state_dict().items()}, folder / WEIGHTS)

    @staticmethod
    def load(folder: Path) -> VideoUNet:
        """Read what `save` wrote."""
        model = VideoUNet(UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder)))
        model.unet.load_state_dict(load_file(folder / WEIGHTS))
        return model
