"""Prompts and the files that are made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from curation.errors import UserError

MAX_BYTES = 1 << 26  # of a file of prompts


@dataclass(frozen=True)
class Job:
    """One file to make."""

    prompt: str
    out: Path


def listed(prompt: str | None, prompts: str | None, out: str, ending: str) -> list[Job]:
    """What is to be made of one prompt, or of a file of them.

    Raises:
        UserError: neither or both are given, the file cannot be read, or `out` does not fit.
    """
    if (prompt is None) == (prompts is None):
        raise UserError("give a prompt with --prompt, or a file of them with --prompts")
    if prompt is not None:
        if Path(out).suffix.lower() != ending:
            raise UserError(f"--out must end in {ending}, not {out}")
        return [Job(prompt, Path(out))]
    path = Path(prompts or "")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"--prompts {path}: more than {MAX_BYTES >> 20} MB")
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--prompts {path}: cannot be read: {error}") from error
    if Path(out).suffix.lower() in (".mp4", ".png"):
        raise UserError(f"--out must be a folder where there are --prompts, not {out}")
    found = [Job(line, Path(out, name(number, line) + ending)) for number, line in enumerate(lines, 1) if line]
    if not found:
        raise UserError(f"--prompts {path}: no prompt in it; one a line")
    return found


def name(number: int, prompt: str) -> str:
    """A file's name without its ending: the line and the beginning of the prompt."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:40].strip("-")
    return f"{number:04d}-{words}".strip("-")
