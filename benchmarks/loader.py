"""What a clip costs the loader, against decoding the same frames bare and against how tars are usually read.

    python -m benchmarks.loader --footage DIR [--work DIR] [--clips 40] [--runs 3] [--parts PARTS] [--json FILE]

The footage (720p, long groups of pictures) is curated twice: cut by copy, so that the tars hold the originals, and
encoded as our shards are by default. 16 frames at a drawn stride of 2 to 4 are taken to 320x512, one thread. Sides on
the originals:

    bare         the same frames by PyAV, their media in memory: the limit
    reelmill     the loader, whole batches
    decord       webdataset reads the tars, decord gives the same frames at full size, OpenCV resizes them
    decord tensor  the same with torch's bilinear resize of float tensors, as video datasets of trainers do (Latte's)
    decord small the same with decord's own resize
    whole clip   webdataset reads the tars, PyAV decodes all of each clip

`own shards` is the loader on the encoded ones. What is counted is CPU time, after two clips for warming up. Sides take
turns in one process, and ratios are taken turn by turn. The parts: `sides`; `cores`, two threads against two
processes; `memory` over ten times as many clips; `large`, opening a dataset of five million samples, made by
`benchmarks.multiplied`, at its first and at its last.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import cost
from training.stream.clips import piece
from training.stream.dataset import FrameIndex
from training.stream.decode import covering
from training.stream.decode_pyav import frames

FRAMES, STRIDES, SIZE = 16, (2, 4), (320, 512)
DATA = {"view": "base", "frames": FRAMES, "stride": STRIDES, "size": SIZE, "images": 0}
SIDES = {
    "bare": "originals",
    "reelmill": "originals",
    "decord": "originals",
    "decord tensor": "originals",
    "decord small": "originals",
    "whole clip": "originals",
    "own shards": "own",
}
TARGETS = {"bare": 0.9, "decord": 2.2, "decord tensor": 2.2, "decord small": 1.25, "whole clip": 4.0, "own shards": 4.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a film or a folder of films of 720p or more")
    parser.add_argument("--work", type=Path, help="where the two datasets are, or are made")
    parser.add_argument("--clips", type=int, default=40, help="clips of each side in a turn")
    parser.add_argument("--runs", type=int, default=3, help="turns of each side")
    parser.add_argument("--millions", type=float, default=5.0, help="samples of the large dataset")
    parser.add_argument("--parts", default="sides,cores,memory,large", help="what to measure, of these")
    parser.add_argument("--json", type=Path, help="where to write the figures; other parts' stay")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        print(json.dumps(_side(chosen.side, chosen.work, chosen.clips)))
        return
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        work = chosen.work or Path(folder)
        _curated(chosen.footage, work)
        found = {"machine": cost.machine()}
        for part in chosen.parts.split(","):
            found[part] = {
                "sides": lambda: _sides(work, chosen.clips, chosen.runs),
                "cores": lambda: _cores(work, 4 * chosen.clips, chosen.runs),
                "memory": lambda: _run("memory", work, 10 * chosen.clips),
                "large": lambda: _large(work, chosen.millions),
            }[part]()
            print(json.dumps({part: found[part]}, indent=1), flush=True)
    if chosen.json:
        before = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
        chosen.json.write_text(json.dumps({**before, **found}, indent=1) + "\n")


def _curated(footage: Path | None, work: Path) -> None:
    for name, cut in (("originals", "copy"), ("own", "encode")):
        if (work / name / "manifest.json").exists():
            continue
        if footage is None:
            sys.exit("give --footage, or --work with its two datasets")
        settings = ["--set", f"shard.cut={cut}", "--set", "shard.samples=8"]
        command = [sys.executable, "-m", "curation.cli", "curate", str(footage), "--out", str(work / name), *settings]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _run(side: str, work: Path, clips: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.loader", "--side", side, "--work", str(work), "--clips", str(clips)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _sides(work: Path, clips: int, runs: int) -> dict[str, Any]:
    """CPU milliseconds a clip, and how many times more clips a CPU second of the loader gives than each other side.

    Of `own shards`, how many times more the loader gives on them than on the originals.
    """
    cv2.setNumThreads(1)
    streams: dict[str, Iterator[float]] = {}
    for side, name in SIDES.items():
        try:
            streams[side] = _STREAMS[side](
                work / name / "manifest.json", sorted((work / name / "shards").glob("*.tar"))
            )
            next(streams[side]), next(streams[side])
        except ImportError as error:
            print(f"{side}: {error.name} is not installed: pip install {error.name}", file=sys.stderr)
            streams.pop(side)
    turns: list[dict[str, float]] = []
    bytes_per_clip: dict[str, float] = {}
    for turn in range(runs):
        took: dict[str, float] = {}
        for side, stream in streams.items():
            before, total = time.process_time(), 0.0
            for _ in range(clips):
                total += next(stream)
            took[side] = (time.process_time() - before) / clips * 1000
            bytes_per_clip[side] = total / clips
            print(f"turn {turn}: {side} {took[side]:.1f} ms", file=sys.stderr)
        turns.append(took)
    times = {side: statistics.median(turn[side] for turn in turns) for side in turns[0]}
    ratios = {side: [turn[side] / turn["reelmill"] for turn in turns] for side in times if side != "reelmill"}
    ratios["own shards"] = [turn["reelmill"] / turn["own shards"] for turn in turns]
    return {
        "clips": clips,
        "cpu_ms_a_clip": {side: round(value, 1) for side, value in times.items()},
        "times_faster": {
            side: {"median": round(statistics.median(values), 2), "turns": [round(value, 2) for value in values]}
            for side, values in ratios.items()
            if values
        },
        "targets": TARGETS,
        "bytes_read_a_clip": {side: round(number) for side, number in bytes_per_clip.items() if number},
    }


def _cores(work: Path, clips: int, runs: int) -> dict[str, Any]:
    """Two threads of one process against two processes of one thread each: clips a second on the clock, and CPU."""
    turns: dict[str, list[dict[str, float]]] = {"threads": [], "processes": []}
    for _ in range(runs):
        turns["threads"].append(_run("threads", work, clips))
        command = [sys.executable, "-m", "benchmarks.loader", "--work", str(work), "--clips", str(clips // 2)]
        both = [
            subprocess.Popen([*command, "--side", side], stdout=subprocess.PIPE, text=True)
            for side in ("rank 0", "rank 1")
        ]
        told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in both]
        turns["processes"].append(
            {
                "clips_per_s": sum(found["clips_per_s"] for found in told),
                "cpu_ms": statistics.mean(found["cpu_ms"] for found in told),
            }
        )
    return {
        way: {key: round(statistics.median(turn[key] for turn in found), 2) for key in ("clips_per_s", "cpu_ms")}
        for way, found in turns.items()
    }


def _large(work: Path, millions: float) -> dict[str, Any]:
    from benchmarks.multiplied import multiply

    folder = work / f"large-{millions:g}"
    manifest = folder / "manifest.json"
    if not manifest.exists():
        multiply(work / "own" / "manifest.json", folder, int(millions * 1e6))
    _run("open 0", folder, 1)  # the index is made once, and kept
    places = {"first": 0, "last": int(millions * 1e6) - 8}
    return {
        "samples": int(millions * 1e6),
        **{name: [_run(f"open {place}", folder, 1) for _ in range(3)] for name, place in places.items()},
    }


def _side(side: str, work: Path, clips: int) -> dict[str, Any]:
    """What needs a process of its own."""
    return _opening(work, int(side.split()[1])) if side.startswith("open ") else _shared(side, work, clips)


def _loader(manifest: Path, **more: Any) -> Any:
    from training.recipe_data import Data
    from training.stream import Position, open_loader

    threads, batch, rank = more.pop("threads", 0), more.pop("batch", 4), more.pop("rank", None)
    data = Data.model_validate({"url": str(manifest), "threads": threads, **DATA, **more})
    parts = {} if rank is None else {"rank": rank, "world": 2}
    return open_loader(data, seed=0, batch=batch, text_dropout=0.0, position=Position(), **parts)


def _reelmill(manifest: Path, tars: list[Path]) -> Iterator[float]:
    loader = _loader(manifest, batch=1)
    for _ in loader:
        yield loader.report().bytes_per_clip


@functools.lru_cache(maxsize=1)
def _jobs(manifest: Path) -> list[tuple[bytes, list[int], FrameIndex]]:
    """Media, frames and index of the first samples, as the loader takes them."""
    loader = _loader(manifest, batch=1)
    cursor, jobs = loader.position.cursor, []
    for _ in range(80):
        choice = loader.plan.take(cursor)[0].clip
        entry = choice.dataset.entry(choice.draws.number)
        taken = piece(entry.index, FRAMES, loader.plan.data, choice.draws.rng("clip"))
        jobs.append((choice.dataset.media(entry), taken.frames, entry.index))
    return jobs


def _bare(manifest: Path, tars: list[Path]) -> Iterator[float]:
    for media, wanted, index in itertools.cycle(_jobs(manifest)):
        for _ in frames(media, wanted, index, size=SIZE):
            pass
        yield 0.0


def _from_tars(manifest: Path, tars: list[Path]) -> Iterator[tuple[bytes, list[int]]]:
    """The same clips and frames, for each of which webdataset has read a sample from the tars."""
    import webdataset

    def read() -> Iterator[Any]:
        while True:
            yield from webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=100, seed=0).shuffle(16)

    for (media, wanted, _), _ in zip(itertools.cycle(_jobs(manifest)), read()):
        yield media, wanted


def _crop(pictures: Sequence[Any]) -> np.ndarray:
    stack = np.stack(pictures)
    top, left = (stack.shape[1] - SIZE[0]) // 2, (stack.shape[2] - SIZE[1]) // 2
    return np.ascontiguousarray(stack[:, top : top + SIZE[0], left : left + SIZE[1]])


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = covering(picture.shape[0], picture.shape[1], SIZE)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


def _decord(manifest: Path, tars: list[Path]) -> Iterator[float]:
    import decord

    for media, wanted in _from_tars(manifest, tars):
        pictures = decord.VideoReader(io.BytesIO(media), num_threads=1).get_batch(wanted).asnumpy()
        _crop([_small(picture) for picture in pictures])
        yield 0.0


def _decord_tensor(manifest: Path, tars: list[Path]) -> Iterator[float]:
    import decord
    import torch

    torch.set_num_threads(1)
    for media, wanted in _from_tars(manifest, tars):
        pictures = decord.VideoReader(io.BytesIO(media), num_threads=1).get_batch(wanted).asnumpy()
        size = covering(pictures.shape[1], pictures.shape[2], SIZE)
        video = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        small = torch.nn.functional.interpolate(video, size=size, mode="bilinear", align_corners=False)
        _crop(list(small.byte().permute(0, 2, 3, 1).numpy()))
        yield 0.0


def _decord_small(manifest: Path, tars: list[Path]) -> Iterator[float]:
    import decord

    height, width = covering(720, 1280, SIZE)
    for media, wanted in _from_tars(manifest, tars):
        reader = decord.VideoReader(io.BytesIO(media), width=width, height=height, num_threads=1)
        _crop(list(reader.get_batch(wanted).asnumpy()))
        yield 0.0


def _whole(manifest: Path, tars: list[Path]) -> Iterator[float]:
    for media, wanted in _from_tars(manifest, tars):
        with av.open(io.BytesIO(media)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        _crop([_small(pictures[number]) for number in wanted])
        yield 0.0


_STREAMS: dict[str, Callable[[Path, list[Path]], Iterator[float]]] = {
    "bare": _bare,
    "reelmill": _reelmill,
    "decord": _decord,
    "decord tensor": _decord_tensor,
    "decord small": _decord_small,
    "whole clip": _whole,
    "own shards": _reelmill,
}


def _shared(side: str, work: Path, clips: int) -> dict[str, Any]:
    """Throughput of one process, and its memory after a fifth and after all of the clips."""
    manifest = work / "own" / "manifest.json"
    rank = int(side[-1]) if side.startswith("rank") else None
    batch = 8 if rank is not None else 4
    stream = iter(_loader(manifest, batch=batch, threads=0 if rank is not None else 2, rank=rank))
    next(stream)
    wall, cpu, early = time.perf_counter(), time.process_time(), 0.0
    for number in range(max(1, clips // 4)):
        next(stream)
        if number == clips // 20:
            early = _memory_mb()
    seconds, took = time.perf_counter() - wall, time.process_time() - cpu
    made = max(1, clips // 4) * 4
    return {
        "clips_per_s": made / seconds,
        "cpu_ms": took / made * 1000,
        "mb_after_a_fifth": early,
        "mb_at_the_end": _memory_mb(),
        "clips": made,
    }


def _opening(folder: Path, place: int) -> dict[str, Any]:
    """From nothing to the first batch at a place of the first epoch."""
    from training.recipe_data import Data
    from training.stream import Position, open_loader
    from training.stream.plan import Cursor, Stream

    wall, cpu = time.perf_counter(), time.process_time()
    cursor = Cursor(step=place // 4, streams={"data/0": Stream(0, place)})
    data = Data.model_validate({"url": str(folder / "manifest.json"), "cache_dir": str(folder / "cache"), **DATA})
    loader = open_loader(data, seed=0, batch=4, text_dropout=0.0, position=Position(place, cursor))
    opened = time.perf_counter() - wall
    batch = next(iter(loader))
    return {
        "samples": sum(len(stock.latest.rows.clips) for stock in loader.plan.stocks),
        "open_s": round(opened, 2),
        "first_batch_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "epochs": sorted({draws.epoch for draws in batch.draws}),
    }


def _memory_mb() -> float:
    status = Path("/proc/self/statm").read_text().split()
    return round((int(status[1]) - int(status[2])) * resource.getpagesize() / 1e6, 1)


if __name__ == "__main__":
    main()
