"""The part of a training recipe that says what a run shows of itself; none of it moves a number of the training,
unless steps with a spike are skipped."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field

from curation.validate import Config
from training.recipe_data import Address, Positive

Count = Annotated[int, Field(ge=0)]


class HeldOut(Config):
    """The loss on samples that are not trained on, by the noise level, with the same noise every time."""

    url: Union[Address, None] = None
    """Address of a dataset of them, as `data.url`; unless given, those that `data.held_out` keeps back, and none
    where it keeps none."""
    every: Positive = 1000
    """Steps between two measurements; ours, as all below."""
    batches: Positive = 8
    """Batches of `train.batch` samples that are measured, or fewer where there are no more samples."""
    quantiles: Positive = 5
    """Equal parts of the noise schedule; every sample is measured once in each, at a time step drawn for it."""
    ema: bool = True
    """Measure the running mean of the weights, which is what sampling uses, instead of the weights."""


class Samples(Config):
    """Videos that the model makes while it is trained: mp4s and one picture of them all, in OUT/samples/step-N."""

    every: Count = 0
    """Steps between them; 0 makes none."""
    prompts: tuple[str, ...] = ()
    """What the base model is asked for, a video each."""
    clips: Positive = 4
    """How many held-out clips the views interpolation and vsr begin with."""
    steps: Union[Positive, None] = None
    """Steps of the sampler; `sample.steps` unless given."""
    guidance: Annotated[Union[float, None], Field(ge=0)] = None
    """Scale of classifier-free guidance; `sample.guidance` unless given."""
    fps: Positive = 8
    """Frames a second of the mp4s (LaVie saves 8)."""
    seed: Count = 0
    """Of their noise, which is the same every time."""
    ema: bool = True
    """Sample with the running mean of the weights instead of the weights."""


class Spikes(Config):
    """What happens when the loss of a step is far above what it was. A loss that is no finite number always stops."""

    action: Literal["stop", "skip", "none"] = "stop"
    """stop: end the run and name the samples. skip: leave the weights as they are in such a step. none: nothing."""
    factor: Annotated[float, Field(gt=1)] = 10.0
    """How many times the median it must be, and more than a model has that predicts zeros: 1 for the clips, and
    `train.image_weight` for the single frames; ours."""
    windows: Annotated[int, Field(ge=3)] = 20
    """Lines of metrics.jsonl before it that the median is of; nothing happens before there are as many; ours."""
