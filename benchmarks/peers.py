"""Other pipelines on the same films: PySceneDetect's command and video2dataset, which find the wheel's FFmpeg on PATH.

video2dataset 1.3 has no setting for x264, so that everyone encodes as it does: by x264's own defaults.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import tree

# What its fresh installation needs to be importable.
_VIDEO2DATASET = ("video2dataset==1.3.0", "pyarrow<19", "pandas<2.3", "setuptools<80")
_TWO_PROCESSES = {"processes_count": 2, "thread_count": 1, "subjob_size": 1000, "distributor": "multiprocessing"}
# FFmpeg's for x264.
PRESET, CRF, GOP = "medium", 23, 250


def pyscenedetect(films: Sequence[Path], folder: Path, *, copying: bool) -> dict[str, Any]:
    """`scenedetect detect-content split-video` on every film, one after the other."""
    options = ["--copy"] if copying else ["--preset", PRESET, "--rate-factor", str(CRF)]
    out = folder / "clips"
    costs = []
    for film in films:
        command = [sys.executable, "-m", "scenedetect", "-q", "-i", str(film), "-o", str(out), "detect-content"]
        costs.append(tree.run([*command, "split-video", *options], environment=_with_ffmpeg(folder)))
    return _told(costs, len(list(out.iterdir())))


def video2dataset(python: Path, films: Sequence[Path], folder: Path, *, copying: bool) -> dict[str, Any]:
    """video2dataset's cut detection and clipping to tars, a film a shard, with two processes.

    Args:
        python: the interpreter of its own environment; see `python_of_video2dataset`.
    """
    subsampling: dict[str, Any] = {
        "CutDetectionSubsampler": {"cuts_are_clips": True, "args": {"cut_detection_mode": "all"}},
        "ClippingSubsampler": {"args": {"precision": "low" if copying else "exact"}},
    }
    config = {
        "subsampling": subsampling,
        "reading": {"yt_args": {}, "timeout": 60, "sampler": None},
        "storage": {"number_sample_per_shard": 1, "oom_shard_count": 5, "captions_are_subtitles": False},
        "distribution": _TWO_PROCESSES,
    }
    folder.mkdir(parents=True, exist_ok=True)
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
    cost = tree.run(command, environment=_with_ffmpeg(folder))
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


def _with_ffmpeg(folder: Path) -> dict[str, str]:
    """An environment with the wheel's FFmpeg on PATH."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir(parents=True)
        (tools / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}


def _told(costs: Sequence[tree.Tree], clips: int) -> dict[str, Any]:
    if not clips:
        raise RuntimeError("a peer has made no clips")
    return {
        "cpu_s": round(sum(cost.cpu_s for cost in costs), 2),
        "wall_s": round(sum(cost.wall_s for cost in costs), 2),
        "largest_mb": round(max(cost.largest_mb for cost in costs)),
        "together_mb": round(max(cost.together_mb for cost in costs)),
        "clips": clips,
    }
