"""Commands of trainers whose options are many: what `curation.cli` only has to name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Optional, TypeVar

import typer

from curation.errors import UserError

T = TypeVar("T")
_STAGES = ("base", "interpolation", "vsr")


def convert(
    source: Annotated[
        str, typer.Argument(help="lavie_*.pt, a diffusers folder (Stable Diffusion), or a model of ours.")
    ],
    out: Annotated[str, typer.Argument(help="Folder to write; for LaVie's layouts a .pt or .safetensors file.")],
    to: Annotated[
        str, typer.Option(metavar="LAYOUT", help="ours, lavie-base, lavie-interpolation, lavie-vsr or diffusers.")
    ] = "ours",
    view: Annotated[Optional[str], typer.Option(help="What it becomes: a base model can begin interpolation.")] = None,
    text: Annotated[
        Optional[str], typer.Option(metavar="DIR", help="The text model with its tokenizer, or a pipeline with them.")
    ] = None,
    vae: Annotated[Optional[str], typer.Option(metavar="DIR", help="The VAE, or a pipeline with one.")] = None,
    set_: Annotated[
        Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of model, like norm=clip.")
    ] = None,
) -> None:
    """Convert weights of LaVie and Stable Diffusion to a model folder, and back. Nothing in them is run."""
    from training.convert import convert as converted

    for line in converted(source, out, to=to, view=view, text=text, vae=vae, overrides=set_ or []):
        typer.echo(line)


def sample(
    model: Annotated[
        Optional[str], typer.Option(metavar="DIR", help="A base model: a folder that training wrote.")
    ] = None,
    interpolation: Annotated[Optional[str], typer.Option(metavar="DIR", help="A model for frames between.")] = None,
    vsr: Annotated[Optional[str], typer.Option(metavar="DIR", help="A model that enlarges frames.")] = None,
    video: Annotated[
        Optional[str], typer.Option(metavar="FILE", help="Begin with this instead of a base model.")
    ] = None,
    first: Annotated[
        Optional[str], typer.Option(metavar="PICTURE", help="First frame, for a base model that can be given one.")
    ] = None,
    prompt: Annotated[Optional[str], typer.Option(help="What the video should show.")] = None,
    prompts: Annotated[
        Optional[str], typer.Option(metavar="FILE", help="Prompts, one a line; files that are there stay.")
    ] = None,
    out: Annotated[str, typer.Option(help="The file to write; with --prompts a folder.")] = "sample.mp4",
    negative: Annotated[
        Optional[list[str]], typer.Option(metavar="[STAGE=]TEXT", help="What to lead away from  [default: recipes]")
    ] = None,
    guidance: Annotated[
        Optional[list[str]], typer.Option(metavar="[STAGE=]X", help="Classifier-free guidance  [default: recipes]")
    ] = None,
    steps: Annotated[
        Optional[list[str]], typer.Option(metavar="[STAGE=]N", help="Denoising steps  [default: recipes]")
    ] = None,
    scheduler: Annotated[
        Optional[list[str]],
        typer.Option(metavar="[STAGE=]NAME", help="ddpm, ddim, dpm, euler, euler-ancestral, heun, unipc."),
    ] = None,
    suffix: Annotated[Optional[list[str]], typer.Option(metavar="[STAGE=]TEXT", help="Added to every prompt.")] = None,
    overlap: Annotated[
        Optional[list[str]], typer.Option(metavar="[STAGE=]N", help="Frames that neighbouring chunks share.")
    ] = None,
    noise_level: Annotated[
        Optional[int], typer.Option(help="Noise on small frames before they are enlarged  [default: 50]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    frames: Annotated[Optional[int], typer.Option(help="Frames of the base model  [default: as trained]")] = None,
    size: Annotated[Optional[str], typer.Option(help="Its pixels as HEIGHTxWIDTH  [default: as trained]")] = None,
    fps: Annotated[
        Optional[float], typer.Option(help="Its frames a second; interpolation multiplies them  [default: 8]")
    ] = None,
    long: Annotated[int, typer.Option(help="Go on from the last frame so many times.")] = 0,
    image: Annotated[bool, typer.Option("--image", help="A single frame, as a PNG.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Write what the earlier stages made too.")] = False,
    scale: Annotated[int, typer.Option(help="Enlarge the pixels of tiny models for viewing.")] = 1,
    batch: Annotated[int, typer.Option(help="Prompts that the base model takes at once.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    offload: Annotated[str, typer.Option(help="Take idle models off the GPU: auto, always or never.")] = "auto",
    memory: Annotated[Optional[float], typer.Option(metavar="GB", help="To use  [default: what is free]")] = None,
) -> None:
    """Make a video from a prompt: a base model, frames between, a larger picture, or a part of this way.

    Options with [STAGE=] are for all stages (base, interpolation, vsr) or for one: --steps 30 --steps vsr=20.
    """
    from training.sample import sample as sampled

    try:
        sampled(
            model,
            prompt,
            out,
            frames=frames,
            steps=_each("steps", steps, int),
            guidance=_each("guidance", guidance, float),
            seed=seed,
            fps=fps,
            size=_pixels(size) if size else None,
            scale=scale,
            interpolation=interpolation,
            vsr=vsr,
            video=video,
            first=first,
            prompts=prompts,
            negative=_each("negative", negative, str),
            suffix=_each("suffix", suffix, str),
            scheduler=_each("scheduler", scheduler, str),
            overlap=_each("overlap", overlap, int),
            noise_level=noise_level,
            image=image,
            long=long,
            batch=batch,
            keep=keep,
            device=device,
            precision=precision,
            offload=offload,
            memory=memory,
        )
    except KeyboardInterrupt:
        typer.echo("reelmill: stopped; nothing is half written", err=True)
        raise typer.Exit(130) from None


def _each(option: str, values: list[str] | None, kind: Callable[[str], T]) -> dict[str, T] | None:
    """Values by stage, "" for all others."""
    if not values:
        return None
    found: dict[str, T] = {}
    for value in values:
        stage, equals, rest = value.partition("=")
        named = bool(equals) and (stage in _STAGES or kind is not str)
        try:
            found[stage if named else ""] = kind(rest if named else value)
        except ValueError:
            raise UserError(f"--{option} {value}: expected a number, or STAGE=NUMBER") from None
    return found


def _pixels(size: str) -> tuple[int, int]:
    height, _, width = size.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise UserError(f"--size {size}: expected HEIGHTxWIDTH, for instance 320x512")
    return int(height), int(width)
