"""`reelmill convert`: public weights to a model folder of ours, and back."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from curation.errors import UserError
from curation.store import explain
from training.extras import require_libraries, share_cores

TARGETS = ("ours", "lavie-base", "lavie-interpolation", "lavie-vsr", "diffusers")


def convert(
    source: str,
    out: str,
    *,
    to: str = "ours",
    view: str | None = None,
    text: str | None = None,
    vae: str | None = None,
    overrides: Sequence[str] = (),
) -> list[str]:
    """Convert weights. What is written appears whole or not at all; memory stays small, since files are mapped.

    Args:
        source: a released `lavie_*.pt` (or the same as .safetensors), a folder of diffusers (a whole pipeline or a
            UNet2DConditionModel alone), a run or a model folder of ours.
        out: what to write: a folder, or for LaVie's layouts a .pt or .safetensors file.
        to: one of `TARGETS`.
        view: what the model becomes, where that is another than it was: a base model the beginning of an
            interpolation model.
        text, vae: folders of the text model with its tokenizer, and of the AutoencoderKL; or of a pipeline that has
            them. Those of the source unless given.
        overrides: `key=value` of `training.recipe.Model`, for what the keys do not tell (heads, groups) and for how
            a 2D model is inflated (norm, layout, positions).

    Returns:
        What was read and written, for people.

    Raises:
        UserError: a file cannot be used, its keys are not those of the model, or `out` cannot be written.
    """
    require_libraries("convert")
    share_cores()
    if to not in TARGETS:
        raise UserError(f"--to must be one of {', '.join(TARGETS)}, not {to}")
    from training.conversion import parts, sources, targets

    endings = (".pt", ".safetensors") if targets.is_file(to) else None
    with _appearing(Path(out), endings) as part:
        opened = sources.open_source(Path(source), view=view, overrides=overrides)
        found = parts.find_parts(opened, text=text, vae=vae)
        lines = targets.write(opened, found, to, part)
    return [*opened.told, f"wrote {out}: {lines[0]}", *lines[1:]]


@contextlib.contextmanager
def _appearing(out: Path, endings: tuple[str, ...] | None) -> Iterator[Path]:
    """A temporary path beside `out`, renamed to it at the end and removed on failure.

    Raises:
        UserError: there is something already, the ending is another, or the place cannot be written.
    """
    if endings and out.suffix not in endings:
        raise UserError(f"{out}: must end in {' or '.join(endings)}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: there is something already; remove it, or write to another place")
    part = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        _remove(part)  # of a conversion that was killed
        part.parent.mkdir(parents=True, exist_ok=True)
        yield part
        for path in (*part.rglob("*"), part):
            _sync(path)
        os.replace(part, out)  # also over a folder that is empty
        _sync(out.parent)
    except OSError as error:
        raise UserError(f"cannot write {out}: {explain(error)}") from error
    finally:
        _remove(part)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
