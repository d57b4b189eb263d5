"""`reelmill sample`: prompts to videos, with one trained model or several, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Union

from curation.errors import UserError
from training.extras import require_libraries, share_cores

T = TypeVar("T")
Each = Union[T, Mapping[str, T], None]
"""One value for every stage, or by stage (base, interpolation, vsr; "" is every other one). None: the models' own."""


def sample(
    model: str | None = None,
    prompt: str | None = None,
    out: str = "sample.mp4",
    frames: int | None = None,
    steps: Each[int] = None,
    guidance: Each[float] = None,
    seed: int = 0,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    scale: int = 1,
    *,
    interpolation: str | None = None,
    vsr: str | None = None,
    video: str | None = None,
    first: str | None = None,
    prompts: str | None = None,
    negative: Each[str] = None,
    suffix: Each[str] = None,
    scheduler: Each[str] = None,
    overlap: Each[int] = None,
    noise_level: int | None = None,
    image: bool = False,
    long: int = 0,
    batch: int = 1,
    keep: bool = False,
    device: str = "auto",
    precision: str = "auto",
    offload: str = "auto",
    memory: float | None = None,
) -> None:
    """Write a video for each prompt, with all settings in its comment.

    Args:
        model: folder of a finished run of a base model, or the model/ folder in it.
        prompt: what the video shows; empty for an unconditional one.
        out: path of the mp4, or of a PNG with `image`; with `prompts` a folder.
        frames: frames of the base model's video, those of the training unless given; of `video` the first so many.
        steps: denoising steps; those of the models' recipes unless given.
        guidance: scale of classifier-free guidance; that of the recipes unless given.
        seed: of the noise; the same seed and prompt give the same video.
        fps: frames a second of the base model's video (LaVie saves 8); interpolation multiplies it.
        size: height and width in pixels of the base model's video; those of the training unless given. `video` is
            scaled to cover it and cropped.
        scale: repeat every pixel so many times in both directions.
        interpolation: folder of a model for interpolation.
        vsr: folder of a model for super resolution.
        video: a file to begin with instead of a base model.
        first: a picture to begin with, for a base model that was trained with `data.known`.
        prompts: a file of prompts, one a line; files that are there with the same settings are left alone.
        negative: what guidance leads away from.
        suffix: added to every prompt.
        scheduler: a value of `sample.scheduler`.
        overlap: frames that neighbouring chunks share.
        noise_level: step of the noise that small frames get before they are enlarged.
        image: make single frames, as PNG.
        long: how many times the base model goes on from its last frame.
        batch: prompts that the base model takes at once. More than one may change the last bits of a video.
        keep: write the videos of the stages before the last one too, as NAME.base.mp4 and NAME.interpolation.mp4.
        device: auto, cpu or cuda.
        precision: of the weights on the device: auto, float32, bfloat16 or float16. Auto halves them on a GPU.
        offload: auto, always or never: whether models wait in the machine's memory until it is their turn.
        memory: bytes, in units of 10^9, that may be used on the device; what is free there unless given.

    Raises:
        UserError: a model or a setting cannot be used, or a file cannot be written.
    """
    require_libraries("sample")
    share_cores()
    for name, value in (("frames", frames), ("fps", fps), ("scale", scale), ("batch", batch)):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    if long < 0 or seed < 0:
        raise UserError("--long and --seed must be at least 0")
    from training.cascade.prompts import listed

    asked = {"base": model, "interpolation": interpolation, "vsr": vsr}
    folders = {view: folder for view, folder in asked.items() if folder}
    if ("base" in folders) == (video is not None):
        raise UserError("give a base model with --model, or a file to begin with in --video")
    if video and (image or long or first or prompts or not folders):
        raise UserError("--video needs --interpolation or --vsr; without --image, --first, --long and --prompts")
    if image and (long or interpolation or first):
        raise UserError("--image goes without --long, --first and --interpolation")
    jobs = listed(prompt if prompt is not None or not video else "", prompts, out, ".png" if image else ".mp4")

    from rich.console import Console

    from training.cascade.bars import bars
    from training.cascade.cascade import open_cascade
    from training.cascade.making import make, start
    from training.cascade.memory import place

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    wanted = {
        "steps": steps,
        "guidance": guidance,
        "scheduler": scheduler,
        "negative": negative,
        "suffix": suffix,
        "overlap": overlap,
        "noise_level": None if noise_level is None else {"vsr": noise_level},
    }
    changes = _by_stage(wanted, list(folders))
    where = place(device, precision, memory)
    with bars(console) as shown:
        cascade = open_cascade(folders, changes, place=where, offload=offload, seed=seed, bars=shown)
        begun = start(cascade, video, first, frames=frames, size=size, fps=fps, long=long, image=image)
        make(jobs, cascade, begun, scale=scale, batch=batch, keep=keep, resume=prompts is not None, console=console)


def _by_stage(wanted: Mapping[str, Each[Any]], stages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Settings by their names, turned to stages and theirs."""
    changes: dict[str, dict[str, Any]] = {stage: {} for stage in stages}
    for name, values in wanted.items():
        if isinstance(values, Mapping) and (unknown := values.keys() - {"", *stages}):
            option = name.replace("_", "-")
            raise UserError(f"--{option}: no stage {sorted(unknown)[0]!r} is asked for; there is {', '.join(stages)}")
        for stage in stages:
            value = values.get(stage, values.get("")) if isinstance(values, Mapping) else values
            if value is not None:
                changes[stage][name] = value
    return changes
