"""The part of a training recipe that says what is trained: the network and its noise schedule.

Defaults are the published values of LaVie's base model (arXiv 2309.15103 and its released
inference code). Values that its authors did not publish are marked "ours".
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from curation.validate import Config
from training.recipe_data import Positive

View = Literal["base", "interpolation", "vsr"]
NormScope = Literal["frame", "clip", "all"]
Layout = Literal["paper", "released"]
Positions = Literal["rotary_bias", "rotary", "sinusoidal", "none"]


class Model(Config):
    """A 2D UNet of the Stable Diffusion family, inflated to frames; `data.view` says for what."""

    init: str | None = None
    """Folder of a trained model of our own format to start from, also one of another view: what `reelmill train` or
    `reelmill convert` wrote. Its text model and VAE are taken as well, unless `text` and `vae` name others."""
    unet: str | None = None
    """Folder of a diffusers UNet2DConditionModel to start from; random weights unless given."""
    norm: NormScope | None = None
    """Over which pictures the group norms of residual blocks take mean and variance; that of `init` unless given, or
    frame.

    frame: each by itself, so that the new model equals the 2D one on every frame. clip: over the frames of a clip,
    single frames by themselves; it computes what the released weights were trained for. all: single frames pooled
    with the clip, as the released code does."""
    layout: Layout | None = None
    """Which blocks, where LaVie's released code differs from its paper; that of `init` unless given, if it is of the
    same view, or paper. Weights that were released need `released`.

    interpolation: `paper` has the block of the base model, from which it starts; in `released` each frame attends in
    space to the first and the previous frame, and attention over time comes last. vsr: `released` has a temporal
    residual block in front of every transformer. base: they are the same."""
    positions: Positions | None = None
    """How temporal attention knows the order of frames; that of `init` unless given, or that of the released code.

    rotary_bias: rotary positions and a learned bias for each distance. rotary: as the paper has it. sinusoidal: the
    frame's own place, as in AnimateDiff, by which small models learn which way things move; not LaVie's. none: as the
    released interpolation, which is the default for that layout."""
    spatial: Literal["trained", "frozen"] | None = None
    """Whether layers without time learn. Unless given, they are frozen in the view vsr where it starts from weights
    (LaVie §5.2), and learn elsewhere."""
    widths: tuple[Positive, ...] = (320, 640, 1280, 1280)
    """Channels of each resolution, from fine to coarse; not used with `unet`."""
    attention: tuple[bool, ...] = (True, True, True, False)
    """Which resolutions have attention, in space and in time; not used with `unet`."""
    layers: Positive = 2
    """Residual blocks at each resolution of the way down; not used with `unet`."""
    heads: Positive = 8
    """Attention heads; not used with `unet`."""
    groups: Positive = 32
    """Groups of the group norms; not used with `unet`."""
    vae: str | None = None
    """Folder of a diffusers AutoencoderKL; the model works on pixels unless given."""
    text: str | None = None
    """Folder of a CLIP text model with its tokenizer, kept frozen.

    Unless given, a small CLIP text model that reads bytes is trained along."""
    text_width: Positive = 768
    """Channels of the text model that is trained along; not used with `text`."""
    text_layers: Positive = 12
    """Layers of the text model that is trained along; not used with `text`."""
    text_length: Annotated[int, Field(ge=3)] = 77
    """Tokens that the text model reads, with its begin and end marks; not used with `text`."""

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.init and self.unet:
            raise ValueError("init and unet: give only one place to start from")
        if len(self.attention) != len(self.widths):
            raise ValueError(f"attention has {len(self.attention)} entries and widths has {len(self.widths)}")
        if not any(self.attention):
            raise ValueError("attention needs at least one true")
        for width in self.widths:
            if width % self.groups or width % self.heads:
                raise ValueError(f"width {width} is not a multiple of heads ({self.heads}) and groups ({self.groups})")
        if self.text_width % self.heads:
            raise ValueError(f"text_width {self.text_width} is not a multiple of heads ({self.heads})")
        return self


class Diffusion(Config):
    """The noise schedule. `linear` is what diffusers calls linear, as in LaVie's released configuration."""

    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """Variance of the noise that the first step adds."""
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """Variance of the noise that the last step adds."""
    schedule: Literal["linear", "scaled_linear"] = "linear"
    """How the variances lie between the two, by diffusers' names."""
    steps: Annotated[int, Field(ge=2)] = 1000
    """Steps from a clean clip to noise."""
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    """What the model predicts: the noise (LaVie's base), the velocity of Salimans and Ho (arXiv 2202.00512), or the
    clean clip itself (LaVie's paper says so of the interpolation; its released model predicts the noise)."""
    min_snr: Annotated[float, Field(gt=0)] | None = None
    """The largest weight of a sample by its signal-to-noise ratio (min-SNR, arXiv 2303.09556; its gamma, 5 there);
    all samples weigh the same unless given."""
    offset_noise: Annotated[float, Field(ge=0)] = 0.0
    """Deviation of the noise that all of a picture shares, beside that of every place; 0.1 where it is used."""
