"""What a video UNet is beside its 2D configuration: which of the three, and in which of the known forms."""

from __future__ import annotations

from curation.validate import Config
from training.recipe_model import Layout, Model, NormScope, Positions, View


class Form(Config):
    """Stored beside the weights, so that a folder says what it holds."""

    view: View = "base"
    """What the model is for."""
    norm: NormScope = "frame"
    """Over which pictures group norms of residual blocks take their statistics."""
    layout: Layout = "paper"
    """Which blocks."""
    positions: Positions = "rotary_bias"
    """How temporal attention knows the order of frames."""
    known: bool = False
    """Whether a base model is given some of the frames, clean, with a mask in front."""

    @staticmethod
    def of(model: Model, view: View, *, known: bool = False, before: Form | None = None) -> Form:
        """What a recipe asks for; where it says nothing, what the model had that training starts from."""
        same = before if before is not None and before.view == view else None
        layout = model.layout or (same.layout if same else "paper")
        if view == "interpolation" and layout == "released":
            usual: Positions = "none"
        else:
            usual = before.positions if before is not None and (same or before.positions != "none") else "rotary_bias"
        return Form(
            view=view,
            norm=model.norm or (before.norm if before is not None else "frame"),
            layout=layout,
            positions=model.positions or usual,
            known=known and view == "base",
        )

    @property
    def sparse(self) -> bool:
        """Whether each frame attends in space to the first and the previous frame instead of itself."""
        return self.view == "interpolation" and self.layout == "released"

    @property
    def temporal_last(self) -> bool:
        """Whether attention over time comes behind the feed-forward layer."""
        return self.sparse

    @property
    def fronted(self) -> bool:
        """Whether a temporal residual block stands in front of every transformer."""
        return self.view == "vsr" and self.layout == "released"

    @property
    def suffix(self) -> str:
        """How the names of temporal attention end in the public checkpoints."""
        return "temporal" if self.view == "vsr" else "temp"

    def condition_channels(self, channels: int) -> int:
        """Input channels behind the `channels` noisy ones."""
        if self.view == "interpolation":
            return channels
        if self.view == "vsr":
            return 3
        return channels + 1 if self.known else 0
