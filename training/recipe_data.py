"""The part of a training recipe that says what is read, and what one training sample is.

Defaults are those of LaVie (arXiv 2309.15103 and its released inference code) for the model that
the view is for. Values that its authors did not publish are marked "ours".
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal, Union

from pydantic import Field, model_validator

from curation.validate import Config

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(gt=0.0)]
Size = tuple[Positive, Positive]
Address = Union[str, Annotated[tuple[str, ...], Field(min_length=1)]]


class Source(Config):
    """One dataset of several."""

    url: Address
    """What `data.url` takes."""
    name: str = ""
    """What log and checkpoints call it; its number unless given."""
    weight: Union[Amount, Annotated[tuple[tuple[Annotated[int, Field(ge=0)], Amount], ...], Field(min_length=1)]] = 1.0
    """Its share of the samples, over the sum of all weights and whatever its size.

    A number, or a curriculum: [[step, weight], …] with rising steps, straight lines between them."""

    caption: Union[str, None] = None
    """Where the captions of tars by others are; as `data.caption`."""
    texts: Union[Address, None] = None
    """Tars with the captions of tars that hold media alone; as `data.texts`."""

    @model_validator(mode="after")
    def _rises(self) -> Source:
        if isinstance(self.weight, tuple) and any(a[0] >= b[0] for a, b in itertools.pairwise(self.weight)):
            raise ValueError("weight: its steps must rise")
        return self

    def weight_at(self, step: int) -> float:
        """The weight in a training step, from 0."""
        if not isinstance(self.weight, tuple):
            return self.weight
        before = self.weight[0]
        for after in self.weight:
            if step < after[0]:
                if after is self.weight[0]:
                    return after[1]
                share = (step - before[0]) / (after[0] - before[0])
                return before[1] + share * (after[1] - before[1])
            before = after
        return before[1]


class Bucket(Config):
    """One shape of training clips. A sample goes into the bucket whose shape is nearest to its own."""

    size: Size
    """Height and width, in pixels."""
    frames: Union[Positive, None] = None
    """Frames of a clip; `data.frames` unless given. A sample takes the longest bucket that it can fill."""


class Degradation(Config):
    """How the low-resolution input of the super resolution model is made.

    LaVie did not publish how. This is the first stage of Real-ESRGAN (arXiv 2107.10833 §3.1, with the
    ranges of its released code): blur, resize, noise, JPEG, with the same numbers for all frames of a clip.
    """

    scale: Annotated[int, Field(ge=2)] = 4
    """How many times smaller it is (LaVie's model is Stable Diffusion's x4 upscaler)."""
    blur: tuple[Rate, Rate] = (0.2, 3.0)
    """Standard deviation of a Gaussian, in pixels of the large picture, from and to."""
    noise: tuple[Amount, Amount] = (1.0, 30.0)
    """Standard deviation of Gaussian noise, of 255, from and to."""
    jpeg: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]] = (30, 95)
    """Quality of the JPEG that every frame goes through, from and to."""
    noise_level: tuple[Annotated[int, Field(ge=0, le=999)], Annotated[int, Field(ge=0, le=999)]] = (0, 350)
    """Step of the noise that the trainer adds, both included, drawn evenly (the upscaler's `max_noise_level`)."""

    @model_validator(mode="after")
    def _in_order(self) -> Degradation:
        for name in ("blur", "noise", "jpeg", "noise_level"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} goes from {low} to {high}")
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "interpolation": {"frames": 61, "stride": 1, "size": (256, 256), "images": 0},
    "vsr": {"frames": 8, "stride": 1, "size": (320, 320), "images": 0},
}
"""What each view sets where the recipe says nothing."""


class Data(Config):
    """Which clips are read, and what one training sample is."""

    url: Union[Address, None] = None
    """Address of a dataset's manifest.json or its folder, or of WebDataset tars of others, with {0000..0123} or a list.

    A path, http(s)://, s3:// or gs://."""
    caption: Union[str, None] = None
    """Where the captions of tars by others are, such as txt or json:caption; the usual places unless given."""
    texts: Union[Address, None] = None
    """Tars with the captions and metadata of tars that hold media alone, under the same keys, one for each of `url`.

    So cosmos-curate writes them: url …/video/part_{000000..000009}/000000.tar, texts …/metas/part_{000000..000009}/…"""
    datasets: tuple[Source, ...] = ()
    """Several datasets in place of `url`, each with a weight.

    Datasets of images give the single frames of `images`, by their weights among themselves."""
    view: Literal["base", "interpolation", "vsr"] = "base"
    """What a sample is made for; it also sets the defaults of frames, stride, size and images.

    base: a clip and single frames. interpolation: 61 dense frames of which every fourth is known, in patches
    of 256x256 (LaVie §5.2). vsr: patches of 320x320 at the clip's own resolution, with a degraded small copy
    (LaVie §5.2; its number of frames is that of the released sampler)."""
    frames: Positive = 16
    """Frames of one training clip (LaVie §5.2)."""
    stride: Union[Positive, tuple[Positive, Positive]] = 3
    """Frames of the sample from one training frame to the next, or the range to draw it from; ours."""
    fps: Union[Rate, tuple[Rate, Rate], None] = None
    """Training frames a second, or the range to draw it from, by the timestamps; in place of `stride`."""
    size: Size = (320, 512)
    """Height and width of the training frames, in pixels (LaVie §5.2)."""
    buckets: tuple[Bucket, ...] = ()
    """Shapes in place of `size`: all samples of a step are of one, every sample is in one."""
    known: Literal["none", "first", "mask"] = "none"
    """Frames of the clip that the model is given: none, the first, or a drawn choice of them (for prediction,
    interpolation and completion). The view `interpolation` gives every fourth."""
    every: Annotated[int, Field(ge=2)] = 4
    """From one known frame to the next in the view `interpolation` (LaVie's released configuration)."""
    images: Annotated[int, Field(ge=0)] = 4
    """Single frames that are appended on the time axis with captions of their own (M in LaVie §3.3).

    Images of the datasets where there are any, else frames of other clips."""
    handheld: Union[Amount, None] = None
    """Makes clips of images: a window wanders over the picture by about so many pixels from frame to frame, as from a
    camera held by hand (so LaVie trains its super resolution on LAION; the speed is ours). Needs images: 0."""
    flip: bool = True
    """Mirror half of the clips, except where the caption names a side; ours."""
    views: Union[Positive, None] = None
    """Different views (frames, crop, side) of a sample, after which they repeat; every epoch has its own unless given.

    What it costs in variety `train.latents` gives back in time."""
    degradation: Degradation = Degradation()
    """Of the view `vsr`."""
    held_out: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the samples that are never trained on, by a hash of their keys: for `train.held_out` and
    `train.samples`."""
    window: Positive = 64
    """Shards that are mixed at any time; with as many as the dataset has, the shuffle is over everything."""
    max_failures: Share = 0.1
    """Share of clips that may be replaced because they cannot be decoded, before the run stops; ours."""
    decoder: Literal["pyav", "torchcodec", "decord"] = "pyav"
    """Which library decodes; the others than pyav are installed by their name as an extra."""
    threads: Annotated[int, Field(ge=0)] = 2
    """Threads that read and decode; 0 does it while the trainer waits."""
    prefetch: Positive = 2
    """Batches that are prepared ahead."""
    read: Literal["auto", "shards", "members"] = "auto"
    """From networks: whole shards through the cache, or each sample by itself; auto takes whole shards where all
    datasets fit into the cache."""
    cache_dir: Union[str, None] = None
    """Where shards from the network are kept; the user's cache folder unless given."""
    cache_bytes: Positive = 20_000_000_000
    """The most that the cache may hold; shards that were not used for longest go first."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_view(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("view", "base"), str):
            return values
        preset = dict(PRESETS.get(values.get("view", "base"), {}))
        if values.get("buckets"):
            preset.pop("size", None)
        return {**preset, **values}

    @model_validator(mode="after")
    def _fits(self) -> Data:
        if bool(self.url) == bool(self.datasets):
            raise ValueError("url: give the address of a dataset, or several datasets in data.datasets")
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("datasets: two have the same name")
        for name in ("stride", "fps"):
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} goes from {value[0]} to {value[1]}")
        if self.handheld is not None and self.images:
            raise ValueError("handheld makes clips of the images; set images, the single frames, to 0")
        for shape in self.shapes:
            if self.view == "interpolation" and ((shape.frames or 1) - 1) % self.every:
                raise ValueError(f"frames must be a multiple of every ({self.every}) and one more, not {shape.frames}")
            if self.view == "vsr" and any(side % self.degradation.scale for side in shape.size):
                raise ValueError(f"size must be multiples of degradation.scale ({self.degradation.scale})")
        return self

    @property
    def sources(self) -> tuple[Source, ...]:
        """The datasets, also where there is one."""
        sources = self.datasets or (Source(url=self.url or "", name="data", caption=self.caption, texts=self.texts),)
        return tuple(
            source.model_copy(update={"name": source.name or str(number)}) for number, source in enumerate(sources)
        )

    @property
    def shapes(self) -> tuple[Bucket, ...]:
        """The buckets with all values, one where none are given."""
        buckets = self.buckets or (Bucket(size=self.size),)
        return tuple(Bucket(size=bucket.size, frames=bucket.frames or self.frames) for bucket in buckets)

    @property
    def strides(self) -> tuple[int, int]:
        """The least and the greatest stride."""
        return self.stride if isinstance(self.stride, tuple) else (self.stride, self.stride)

    @property
    def rates(self) -> tuple[float, float] | None:
        """The least and the greatest frame rate, where frames are chosen by time."""
        if self.fps is None:
            return None
        return self.fps if isinstance(self.fps, tuple) else (self.fps, self.fps)

    @property
    def span(self) -> int:
        """Frames that a sample needs at the least stride to give one training clip."""
        return (self.frames - 1) * self.strides[0] + 1
