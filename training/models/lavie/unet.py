"""A diffusers 2D UNet inflated to video: pictures folded into the batch, layers over time added.

Every parameter of the 2D model keeps its name; the new ones contain `temp`. Names are those of LaVie's public
checkpoints, so that converting them renames nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models import Transformer2DModel
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from curation.validate import parse
from training.models.lavie.blocks import VideoTransformer
from training.models.lavie.form import Form
from training.models.lavie.norms import VideoNorm
from training.models.lavie.pictures import Pictures
from training.models.lavie.temporal_module import TemporalModule3D
from training.recipe_model import Model, View

WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = "config.json"
_LARGEST_CONFIG = 1_000_000
_MOST_LAYERS = 32
_PARTS = {
    *("conv_in", "time_proj", "time_embedding", "class_embedding", "down_blocks", "mid_block", "up_blocks"),
    *("conv_norm_out", "conv_act", "conv_out"),
}


def image_unet(model: Model, *, channels: int, text_width: int, view: View = "base") -> UNet2DConditionModel:
    """A 2D UNet with random weights: of Stable Diffusion 1's layout, or for `vsr` of its x4 upscaler's.

    Its input has `channels`, for `vsr` three more.
    """
    down = ["CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in model.attention]
    up = ["CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(model.attention)]
    upscaler: dict[str, Any] = {
        "use_linear_projection": True,
        "only_cross_attention": tuple(level < len(model.widths) - 1 for level in range(len(model.widths))),
        "num_class_embeds": 1000,
    }
    return UNet2DConditionModel(
        in_channels=channels + (3 if view == "vsr" else 0),
        out_channels=channels,
        block_out_channels=tuple(model.widths),
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        layers_per_block=model.layers,
        attention_head_dim=model.heads,  # diffusers' name for the number of heads
        norm_num_groups=model.groups,
        cross_attention_dim=text_width,
        **(upscaler if view == "vsr" else {}),
    )


class VideoUNet(nn.Module):
    """A 2D UNet that is given a clip and single frames together (LaVie §3.3)."""

    def __init__(self, unet: UNet2DConditionModel, form: Form | None = None):
        """Take the layers of `unet` over; they are changed in place.

        Raises:
            ValueError: it has parts that a video UNet does not know.
        """
        super().__init__()
        self.form = form = form or Form()
        self.pictures = Pictures()
        unknown = {name for name, _ in unet.named_children()} - _PARTS
        if unknown:
            raise ValueError(f"a UNet with {', '.join(sorted(unknown))} cannot be inflated")
        self.conv_in = unet.conv_in
        self.time_proj: nn.Module = unet.time_proj
        self.time_embedding = unet.time_embedding
        self.class_embedding: nn.Module | None = unet.class_embedding
        self.down_blocks: nn.ModuleList = unet.down_blocks
        self.mid_block: nn.Module = unet.mid_block
        self.up_blocks: nn.ModuleList = unet.up_blocks
        self.conv_norm_out, self.conv_act, self.conv_out = unet.conv_norm_out, unet.conv_act, unet.conv_out
        self.config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
        self._inflate()
        if form.view == "vsr":
            if self.class_embedding is None:
                raise ValueError(
                    "a UNet for super resolution needs an embedding of the noise level, as the x4 upscaler"
                )
            self._add_temporal_modules()
        self._widen(self.channels + form.condition_channels(self.channels))

    def _inflate(self) -> None:
        """Put layers that know clips in the place of those of the 2D model."""

        def replace(module: nn.Module) -> None:
            for name, child in list(module.named_children()):
                if isinstance(child, Transformer2DModel):
                    module.add_module(name, VideoTransformer(child, self.pictures, self.form))
                elif type(child) is nn.GroupNorm:
                    module.add_module(name, VideoNorm(child, self.pictures, self.form.norm))
                else:
                    replace(child)

        replace(self)

    def _add_temporal_modules(self) -> None:
        widths, groups = tuple(self.config["block_out_channels"]), int(self.config["norm_num_groups"])
        time_width = int(self.time_embedding.linear_2.out_features)

        def module(width: int) -> TemporalModule3D:
            return TemporalModule3D(width, groups, time_width, self.form, self.pictures)

        self.down_temporal_blocks = nn.ModuleList(module(width) for width in widths)
        self.mid_temporal_block = module(widths[-1])
        self.up_temporal_blocks = nn.ModuleList(module(width) for width in reversed(widths))

    def _widen(self, wanted: int) -> None:
        """Give the first convolution more input channels, whose weights are zero."""
        old: Any = self.conv_in
        if old.in_channels == wanted:
            return
        if old.in_channels != self.channels:
            raise ValueError(f"its first convolution takes {old.in_channels} channels, not {wanted}")
        new = nn.Conv2d(wanted, old.out_channels, old.kernel_size, padding=old.padding, device=old.weight.device)
        with torch.no_grad():
            new.weight.zero_()
            new.weight[:, : old.in_channels] = old.weight
            new.bias = old.bias
        self.conv_in = new.to(old.weight.dtype)
        self.config["in_channels"] = wanted

    @property
    def channels(self) -> int:
        """Channels of a picture, without those of conditions."""
        return int(self.config["out_channels"])

    @property
    def text_width(self) -> int:
        """Channels of the text embedding."""
        return int(self.config["cross_attention_dim"])

    @property
    def factor(self) -> int:
        """Height and width of a picture should be multiples of this."""
        return int(2 ** (len(self.config["block_out_channels"]) - 1))

    def freeze_spatial(self) -> None:
        """Leave only layers over time to learn."""
        for name, value in self.named_parameters():
            value.requires_grad_(f"_{self.form.suffix}" in name)

    def blocks(self) -> list[nn.Module]:
        """The repeated units, none of them inside another: to compile, to checkpoint, to shard."""
        kinds = (ResnetBlock2D, VideoTransformer, TemporalModule3D)
        found: list[nn.Module] = []

        def walk(module: nn.Module) -> None:
            for child in module.children():
                if isinstance(child, kinds):
                    found.append(child)
                else:
                    walk(child)

        walk(self)
        return found

    def forward(
        self, x: Tensor, timesteps: Tensor, text: Tensor, *, frames: int, noise_level: Tensor | None = None
    ) -> Tensor:
        """Predict the noise in clips and single frames.

        Args:
            x: (batch, channels, frames + images, height, width), the clip first; behind the noisy channels those of
                the condition.
            timesteps: int64 (batch,), shared by the clip and the single frames of a sample.
            text: (batch, 1 + images, tokens, width): the clip's caption, also where there is none, then one for each
                image.
            frames: how many of the pictures are the clip; 0 for single frames alone.
            noise_level: int64 (batch,), of the view `vsr`.

        Returns:
            (batch, out channels, frames + images, height, width).
        """
        batch, pictures = x.shape[0], x.shape[2]
        self.pictures.frames, self.pictures.images = frames, pictures - frames
        time = self.time_embedding(self.time_proj(timesteps).to(x.dtype))
        if self.class_embedding is not None:
            time = time + self.class_embedding(noise_level).to(time.dtype)
        time = time.repeat_interleave(pictures, dim=0)

        y = self.conv_in(x.transpose(1, 2).flatten(0, 1))
        skips = [y]
        for number, block in enumerate(self.down_blocks):
            y, more = block(hidden_states=y, temb=time, **_text(block, text))
            skips += more
            if self.form.view == "vsr":
                y = self.down_temporal_blocks[number](y, time)
        y = self.mid_block(y, time, **_text(self.mid_block, text))
        if self.form.view == "vsr":
            y = self.mid_temporal_block(y, time)
        for number, block in enumerate(self.up_blocks):
            count = len(list(block.get_submodule("resnets").children()))
            skips, taken = skips[:-count], tuple(skips[-count:])
            size = skips[-1].shape[-2:] if skips else None  # of the next level, also where halving rounded up
            y = block(
                hidden_states=y, res_hidden_states_tuple=taken, temb=time, upsample_size=size, **_text(block, text)
            )
            if self.form.view == "vsr":
                y = self.up_temporal_blocks[number](y, time)
        out: Tensor = self.conv_out(self.conv_act(self.conv_norm_out(y)))
        return out.unflatten(0, (batch, pictures)).transpose(1, 2)

    def save(self, folder: Path) -> None:
        """Write the 2D configuration with our own part in it, and all weights."""
        config = {"_class_name": "VideoUNet", **self.config, "video": self.form.model_dump(mode="json")}
        (folder / CONFIG).write_text(json.dumps(config, indent=1))
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / WEIGHTS)

    @staticmethod
    def load(folder: Path) -> VideoUNet:
        """Read what `save` wrote.

        Raises:
            OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError, UserError: something is missing or
                damaged.
        """
        config, form = stored(folder)
        weights = load_file(folder / WEIGHTS)
        with torch.device("meta"):  # no memory but that of the file
            model = VideoUNet(UNet2DConditionModel.from_config(config), form)
        model.load_state_dict(weights, assign=True)
        return model


def stored(folder: Path) -> tuple[dict[str, Any], Form]:
    """The 2D configuration in a folder that `VideoUNet.save` wrote, and the form.

    Raises:
        OSError, ValueError, UserError: it is missing, damaged, or that of another kind of model.
    """
    text = (folder / CONFIG).read_bytes()[: _LARGEST_CONFIG + 1]
    config = json.loads(text) if len(text) <= _LARGEST_CONFIG else None
    if not isinstance(config, dict) or not isinstance(config.get("video"), dict):
        raise ValueError(f"{CONFIG} is not that of a video model of ours")
    if max(len(config["block_out_channels"]), int(config["layers_per_block"])) > _MOST_LAYERS:
        raise ValueError(f"{CONFIG} asks for more than {_MOST_LAYERS} layers")
    return config, parse(config.pop("video"), Form, name=f"{folder / CONFIG}: video")


def _text(block: nn.Module, text: Tensor) -> dict[str, Tensor]:
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
