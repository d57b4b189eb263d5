"""The temporal convolutions of LaVie's super resolution model (its released code, temporal_module.py and resnet.py)."""

from __future__ import annotations

from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.lavie.form import Form
from training.models.lavie.norms import VideoNorm
from training.models.lavie.pictures import Pictures, untouched

EPS = 1e-6
"""Of the group norms (the released code)."""


class TimeResnet(nn.Module):
    """A residual block whose convolutions run along the frames; single frames pass by."""

    def __init__(
        self, width: int, groups: int, pictures: Pictures, form: Form, *, kernel: int, time_width: int | None = None
    ):
        super().__init__()
        self.pictures = pictures
        self.clip = Pictures()  # what the norms see: clips alone
        self.norm1 = VideoNorm(nn.GroupNorm(groups, width, EPS), self.clip, form.norm)
        self.conv1 = nn.Conv3d(width, width, (kernel, 1, 1), padding=(kernel // 2, 0, 0))
        self.time_emb_proj = None if time_width is None else nn.Linear(time_width, width)
        self.norm2 = VideoNorm(nn.GroupNorm(groups, width, EPS), self.clip, form.norm)
        self.conv2 = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """(batch * pictures, width, h, w) and the embedding of each picture's timestep, to the shape of `x`."""
        self.clip.frames = frames = self.pictures.frames

        def of_clips(clips: Tensor) -> Tensor:
            moved = _along_time(self.conv1, F.silu(self.norm1(clips.flatten(0, 1))), frames)
            if self.time_emb_proj is not None and time is not None:
                step = self.time_emb_proj(F.silu(self.pictures.part(time)[0].flatten(0, 1)))
                moved = moved + step[:, :, None, None]
            moved = _along_time(self.conv2, F.silu(self.norm2(moved)), frames)
            return clips + moved.unflatten(0, clips.shape[:2])

        return self.pictures.apart(x, of_clips, untouched)


def _along_time(convolution: nn.Conv3d, x: Tensor, frames: int) -> Tensor:
    out: Tensor = convolution(x.unflatten(0, (-1, frames)).transpose(1, 2))
    return out.transpose(1, 2).flatten(0, 1)


class TemporalModule3D(nn.Module):
    """Convolutions over time, then over space, added through a projection that starts at zero.

    Single frames pass by as a whole.
    """

    def __init__(self, width: int, groups: int, time_width: int, form: Form, pictures: Pictures):
        super().__init__()
        self.pictures = pictures
        self.clip = Pictures()
        self.resblocks_3d_t = TimeResnet(width, groups, self.clip, form, kernel=5, time_width=time_width)
        flat = ResnetBlock2D(in_channels=width, temb_channels=time_width, groups=groups, eps=EPS)
        flat.norm1, flat.norm2 = (VideoNorm(norm, self.clip, form.norm) for norm in (flat.norm1, flat.norm2))
        self.resblocks_3d_s = flat
        self.shift_conv = nn.Conv2d(width, width, 1)
        for value in self.shift_conv.parameters():
            nn.init.zeros_(value)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(batch * pictures, width, h, w) and the embedding of each picture's timestep, to the shape of `x`."""
        self.clip.frames = self.pictures.frames

        def of_clips(clips: Tensor) -> Tensor:
            step = self.pictures.part(time)[0].flatten(0, 1)
            moved = self.resblocks_3d_s(self.resblocks_3d_t(clips.flatten(0, 1), step), step)
            return clips + self.shift_conv(moved).unflatten(0, clips.shape[:2])

        return self.pictures.apart(x, of_clips, untouched)
