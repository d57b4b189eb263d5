"""LaVie's base model as one module: text model, latent space and video UNet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor, nn

from curation.errors import UserError
from training.models.lavie.latents import Latents, Pixels, open_space
from training.models.lavie.text import TextEncoder
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe import Model


@contextlib.contextmanager
def _telling(key: str, folder: str | Path) -> Iterator[None]:
    """Whatever a library throws at a folder of weights, as one line that names the key."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}: {folder} has no weights that can be used: {reason}") from error


class TextToVideo(nn.Module):
    """Captions and noisy latents to predicted noise."""

    def __init__(self, unet: VideoUNet, text: TextEncoder, space: Pixels | Latents):
        super().__init__()
        self.unet = unet
        self.text = text
        self.space = space

    @staticmethod
    def build(model: Model) -> TextToVideo:
        """The model that a recipe describes, before any training.

        Raises:
            UserError: a folder of weights cannot be used, or the parts do not fit.
        """
        with _telling("model.vae", model.vae or ""):
            space = open_space(model.vae)
        with _telling("model.text", model.text or ""):
            text = TextEncoder.build(model)
        if model.unet is None:
            unet = image_unet(model, channels=space.channels, text_width=text.width)
        else:
            with _telling("model.unet", model.unet):
                unet = UNet2DConditionModel.from_pretrained(model.unet, local_files_only=True, use_safetensors=True)
        if (unet.config.in_channels, unet.config.cross_attention_dim) != (space.channels, text.width):
            raise UserError(
                f"model.unet: it takes {unet.config.in_channels} channels and text of width "
                f"{unet.config.cross_attention_dim}, but the pictures have {space.channels} and the text {text.width}"
            )
        return TextToVideo(VideoUNet(unet), text, space)

    @property
    def factor(self) -> int:
        """Height and width of a video must be multiples of this, and even."""
        return max(2, self.space.factor * self.unet.factor)

    def check_size(self, size: tuple[int, int], key: str) -> None:
        """Raise a `UserError` if videos of this height and width cannot be made."""
        if size[0] % self.factor or size[1] % self.factor:
            raise UserError(f"{key}: height and width must be multiples of {self.factor}, not {size[0]} and {size[1]}")

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def blocks(self) -> list[nn.Module]:
        """The units to compile, to checkpoint and to shard."""
        unet = self.unet.unet
        return [*unet.down_blocks, unet.mid_block, *unet.up_blocks]

    def embed(self, captions: list[list[str]]) -> Tensor:
        """Captions of every sample, to (batch, captions, tokens, width)."""
        flat = [caption for sample in captions for caption in sample]
        embedded: Tensor = self.text(flat).unflatten(0, (len(captions), -1))
        return embedded

    def forward(self, x: Tensor, timesteps: Tensor, text: Tensor, *, frames: int) -> Tensor:
        """See `VideoUNet.forward`."""
        out: Tensor = self.unet(x, timesteps, text, frames=frames)
        return out

    def save(self, folder: Path) -> None:
        """Write everything that sampling needs, as safetensors and JSON, to unet/, text/ and vae/."""
        for part in ("unet", "text"):
            (folder / part).mkdir(parents=True)
            getattr(self, part).save(folder / part)
        if isinstance(self.space, Latents):
            self.space.vae.save_pretrained(folder / "vae")

    @staticmethod
    def load(folder: Path) -> TextToVideo:
        """Read what `save` wrote.

        Raises:
            UserError: a part is missing or damaged.
        """
        with _telling("model", folder):
            space = open_space(folder / "vae" if (folder / "vae").is_dir() else None)
            return TextToVideo(VideoUNet.load(folder / "unet"), TextEncoder.load(folder / "text"), space)
