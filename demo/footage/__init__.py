"""Makes the raw footage of the demo: painted films with sound and known cuts, and two broken files."""

from __future__ import annotations

import csv
import json
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from demo.footage.edit import CAMERA, CATALOGUE, Film
from demo.footage.encode import make
from demo.footage.films import BROKEN_PATH, BROKEN_TEXT, FILMS

TRUTH_NAME = "truth.json"
TABLE_PATH = f"{CATALOGUE}/captions.csv"
EDITION = 3
FULL_SECONDS = sum(shot.seconds for film in FILMS for shot in film.shots)

Tell = Callable[[Film, dict[str, Any]], None]


def _silent(film: Film, facts: dict[str, Any]) -> None:
    return None


def finished(folder: Path, scale: float = 1.0) -> bool:
    """Whether the folder holds all of this edition's footage at this scale."""
    try:
        record = json.loads((folder / TRUTH_NAME).read_text())
    except (OSError, ValueError):
        return False
    same = record.get("edition") == EDITION and record.get("scale") == scale
    return same and all((folder / name).exists() for name in [*record["files"], BROKEN_PATH, TABLE_PATH])


def build(
    folder: Path, scale: float = 1.0, workers: int = 2, again: bool = False, tell: Tell = _silent
) -> dict[str, Any]:
    """Make all footage in `folder` and give back what is in it; a finished folder is left as it is.

    The files are made in a folder beside it, which takes the name `folder` only when all are there.
    """
    folder = folder.absolute()
    if folder.exists():
        if finished(folder, scale) and not again:
            return dict(json.loads((folder / TRUTH_NAME).read_text()))
        if any(folder.iterdir()) and not (folder / TRUTH_NAME).exists():
            raise FileExistsError(f"{folder} holds something that is not demo footage; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for place in (CATALOGUE, CAMERA):
            (draft / place).mkdir()
        facts = _make_all(draft, scale, workers, tell)
        record = {
            "edition": EDITION,
            "scale": scale,
            "files": {film.path: facts[film.name] for film in FILMS},
            "not_a_video": BROKEN_PATH,
        }
        (draft / BROKEN_PATH).write_text(BROKEN_TEXT)
        _write_table(draft / TABLE_PATH)
        (draft / TRUTH_NAME).write_text(json.dumps(record, indent=1) + "\n")
        draft.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return record


def _make_all(draft: Path, scale: float, workers: int, tell: Tell) -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = {}
    if workers <= 1:
        for film in FILMS:
            facts[film.name] = make(film, draft, scale)
            tell(film, facts[film.name])
        return facts
    longest_first = sorted(FILMS, key=lambda film: -_work(film))
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        jobs = {pool.submit(make, film, draft, scale): film for film in longest_first}
        for job in as_completed(jobs):
            film = jobs[job]
            facts[film.name] = job.result()
            tell(film, facts[film.name])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return facts


def _work(film: Film) -> float:
    width, height = film.size
    return sum(shot.seconds for shot in film.shots) * film.fps * width * height


def _write_table(path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["videoid", "contentUrl", "name", "category"])
        for number, film in enumerate(FILMS):
            if film.folder == CATALOGUE:
                rows.writerow([1000 + number, film.name, film.title, film.category])
