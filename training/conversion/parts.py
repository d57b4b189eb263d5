"""The text model and the VAE that belong to a network: found, copied, and opened once to see that they fit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from curation.errors import UserError
from curation.store import explain
from training import weights
from training.conversion.sources import Opened
from training.models.lavie.latents import Latents, open_space
from training.models.lavie.start import telling
from training.models.lavie.text import TextEncoder

_TOKENS = {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
_TOKENS |= {"added_tokens.json", "byte_tokenizer.json"}
_SETTINGS = {"config.json", "generation_config.json"}


@dataclass(frozen=True)
class Parts:
    """Folders whose files together are a text model with its tokenizer, and a VAE; empty where there is none."""

    text: tuple[Path, ...] = ()
    vae: tuple[Path, ...] = ()


def find_parts(opened: Opened, *, text: str | None, vae: str | None) -> Parts:
    """The parts by the options, or where the source has them.

    Raises:
        UserError: an option names a folder that has none.
    """
    home = str(opened.home) if opened.home else None
    return Parts(_text(text or home, asked=text is not None), _vae(vae or home, asked=vae is not None))


def write_text(folders: tuple[Path, ...], model: Path, tokens: Path, *, width: int) -> None:
    """Copy a text model and its tokenizer to a folder each, which may be the same."""
    for folder in {model, tokens}:
        folder.mkdir(parents=True)
    for source in folders:
        for path in sorted(source.iterdir()):
            if path.name in _TOKENS:
                _copy(path, tokens / path.name)
            elif path.name in _SETTINGS:
                _copy(path, model / path.name)
    _write_weights(weights.find(folders[0], "model", "pytorch_model"), model / "model.safetensors")
    if model == tokens:
        with telling("--text", folders[0]):
            found = TextEncoder.load(model).width
        if found != width:
            raise UserError(f"--text: {folders[0]} gives text of width {found}, the network takes {width}")


def write_vae(folders: tuple[Path, ...], out: Path, *, channels: int) -> None:
    """Copy a VAE."""
    out.mkdir(parents=True)
    _copy(folders[0] / "config.json", out / "config.json")
    name = "diffusion_pytorch_model"
    _write_weights(weights.find(folders[0], name), out / f"{name}.safetensors")
    with telling("--vae", folders[0]):
        space = open_space(str(out))
    if not isinstance(space, Latents) or space.channels != channels:
        raise UserError(f"--vae: {folders[0]} gives latents of {space.channels} channels, the network takes {channels}")


def speaks_clip(folders: tuple[Path, ...]) -> bool:
    """Whether the tokenizer is CLIP's, which other programs know as well."""
    return any((folder / "vocab.json").is_file() or (folder / "tokenizer.json").is_file() for folder in folders)


def _text(place: str | None, *, asked: bool) -> tuple[Path, ...]:
    if place is None:
        return ()
    for text in (Path(place, "text_encoder"), Path(place, "text"), Path(place)):
        model_there = (text / "config.json").is_file()
        tokens = next((found for found in (text, text.with_name("tokenizer")) if _has_tokens(found)), None)
        if model_there and tokens is not None:
            return (text,) if tokens == text else (text, tokens)
    if asked:
        raise UserError(f"--text: {place} has no text model with its tokenizer (text_encoder/ and tokenizer/)")
    return ()


def _vae(place: str | None, *, asked: bool) -> tuple[Path, ...]:
    if place is None:
        return ()
    for vae in (Path(place, "vae"), *([Path(place)] if asked else [])):
        if (vae / "config.json").is_file():
            return (vae,)
    if asked:
        raise UserError(f"--vae: {place} has no AutoencoderKL (vae/config.json)")
    return ()


def _has_tokens(folder: Path) -> bool:
    return folder.is_dir() and any((folder / name).is_file() for name in _TOKENS)


def _write_weights(source: Path, out: Path) -> None:
    """The weights as safetensors; what is pickled is read by `weights`, which runs nothing."""
    if source.suffix == ".safetensors":
        _copy(source, out)
    else:
        weights.write(weights.read(source), out)


def _copy(source: Path, out: Path) -> None:
    try:
        shutil.copyfile(source, out)
    except OSError as error:
        raise UserError(f"cannot copy {source}: {explain(error)}") from error
