"""`reelmill sample`: a prompt to an mp4, with a trained model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError
from training.extras import require_libraries, share_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def sample(
    model: str,
    prompt: str,
    out: str,
    frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    fps: int = 8,
    size: tuple[int, int] | None = None,
    scale: int = 1,
) -> None:
    """Write a video for a prompt, with prompt and settings in its comment.

    Args:
        model: folder of a finished run, or the model/ folder in it.
        prompt: what the video shows; empty for an unconditional one.
        out: path of the mp4.
        frames: frames of the video; those of the training unless given.
        steps: steps of DDIM; those of the recipe unless given.
        guidance: scale of classifier-free guidance; that of the recipe unless given.
        seed: of the noise; the same seed gives the same video.
        fps: frames per second of the mp4 (LaVie saves 8).
        size: height and width in pixels; those of the training unless given.
        scale: repeat every pixel so many times in both directions.

    Raises:
        UserError: the model or a setting cannot be used, or the file cannot be written.
    """
    require_libraries("sample")
    share_cores()
    for name, value in (("frames", frames), ("steps", steps), ("fps", fps), ("scale", scale)):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    if Path(out).suffix.lower() != ".mp4":
        raise UserError(f"--out must end in .mp4, not {out}")
    folder = _model_folder(model)

    from rich.console import Console
    from rich.progress import track

    from curation.validate import load
    from training.models.lavie.stage import Stage
    from training.recipe import Recipe

    recipe = load(folder / "recipe.yaml", Recipe)
    network = Stage.load(folder)
    if network.view != "base":
        raise UserError(f"--model: {folder} is a model of the view {network.view}; only base models are sampled so far")
    size = size or recipe.data.size
    network.check_size(size, "--size")
    steps = steps or recipe.sample.steps
    if steps > recipe.diffusion.steps:
        raise UserError(f"--steps must be at most {recipe.diffusion.steps}, not {steps}")
    guidance = recipe.sample.guidance if guidance is None else guidance
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

    def progress(work: Iterable[Any]) -> Iterable[Any]:
        return track(work, "sampling", total=steps, console=console, disable=not console.is_terminal)

    from training.generate import generate

    video = generate(
        network,
        recipe.diffusion,
        prompt,
        frames=frames or recipe.data.frames,
        size=size,
        steps=steps,
        guidance=guidance,
        seed=seed,
        progress=progress,
    )
    settings = {"prompt": prompt, "seed": seed, "steps": steps, "guidance": guidance, "model": str(folder)}
    video = video.repeat(scale, axis=1).repeat(scale, axis=2)
    write_mp4(Path(out), video, fps=fps, comment=json.dumps(settings, ensure_ascii=False))
    console.print(f"wrote {out}")


def _model_folder(model: str) -> Path:
    for folder in (Path(model), Path(model, "model")):
        if (folder / "config.json").is_file() and (folder / "recipe.yaml").is_file():
            return folder
    if Path(model, "checkpoints").is_dir():
        raise UserError(f"{model}: this run has no model yet; it is written when training ends")
    raise UserError(f"{model}: no model here; give the folder of a finished run (train.out)")


def write_mp4(path: Path, video: NDArray[np.uint8], *, fps: int, comment: str) -> None:
    """Write RGB frames, uint8 (frames, height, width, 3), as h264; the file is whole or not there.

    Raises:
        UserError: it cannot be written.
    """
    import av

    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(part), "w", format="mp4") as container:
            container.metadata["comment"] = comment
            stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "16"})
            stream.height, stream.width = video.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for picture in video:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        os.replace(part, path)
    except (OSError, av.error.FFmpegError) as error:
        raise UserError(f"cannot write {path}: {' '.join(str(error).split())}") from error
    finally:
        part.unlink(missing_ok=True)
