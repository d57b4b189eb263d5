"""Other pipelines on the same films, told to encode as Reelmill does: PySceneDetect's command and video2dataset.

Both find FFmpeg on PATH, which is the wheel's here. PySceneDetect takes x264's settings as options. video2dataset 1.3
passes none, so that it gets an `ffmpeg` which adds them wherever it encodes.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import tree

# What its fresh installation needs to be importable.
_VIDEO2DATASET = ("video2dataset==1.3.0", "pyarrow<19", "pandas<2.3", "setuptools<80")
_TWO_PROCESSES = {"processes_count": 2, "thread_count": 1, "subjob_size": 1000, "distributor": "multiprocessing"}
# All arguments, with what is to be added before the last one, which names the output; copies stay as they are.
_ADDING = """#!/bin/sh
case " $* " in *" -c copy "*) exec {ffmpeg} "$@";; esac
count=$#
for one in "$@"; do
    [ "$count" = 1 ] && break
    set -- "$@" "$one"; shift; count=$((count - 1))
done
last=$1; shift
exec {ffmpeg} "$@" {added} "$last"
"""


@dataclass(frozen=True)
class Product:
    """What is to come out: clips at full size or smaller, encoded by x264, or copied where `crf` is None."""

    crf: int | None
    preset: str = "veryfast"
    gop: int = 250
    lines: int | None = None

    @property
    def options(self) -> list[str]:
        """Those of FFmpeg."""
        return ["-c:v", "libx264", "-preset", self.preset, "-crf", str(self.crf), "-g", str(self.gop)]


def pyscenedetect(films: Sequence[Path], folder: Path, product: Product) -> dict[str, Any]:
    """`scenedetect detect-content split-video` on every film, one after the other."""
    if product.crf is None:
        options = ["--copy"]
    else:
        scale = ["-vf", f"scale=-2:{product.lines}"] if product.lines else []
        options = ["--args", shlex.join(["-map", "0:v:0", *scale, *product.options])]
    environment = _with_ffmpeg(folder / "tools", added=[])
    out = folder / "clips"
    costs = []
    for film in films:
        command = [sys.executable, "-m", "scenedetect", "-q", "-i", str(film), "-o", str(out), "detect-content"]
        costs.append(tree.run([*command, "split-video", *options], environment=environment))
    return _told(costs, len(list(out.iterdir())))


def video2dataset(python: Path, films: Sequence[Path], folder: Path, product: Product) -> dict[str, Any]:
    """video2dataset's cut detection and clipping to tars, a film a shard, with two processes.

    At full size alone: in 1.3 its resizing fails while films are clipped (it has no attribute `encode_formats`).

    Args:
        python: the interpreter of its own environment; see `python_of_video2dataset`.
    """
    assert product.lines is None
    clipping = {"precision": "low" if product.crf is None else "exact"}
    subsampling: dict[str, Any] = {
        "CutDetectionSubsampler": {"cuts_are_clips": True, "args": {"cut_detection_mode": "all"}},
        "ClippingSubsampler": {"args": clipping},
    }
    config = {
        "subsampling": subsampling,
        "reading": {"yt_args": {}, "timeout": 60, "sampler": None},
        "storage": {"number_sample_per_shard": 1, "oom_shard_count": 5, "captions_are_subtitles": False},
        "distribution": _TWO_PROCESSES,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(config))
    with open(folder / "films.csv", "w", newline="") as table:
        csv.writer(table).writerows([["url"], *([str(film)] for film in films)])
    given = {
        "url_list": folder / "films.csv",
        "input_format": "csv",
        "url_col": "url",
        "output_format": "webdataset",
        "output_folder": folder / "out",
        "config": folder / "config.yaml",
        "tmp_dir": folder,
    }
    command = [str(python), "-m", "video2dataset.main", *(f"--{name}={value}" for name, value in given.items())]
    added = [] if product.crf is None else product.options
    cost = tree.run(command, environment=_with_ffmpeg(folder / "tools", added))
    clips = 0
    for path in (folder / "out").glob("*.tar"):
        with tarfile.open(path) as tar:
            clips += sum(name.endswith(".mp4") for name in tar.getnames())
    return _told([cost], clips)


def python_of_video2dataset(folder: Path) -> Path:
    """The interpreter of its own environment, which is made first where there is none (3 GB)."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_VIDEO2DATASET], check=True)
    return python


def _with_ffmpeg(folder: Path, added: Sequence[str]) -> dict[str, str]:
    """An environment with the wheel's FFmpeg on PATH, which adds options before its last argument."""
    folder.mkdir(parents=True, exist_ok=True)
    program, ffmpeg = folder / "ffmpeg", imageio_ffmpeg.get_ffmpeg_exe()
    if not program.exists() and not added:
        program.symlink_to(ffmpeg)
    elif not program.exists():
        program.write_text(_ADDING.format(ffmpeg=shlex.quote(ffmpeg), added=shlex.join(added)))
        program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def _told(costs: Sequence[tree.Tree], clips: int) -> dict[str, Any]:
    return {
        "cpu_s": round(sum(cost.cpu_s for cost in costs), 2),
        "wall_s": round(sum(cost.wall_s for cost in costs), 2),
        "largest_mb": round(max(cost.largest_mb for cost in costs)),
        "together_mb": round(max(cost.together_mb for cost in costs)),
        "clips": clips,
    }
