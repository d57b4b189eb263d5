"""The part of a training recipe that says how its model is sampled, where `reelmill sample` is not told otherwise.

Defaults are those of LaVie's released inference code for the model that `data.view` says. What it does not have is
marked "ours".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from curation.validate import Config
from training.recipe_data import Positive, Rate

SAMPLING: dict[str, dict[str, Any]] = {
    "base": {},
    "interpolation": {"scheduler": "ddim", "spacing": "linspace", "guidance": 4.0, "overlap": 13},
    "vsr": {"scheduler": "ddim", "guidance": 5.0, "negative": "blur, worst quality", "overlap": 2},
}
"""What each view sets where the recipe says nothing."""


class Sample(Config):
    """Defaults of `reelmill sample` for the model that is trained."""

    scheduler: Literal["ddpm", "ddim", "dpm", "euler", "euler-ancestral", "heun", "unipc"] = "ddpm"
    """Which way leads from noise to a video (LaVie: ddpm for the base model, ddim for the other two)."""
    steps: Positive = 50
    """Denoising steps."""
    spacing: Literal["leading", "linspace", "trailing"] = "leading"
    """Which of the trained steps these are, by diffusers' names (the interpolation model: linspace)."""
    guidance: Annotated[float, Field(ge=0)] = 7.5
    """Scale of classifier-free guidance (4 for interpolation, 5 for super resolution); 1 turns it off."""
    negative: str = ""
    """What guidance leads away from; the empty caption unless given (super resolution: "blur, worst quality")."""
    suffix: str = ""
    """Added to every prompt; ours is nothing. LaVie adds ", 4k." for interpolation."""
    fps: Rate = 8.0
    """Frames a second of the base model's file."""
    noise_level: Annotated[int, Field(ge=0)] = 50
    """Step of the noise that the small frames get before they are enlarged."""
    overlap: Annotated[int, Field(ge=0)] = 0
    """Frames that neighbouring chunks share where a video is longer than a clip of the training; in the base model 0
    means no chunks.

    Ours for super resolution (2, as Lumiere's; LaVie's own code has none, and a seam every 8 frames) and for
    interpolation (13, of which the fourth of every four is known)."""
