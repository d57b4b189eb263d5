"""What decides the outcome of a scan. Light to import: whoever asks a jailed child for a scan needs no decoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """See `curation.recipe.Split` for the meaning of each."""

    detector: str = "judged"
    threshold: float | None = None
    gradual: bool = True
    speed: str = "exact"
    min_frames: int = 16
    max_seconds: float = 20.0
    trim_frames: int = 0
    thumbnails: int = 3
    thumbnail_size: int = 256
    ranges: list[list[float]] | None = None
    """Starts and ends of the scenes, where they were given and need not be found: in the order of time, from the first
    frame on. Seconds."""
