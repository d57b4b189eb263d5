"""A small dataset as curation writes it: real h264 clips, real tars, real indexes, served over HTTP."""

from __future__ import annotations

import os

# One thread a process: tests that run side by side would spin against each other on a small machine,
# and processes that are compared to the bit must add in the same order.
os.environ["OMP_NUM_THREADS"] = "1"

import functools
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import webdataset

from curation import tables
from curation.store import Place
from training.stream.opening import Opened, open_dataset

torch.set_num_threads(1)  # also where another test has started OpenMP before

SIZE = (48, 64)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 230), "white": (240, 240, 240)}


def pictures(frames: int, colour: tuple[int, int, int], start: int) -> np.ndarray:
    """A square that moves over a noisy ground, uint8 (frames, 48, 64, 3)."""
    video = np.random.default_rng(start).integers(0, 60, (1, *SIZE, 3), np.uint8).repeat(frames, axis=0)
    for number, picture in enumerate(video):
        x = (start + number) % (SIZE[1] - 16)
        picture[16:32, x : x + 16] = colour
    return video


def encode(video: np.ndarray, *, rate: int = 24) -> bytes:
    """h264 in mp4, a key frame every 16 frames, B-frames between."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "16", "bf": "2", "crf": "12"})
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def frame_index(media: bytes) -> tuple[list[int], str, list[int]]:
    """frame_pts, frame_time_base and keyframes of an mp4, by decoding all of it."""
    with av.open(io.BytesIO(media)) as container:
        stream = container.streams.video[0]
        frames = [(frame.pts, frame.key_frame) for frame in container.decode(stream)]
        return [pts for pts, _ in frames], str(stream.time_base), [i for i, (_, key) in enumerate(frames) if key]


@dataclass
class Clip:
    """A sample before it is packed; `damage` replaces its bytes in tar and index alike."""

    key: str
    frames: int = 40
    colour: str = "red"
    start: int = 0
    damage: bytes | None = None
    caption: str | None = field(default="a square", kw_only=True)


def write_dataset(folder: Path, clips: list[Clip], *, per_shard: int = 4) -> Path:
    """Pack clips as curation does; returns the path of manifest.json."""
    place, shards = Place(folder), []
    for number in range(0, len(clips), per_shard):
        name, rows, tar = f"{number // per_shard:05d}", [], io.BytesIO()
        with webdataset.TarWriter(tar, mtime=0) as writer:
            for clip in clips[number : number + per_shard]:
                media = encode(pictures(clip.frames, COLOURS[clip.colour], clip.start))
                pts, unit, keyframes = frame_index(media)
                media = clip.damage or media
                writer.write({"__key__": clip.key, "mp4": media, "txt": clip.caption or "", "json": {"key": clip.key}})
                rows.append(_row(clip, f"{name}.tar", media, pts, unit, keyframes))
        content = tar.getvalue()
        with tarfile.open(fileobj=io.BytesIO(content)) as members:
            for row in rows:
                row["offset"] = members.getmember(f"{row['key']}.mp4").offset_data
        place.commit(f"shards/{name}.tar", content)
        place.commit_table(f"shards/{name}.parquet", tables.table(rows, tables.SAMPLES))
        shards.append(
            {
                "tar": f"shards/{name}.tar",
                "index": f"shards/{name}.parquet",
                "samples": len(rows),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "index_sha256": hashlib.sha256(place.read(f"shards/{name}.parquet")).hexdigest(),
            }
        )
    manifest = {
        "format": tables.MANIFEST_FORMAT,
        "name": "squares",
        "dataset_hash": hashlib.sha256(json.dumps(shards).encode()).hexdigest(),
        "recipe_hash": "0" * 64,
        "samples": len(clips),
        "frames": sum(clip.frames for clip in clips),
        "duration_s": sum(clip.frames for clip in clips) / 24,
        "bytes": sum(int(str(shard["bytes"])) for shard in shards),
        "shards": shards,
    }
    place.commit("manifest.json", json.dumps(manifest, indent=1).encode())
    return folder / "manifest.json"


def _row(clip: Clip, shard: str, media: bytes, pts: list[int], unit: str, keyframes: list[int]) -> tables.Row:
    duration = float((pts[-1] - pts[0]) * Fraction(unit)) + 1 / 24
    return {
        "shard": shard,
        "key": clip.key,
        "clip_id": tables.clip_id(clip.key, 0, pts[-1], unit),
        "source_id": clip.key,
        "uri": f"{clip.key}.mp4",
        "start_pts": 0,
        "end_pts": pts[-1],
        "time_base": unit,
        "offset": 0,
        "bytes": len(media),
        "sha256": hashlib.sha256(media).hexdigest(),
        "frames": len(pts),
        "fps": len(pts) / duration,
        "duration_s": duration,
        "width": SIZE[1],
        "height": SIZE[0],
        "frame_pts": pts,
        "frame_time_base": unit,
        "keyframes": keyframes,
        "caption": clip.caption,
        "caption_words": len((clip.caption or "").split()),
        "scene": 0,
        "piece": 0,
        "kind": "scene",
        "trimmed": 0,
        "clip_start_pts": 0,
        "clip_end_pts": pts[-1],
        "clip_start_s": 0.0,
        "clip_end_s": duration,
        "lost_frames": 0,
        "black": 0.0,
        "clip_frames": len(pts),
        "clip_fps": len(pts) / duration,
        "clip_duration_s": duration,
        "phash": [],
        "clip_width": SIZE[1],
        "clip_height": SIZE[0],
    }


def written(path: Path, samples: list[dict[str, Any]]) -> Path:
    """A tar as webdataset writes it."""
    with open(path, "wb") as file, webdataset.TarWriter(file) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def squares(count: int) -> list[Clip]:
    names = list(COLOURS)
    return [Clip(f"clip{i:03d}", 40 + i, names[i % 4], 5 * i, caption=f"a {names[i % 4]} square") for i in range(count)]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips in three shards; the path of manifest.json."""
    return write_dataset(tmp_path_factory.mktemp("squares"), squares(10))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the URL that it is served at."""
    folder = tmp_path_factory.mktemp("served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a dataset with a cache of the test's own."""
    found = []

    def start(url: str | Path | list[str], **options: Any) -> Opened:
        address = url if isinstance(url, list) else str(url)
        found.append(open_dataset(address, **{"cache_dir": str(tmp_path / "cache"), "cache_bytes": 10**9, **options}))
        return found[-1]

    yield start
    for dataset in found:
        dataset.close()


TINY = """
data: {url: "", frames: 4, stride: 2, size: [16, 24], images: 2}
model: {widths: [8, 16], attention: [false, true], layers: 1, heads: 2, groups: 4, text_width: 16, text_layers: 1,
        text_length: 24}
optimiser: {lr: 2.0e-3, warmup: 2}
train: {out: run, steps: 8, batch: 2, ema: 0.9, checkpoint_every: 4, keep: 2, log_every: 2}
sample: {steps: 4, guidance: 2.0}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that trains in a second; data.url and train.out are for the test to set."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
