"""Raw films to shards: CPU seconds, wall time and memory of each way of cutting, over a bare decode in the same run.

    python -m benchmarks.raw_to_shards [--footage DIR] [--runs 1] [--ways …] [--peers …] [--copies 4] [--json FILE]

The limit is FFmpeg's own decode to nothing on one thread (the wheel's binary). CPU seconds are user and system of all
processes; they are steadier than wall time on a shared machine. `over_bare_decode` counts what workers and their
decoders spend on units; `whole_over_bare_decode` the command with Ray's start, the driver and the report, which a
longer run pays once too. Peers (PySceneDetect's command; video2dataset 1.3, for which `--environment` is made first)
are counted whole. `--copies` is how often the films are there for the comparison of two workers with one; 0 leaves it
out. Films are taken without their sound; without `--footage` the demo's are made first.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks import cost, peers, tree
from curation.phases.ingest import MEDIA

PHASES = ("split", "score", "caption", "cut", "shard")
_ENCODING = ["--set", "shard.short_side=null", "--set", f"shard.preset={peers.PRESET}"]
_ENCODING += ["--set", f"shard.crf={peers.CRF}", "--set", f"shard.gop={peers.GOP}", "--set", "shard.fast_decode=false"]
# All scenes are kept, so that the peers' work is ours; or the sharper half of each film's, which the peers cannot know
# before they have encoded all. Where copy and smart cannot be taken, clips fail in the variants `… alone`, so that the
# figure is that of the way itself; the others encode those clips at full size.
_ALL = ["--set", "select={rules: [], max_black: null, max_frozen: null}"]
_HALF = ["--set", "select={rules: [{field: sharpness, min: p50, by: source_id}], max_black: null, max_frozen: null}"]
_ALONE = ["--set", "shard.otherwise=fail"]
WAYS = {
    "copy alone": [*_ALL, *_ENCODING, "--set", "shard.cut=copy", *_ALONE],
    "copy": [*_ALL, *_ENCODING, "--set", "shard.cut=copy"],
    "smart alone": [*_ALL, *_ENCODING, "--set", "shard.cut=smart", *_ALONE],
    "smart": [*_ALL, *_ENCODING, "--set", "shard.cut=smart"],
    "encode": [*_ALL, *_ENCODING],
    "encode, half kept": [*_HALF, *_ENCODING],
    "encode, defaults": _ALL,
}
_USUAL = ["copy alone", "smart alone", "encode", "encode, half kept"]
# Which of our ways to set beside a peer.
BESIDE = {
    "PySceneDetect, encoding": ("encode", "encode, half kept", "copy alone"),
    "PySceneDetect, copying": ("copy alone",),
    "video2dataset, encoding": ("encode", "encode, half kept", "copy alone"),
    "video2dataset, copying": ("copy alone",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--runs", type=int, default=1, help="runs of each, taken in turn")
    parser.add_argument("--ways", nargs="*", default=_USUAL, choices=WAYS)
    parser.add_argument("--peers", nargs="*", default=["PySceneDetect"], choices=["PySceneDetect", "video2dataset"])
    environment = "of video2dataset; made where it is not there"
    parser.add_argument("--environment", type=Path, default=Path(".venv-video2dataset"), help=environment)
    parser.add_argument("--copies", type=int, default=4, help="of the films, for two workers over one; 0: leave it out")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    others: dict[str, Callable[..., dict[str, Any]]] = {}
    if "PySceneDetect" in chosen.peers:
        others["PySceneDetect"] = peers.pyscenedetect
    if "video2dataset" in chosen.peers:
        python = peers.python_of_video2dataset(chosen.environment.absolute())
        others["video2dataset"] = functools.partial(peers.video2dataset, python)
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as folder:
        footage = chosen.footage or _demo_footage(Path(folder))
        films = _silent(footage, Path(folder) / "silent")
        runs = [_run(films, Path(folder) / str(number), chosen.ways, others) for number in range(chosen.runs)]
        figures = _summary(runs, films)
        if chosen.copies:
            figures["two workers over one"] = _scaling(films, chosen.copies, Path(folder))
    print(json.dumps(figures, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _demo_footage(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "demo.footage", str(folder / "footage")], check=True)
    return folder / "footage"


def _silent(footage: Path, folder: Path) -> list[Path]:
    """The films of a folder without their sound, which peers would encode and we leave out.

    Files that FFmpeg cannot read are left out: peers would end at them.
    """
    folder.mkdir()
    films = []
    for path in sorted(path for path in footage.rglob("*") if path.suffix.lower() in MEDIA):
        film = folder / path.name
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", f"file:{path.absolute()}", "-map", "0:V:0"]
        command += ["-c", "copy", f"file:{film}"]
        if subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0:
            films.append(film)
        else:
            film.unlink(missing_ok=True)
    return films


def _run(
    films: Sequence[Path], folder: Path, ways: Sequence[str], others: Mapping[str, Callable[..., dict[str, Any]]]
) -> dict[str, Any]:
    """Everything once, in turn."""
    footage = _linked(films, 1, folder / "films")
    sides: dict[str, Callable[[Path], dict[str, Any]]] = {
        way: functools.partial(_curate, [str(footage)], WAYS[way]) for way in ways
    }
    for peer, cut in others.items():
        sides[f"{peer}, encoding"] = functools.partial(cut, films, copying=False)
        sides[f"{peer}, copying"] = functools.partial(cut, films, copying=True)
    decode = cost.bare_decode(films)
    run: dict[str, Any] = {"bare decode": {"cpu_s": round(decode.cpu_s, 2), "wall_s": round(decode.wall_s, 2)}}
    for number, (name, side) in enumerate(sides.items()):
        run[name] = side(folder / f"out-{number}")
        print(name, json.dumps(run[name]), flush=True)
    return run


def _linked(films: Sequence[Path], copies: int, folder: Path) -> Path:
    """A folder in which each film is found so often."""
    folder.mkdir(parents=True)
    for copy in range(copies):
        for film in films:
            (folder / f"{copy}-{film.name}").symlink_to(film)
    return folder


def _curate(given: Sequence[str], way: Sequence[str], out: Path) -> dict[str, Any]:
    """A whole run in a process of its own."""
    whole = tree.run(_command(given, out, way))
    return {
        "cpu_s": round(whole.cpu_s, 2),
        "wall_s": round(whole.wall_s, 2),
        "largest_mb": round(whole.largest_mb),
        "together_mb": round(whole.together_mb),
        **_worked(out),
    }


def _command(given: Sequence[str], out: Path, way: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "curation.cli", "curate", *given, "--out", str(out), *way]


def _worked(out: Path) -> dict[str, Any]:
    """What workers did, by the run's log of events."""
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    phases = {event["phase"]: event for event in events if event["event"] == "done"}
    ledger = json.loads((out / "ledger.json").read_text())
    return {
        "work_cpu_s": round(sum(phase["cpu_s"] for phase in phases.values()), 2),
        "work_wall_s": round(sum(phase["seconds"] for phase in phases.values()), 2),
        "phases_cpu_s": {name: phases[name]["cpu_s"] for name in PHASES},
        "clips": ledger["samples"]["in shards"],
        "clips_found": ledger["clips"]["all"],
    }


def _scaling(films: Sequence[Path], copies: int, folder: Path) -> dict[str, Any]:
    """The same films copied to shards on Ray clusters of one and of two cores, which are started beforehand."""
    footage = _linked(films, copies, folder / "copies")
    bare = cost.bare_decode(films).cpu_s * copies
    found: dict[int, dict[str, Any]] = {}
    for workers in (1, 2):
        with _cluster(workers, folder / f"ray-{workers}") as (address, environment):
            out = folder / f"scaled-{workers}"
            began = time.monotonic()
            subprocess.run(
                _command([str(footage), "--address", address], out, WAYS["copy alone"]),
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            found[workers] = {"wall_s": round(time.monotonic() - began, 2), **_worked(out)}
    one, two = found[1], found[2]
    return {
        "films": copies * len(films),
        "times_as_fast": round(one["work_wall_s"] / two["work_wall_s"], 2),
        "times_as_fast_whole_command": round(one["wall_s"] / two["wall_s"], 2),
        "wall_s": [one["wall_s"], two["wall_s"]],
        "over_bare_decode": [round(each["work_cpu_s"] / bare, 2) for each in (one, two)],
    }


@contextmanager
def _cluster(cores: int, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a Ray cluster on this machine that takes itself to have so many cores, and what it asks for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
    start += [f"--port={port}", f"--num-cpus={cores}", "--include-dashboard=false", f"--temp-dir={folder}"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.getcwd()}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    cluster = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        while cluster.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.5)
        time.sleep(5)  # the node registers after its head listens
        yield f"127.0.0.1:{port}", environment
    finally:
        cluster.terminate()
        cluster.wait()


def _summary(runs: list[dict[str, Any]], films: Sequence[Path]) -> dict[str, Any]:
    """Medians, and ratios run by run, so that a drift of the machine's speed cancels out."""
    figures: dict[str, Any] = {
        "machine": cost.machine(),
        "films": len(films),
        "bytes": sum(film.stat().st_size for film in films),
        "runs": len(runs),
        "bare_decode_cpu_s": statistics.median(run["bare decode"]["cpu_s"] for run in runs),
    }
    for name in [name for name in runs[0] if name != "bare decode"]:
        ours = name in WAYS
        figures[name] = {
            ("whole_over_bare_decode" if ours else "over_bare_decode"): _over_bare(runs, name, "cpu_s"),
            **({"over_bare_decode": _over_bare(runs, name, "work_cpu_s")} if ours else {}),
            "cpu_s": _median(run[name]["cpu_s"] for run in runs),
            "wall_s": _median(run[name]["wall_s"] for run in runs),
            "largest_mb": max(run[name]["largest_mb"] for run in runs),
            "together_mb": max(run[name]["together_mb"] for run in runs),
            "clips": runs[0][name]["clips"],
        }
        if ours:
            figures[name]["clips_found"] = runs[0][name]["clips_found"]
            figures[name]["phases_over_bare_decode"] = {
                phase: _median(run[name]["phases_cpu_s"][phase] / run["bare decode"]["cpu_s"] for run in runs)
                for phase in PHASES
            }
        else:
            figures[name]["times_our_cpu_s"] = {
                f"{way}, {what}": _median(run[name]["cpu_s"] / run[way][key] for run in runs)
                for way in BESIDE[name]
                if way in runs[0]
                for what, key in (("work", "work_cpu_s"), ("whole", "cpu_s"))
            }
    return figures


def _over_bare(runs: list[dict[str, Any]], name: str, what: str) -> float:
    return _median(run[name][what] / run["bare decode"]["cpu_s"] for run in runs)


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


if __name__ == "__main__":
    main()
