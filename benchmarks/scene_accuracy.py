"""Scenes against known truth: Reelmill's and stock PySceneDetect's cuts on real films and on joined footage.

    python -m benchmarks.scene_accuracy [--footage DIR --truth DIR] [--set tune|check|all] [--json FILE] [--keep DIR]

Films with hand-made truth are scored as they are (in the demo's own footage, truth is known from painting), and
their shots are joined anew, with transitions and traps of known kinds and lengths (`benchmarks.joined`, kept and
taken again from `--keep`). Joined footage has two sets: choose defaults on `tune`, look at `check` once they are
chosen. `benchmarks.joined.score` says how scores are counted, and what is neither right nor wrong.

PySceneDetect's detectors run at their defaults in its own scene manager, with its own downscale, on PyAV.
CPU seconds are user and system of this process, shown over those of a bare decode of the same films: FFmpeg's own
to nothing on one thread.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, get_args

import cv2
import scenedetect

from benchmarks import cost
from benchmarks.joined import SETS, make
from benchmarks.joined.score import Found, Score, ratio, scored
from benchmarks.joined.truth import Truth, read
from curation.recipe import Split
from curation.video.scan import scan
from curation.video.settings import Settings
from demo.footage import build

Finder = Callable[[Path], Found]
STOCK = {
    "content": scenedetect.ContentDetector,
    "adaptive": scenedetect.AdaptiveDetector,
    "histogram": scenedetect.HistogramDetector,
    "threshold": scenedetect.ThresholdDetector,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--footage", type=Path, help="a folder of films; by default the demo's")
    parser.add_argument("--truth", type=Path, help="a folder of what is known of them, a JSON file for each")
    parser.add_argument("--set", choices=[*SETS, "all", "none"], default="all", help="which joined footage")
    parser.add_argument("--only", nargs="*", help="names of the rows wanted; by default all")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--keep", type=Path, help="where joined footage stays, or is if it was made before")
    chosen = parser.parse_args()
    if bool(chosen.footage) != bool(chosen.truth):
        parser.error("--footage and --truth belong together")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="reelmill-bench-") as scratch:
        kept = chosen.keep or Path(scratch)
        if not chosen.footage:
            chosen.footage = chosen.truth = kept / "painted"
            build(chosen.footage, workers=1)
        corpora = {"films": _films(chosen.footage, chosen.truth)}
        for name in SETS if chosen.set == "all" else {chosen.set} & set(SETS):
            if not (kept / name).exists():
                make(kept, chosen.footage, chosen.truth, (name,))
            corpora[name] = _films(kept / name, kept / name)
        rows = {name: finder for name, finder in finders().items() if not chosen.only or name in chosen.only}
        figures = {name: measured(name, films, rows) for name, films in corpora.items()}
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        machine = f"{platform.machine()}, Python {platform.python_version()}, PySceneDetect {scenedetect.__version__}"
        chosen.json.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")


def finders() -> dict[str, Finder]:
    """Every row of the table."""
    speeds = get_args(Split.model_fields["speed"].annotation)
    ours: dict[str, Finder] = {f"reelmill {speed}": partial(found, speed=speed) for speed in speeds}
    return ours | {f"stock {name}": partial(_stock, detector=kind) for name, kind in STOCK.items()}


def found(path: Path, speed: str) -> Found:
    """Reelmill's scan with its defaults; its thumbnails and measures are part of its cost."""
    started = time.process_time()
    facts = scan(path, Settings(speed=speed))
    ranges = [(one["first"], one["end"]) for one in facts["transitions"]]
    return Found(facts["cuts"], ranges, cpu_s=time.process_time() - started)


def _stock(path: Path, detector: Callable[[], Any]) -> Found:
    """A detector of PySceneDetect as it comes; the PyAV backend, since OpenCV decodes fewer kinds of files."""
    started = time.process_time()
    scenes = scenedetect.detect(str(path), detector(), backend="pyav")
    return Found([start.frame_num for start, _ in scenes[1:]], cpu_s=time.process_time() - started)


def measured(corpus: str, films: list[tuple[Path, Truth]], rows: dict[str, Finder]) -> dict[str, Any]:
    """Score every row on every film of a corpus and print its table."""
    bare = cost.bare_decode(path for path, _ in films).cpu_s
    frames = sum(truth.frames for _, truth in films)
    print(f"\n{corpus}: {len(films)} films, {frames} frames, bare decode {bare:.1f} CPU s\n{_HEADING}", flush=True)
    figures: dict[str, Any] = {"films": len(films), "frames": frames, "bare_decode_cpu_s": round(bare, 2)}
    totals: dict[str, Score] = {}
    for name, finder in rows.items():
        by_film = {path.name: scored(truth, finder(path)) for path, truth in films}
        total = totals[name] = sum(by_film.values(), Score())
        macro = {
            "hard": _mean(score.hard["f1"] for score in by_film.values()),
            "gradual": _mean(score.soft["f1"] for score in by_film.values()),
        }
        print(_line(name, total, macro, bare), flush=True)
        figures[name] = {
            "pooled": total.to_json(),
            "macro_f1": macro,
            "over_bare_decode": ratio(total.cpu_s, bare),
            "by_film": {film: score.to_json() for film, score in by_film.items()},
        }
    if corpus in SETS:
        _breakdown("gradual: touched (ranges)", totals, "kinds", "kinds_touched", "kinds_found")
        _breakdown("traps sprung", totals, "traps", "traps_sprung")
    return figures


_HEADING = f"""\
{"":17} | {"hard cuts, pooled":^30} | {"gradual, pooled":^32} | {"frames":^11} | {"F1, mean of":^11} | traps |
{"":17} | prec  rec   F1    false inside | prec  rec   F1    touched IoU   | leak  lost  | hard  grad. | sprung| CPU"""


def _line(name: str, total: Score, macro: dict[str, float | None], bare: float) -> str:
    columns = [
        f"{name:17}",
        f"{_text(*total.hard.values())} {total.cuts_false:5d} {total.cuts_inside:6d}",
        f"{_text(*total.soft.values(), ratio(total.gradual_touched, total.gradual))}   "
        + _text(ratio(total.overlap, total.gradual_found)),
        _text(ratio(total.leaked, total.gradual_frames), ratio(total.lost, total.shot_frames)),
        _text(*macro.values()),
        f"{total.traps_sprung.total():2d}/{total.traps.total():2d}",
        f"{total.cpu_s / bare:8.2f}" if bare else "",
    ]
    return " | ".join(columns)


def _breakdown(title: str, totals: dict[str, Score], whole: str, *parts: str) -> None:
    """A line for each kind: how many there are, and each row's counts."""
    print(f"\n{title:28} of {''.join(f'{name:>18}' for name in totals)}")
    wholes: Counter[str] = getattr(next(iter(totals.values())), whole)
    for kind in sorted(wholes, key=_by_length):
        cells = []
        for total in totals.values():
            counts = [getattr(total, part)[kind] for part in parts]
            cells.append(str(counts[0]) + "".join(f" ({count})" for count in counts[1:]))
        print(f"{kind:28} {wholes[kind]:2d} {''.join(f'{cell:>18}' for cell in cells)}")


def _by_length(kind: str) -> tuple[str, int]:
    name, _, frames = kind.partition(" ")
    return name, int(frames or 0)


def _films(footage: Path, truth: Path) -> list[tuple[Path, Truth]]:
    return [(footage / known.file, known) for known in read(truth)]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _text(*values: float | None) -> str:
    return " ".join("  -  " if value is None else f"{value:5.3f}" for value in values)


if __name__ == "__main__":
    main()
