"""Group norms that know clips from single frames, in fp32 whatever they are given."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from training.models.lavie.pictures import Pictures
from training.recipe_model import NormScope


class VideoNorm(nn.GroupNorm):
    """Takes the place of a `GroupNorm` of a 2D model, with its parameters.

    LaVie's released residual blocks normalise (batch, channels, frames, height, width), so that mean and variance
    are those of all pictures of a sample (`all`). With single frames among them the clip then depends on these.
    `clip` pools over the frames of the clip alone, which is the same for clips without single frames; `frame` takes
    every picture by itself, as the 2D model does.
    """

    def __init__(self, norm: nn.GroupNorm, pictures: Pictures, scope: NormScope):
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, affine=False)
        self.affine = True
        self.weight, self.bias = norm.weight, norm.bias
        self.pictures = pictures
        self.scope = scope

    def forward(self, x: Tensor) -> Tensor:
        """(batch * pictures, channels, height, width) to the same shape and dtype."""
        if self.scope == "frame":
            return self._normal(x)
        pictures = self.pictures
        if self.scope == "all":
            pictures = Pictures(pictures.frames + pictures.images)
        return pictures.apart(x, self._pooled, self._each)

    def _each(self, images: Tensor) -> Tensor:
        return self._normal(images.flatten(0, 1)).unflatten(0, images.shape[:2])

    def _pooled(self, clips: Tensor) -> Tensor:
        return self._normal(clips.transpose(1, 2)).transpose(1, 2)

    def _normal(self, x: Tensor) -> Tensor:
        out = F.group_norm(x.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)
        return out.to(x.dtype)
