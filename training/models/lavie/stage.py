"""One trained network of the cascade with what belongs to it: text model, latent space and video UNet."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from curation.errors import UserError
from training.models.lavie.latents import Latents, Pixels, open_space
from training.models.lavie.start import start, telling
from training.models.lavie.text import TextEncoder
from training.models.lavie.unet import VideoUNet
from training.recipe_model import Model, View


class Stage(nn.Module):
    """Captions and noisy latents to predicted noise."""

    def __init__(self, unet: VideoUNet, text: TextEncoder, space: Pixels | Latents):
        super().__init__()
        self.unet = unet
        self.text = text
        self.space = space
        self.origin = ""

    @staticmethod
    def build(model: Model, view: View, *, known: bool = False) -> Stage:
        """The network that a recipe describes, before any training.

        Args:
            view: what it is for (`data.view`).
            known: whether a base model is given frames (`data.known`).

        Raises:
            UserError: a folder of weights cannot be used, or the parts do not fit.
        """
        model = _with_parts(model)
        with telling("model.vae", model.vae or ""):
            space = open_space(model.vae)
        with telling("model.text", model.text or ""):
            text = TextEncoder.build(model)
        unet, told = start(model, view, known=known, channels=space.channels, text_width=text.width)
        if (unet.channels, unet.text_width) != (space.channels, text.width):
            raise UserError(
                f"model.{'init' if model.init else 'unet'}: it takes {unet.channels} channels and text of width "
                f"{unet.text_width}, but the pictures have {space.channels} and the text {text.width}; "
                "model.vae and model.text name those that fit"
            )
        given = model.unet is not None or model.init is not None
        if model.spatial == "frozen" or (model.spatial is None and view == "vsr" and given):
            unet.freeze_spatial()
        stage = Stage(unet, text, space)
        stage.origin = told
        return stage

    @property
    def view(self) -> View:
        """Which of the three it is."""
        return self.unet.form.view

    @property
    def factor(self) -> int:
        """Height and width of a video must be multiples of this, and even.

        Pictures are enlarged as they come, so the super resolution model takes all that its latents allow.
        """
        return max(2, self.space.factor * (1 if self.view == "vsr" else self.unet.factor))

    def check_size(self, size: tuple[int, int], key: str) -> None:
        """Raise a `UserError` if videos of this height and width cannot be made."""
        if size[0] % self.factor or size[1] % self.factor:
            raise UserError(f"{key}: height and width must be multiples of {self.factor}, not {size[0]} and {size[1]}")

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def blocks(self) -> list[nn.Module]:
        """The repeated units of the network, none of them inside another: to compile, to checkpoint and to shard."""
        return self.unet.blocks()

    def embed(self, captions: list[list[str]]) -> Tensor:
        """Captions of every sample, to (batch, captions, tokens, width)."""
        flat = [caption for sample in captions for caption in sample]
        embedded: Tensor = self.text(flat).unflatten(0, (len(captions), -1))
        return embedded

    def forward(
        self, x: Tensor, timesteps: Tensor, text: Tensor, *, frames: int, noise_level: Tensor | None = None
    ) -> Tensor:
        """See `VideoUNet.forward`."""
        out: Tensor = self.unet(x, timesteps, text, frames=frames, noise_level=noise_level)
        return out

    def save(self, folder: Path) -> None:
        """Write everything that sampling needs, as safetensors and JSON, to unet/, text/ and vae/."""
        for part in ("unet", "text"):
            (folder / part).mkdir(parents=True)
            getattr(self, part).save(folder / part)
        if isinstance(self.space, Latents):
            self.space.vae.save_pretrained(folder / "vae")

    @staticmethod
    def load(folder: Path) -> Stage:
        """Read what `save` wrote.

        Raises:
            UserError: a part is missing or damaged.
        """
        with telling("model", folder):
            space = open_space(folder / "vae" if (folder / "vae").is_dir() else None)
            return Stage(VideoUNet.load(folder / "unet"), TextEncoder.load(folder / "text"), space)


def _with_parts(model: Model) -> Model:
    """The settings with the text model and the VAE of the folder to start from, where no others are named."""
    if model.init is None:
        return model
    folder = Path(model.init)
    if not (folder / "unet").is_dir() and (folder / "model" / "unet").is_dir():
        folder /= "model"  # of a run
    own = {part: str(folder / part) for part in ("text", "vae") if (folder / part).is_dir()}
    if (folder / "unet").is_dir() and not (model.text or "text" in own):
        raise UserError(f"model.init: {folder} has no text model; model.text names one")
    return model.model_copy(
        update={"init": str(folder), "text": model.text or own.get("text"), "vae": model.vae or own.get("vae")}
    )
