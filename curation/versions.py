"""Which programs make an output: the same versions give the same bytes."""

from __future__ import annotations

import functools
from importlib import metadata

import imageio_ffmpeg

_PACKAGES = {
    "reelmill": ("reelmill",),
    "av": ("av",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "pyarrow": ("pyarrow",),
    "scenedetect": ("scenedetect", "scenedetect-headless"),
}


@functools.cache
def tools() -> dict[str, str]:
    """Versions by name, of what is installed here."""
    found = {name: _version(packages) for name, packages in _PACKAGES.items()}
    return {**found, "ffmpeg": imageio_ffmpeg.get_ffmpeg_version()}


def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"
