"""Sources to clips: one decode of every source, in a jail."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import fetch, tables
from curation.errors import StoreError
from curation.phases import Needs, Output, Phase, Unit, stills
from curation.phases.failures import mendable
from curation.recipe import deciding
from curation.tables import Row
from curation.video import jpegs
from curation.video.probe import MediaError
from curation.video.scanner import Scanner
from curation.video.settings import Settings

_OF_SCAN = ("duration_s", "frames", "fps", "width", "height", "codec", "time_base", "warning", "mended")


class Split(Phase):
    name = "split"
    version = 10
    reads = "inputs"
    writes = ("sources", "clips")
    needs = Needs(cpus=1, memory_mb=1024)

    def setup(self) -> None:
        self._scanner = Scanner(self.recipe.split.memory_mb)
        self._stills = stills.Stills(self.recipe, self._scanner.jail)

    def child_usage(self) -> tuple[float, float]:
        return self._scanner.cpu_s, self._scanner.peak_mb

    def schema(self, table: str) -> pa.Schema:
        return {"sources": tables.SOURCES, "clips": tables.CLIPS}[table]

    def settings(self) -> Any:
        return deciding(self.recipe)["split"]

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        sources, clips = [], []
        self._unreachable = self._copied = 0
        images = [unit.address(row) for row in rows if _is_image(row)]
        with self._stills.looked_at(images) as looked_at:
            for row in rows:
                source, found = self._look(row, next(looked_at)) if _is_image(row) else self._split(row, unit, scratch)
                sources.append(source)
                clips.extend(found)
        failed = sum(source["status"] == "failed" for source in sources)
        counts = {"sources": len(sources), "failed": failed, "clips": len(clips)}
        if self._copied:  # servers without ranges cost room on the worker's disk
            counts["copied"] = self._copied
        return Output({"sources": sources, "clips": clips}, notes={"unreachable": self._unreachable}, counts=counts)

    def _look(self, row: Row, found: stills.Found) -> tuple[Row, list[Row]]:
        if isinstance(found, Exception):
            return self._failed(_source(row), found), []
        of_source, clip = stills.rows(row, found)
        return _source(row) | of_source, [clip]

    def _failed(self, source: Row, error: Exception) -> Row:
        self._unreachable += mendable(error)
        return source | {"status": "failed", "error": str(error)}

    def _split(self, row: Row, unit: Unit, scratch: Path) -> tuple[Row, list[Row]]:
        source = _source(row)
        if row["error"]:
            return source | {"status": "failed", "error": row["error"]}, []
        split = self.recipe.split
        settings = {field.name: getattr(split, field.name) for field in fields(Settings) if field.name != "ranges"}

        @contextmanager
        def opening() -> Iterator[Path | fetch.Remote]:
            with fetch.source(unit.address(row), max_bytes=self.recipe.ingest.max_bytes) as media:
                source["bytes"] = fetch.size_of(media)
                yield media
                self._copied += isinstance(media, fetch.Remote) and media.copied

        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            try:
                found = self._scanner.scan(
                    opening,
                    Settings(**settings, ranges=_ranges(row)),
                    Path(folder),
                    timeout_s=split.timeout_s,
                    segment_s=split.segment_s,
                )
            except (MediaError, StoreError) as error:
                return self._failed(source, error), []
            clips = [_clip(source, found, clip) for clip in found["clips"]]
        return source | {name: found[name] for name in _OF_SCAN} | {"clips": len(clips)}, clips


def _ranges(row: Row) -> list[list[float]] | None:
    given = row.get("ranges")
    return None if given is None else [[each["start_s"], each["end_s"]] for each in given]


def _is_image(row: Row) -> bool:
    return row["kind"] == "image" and not row["error"]


def _source(row: Row) -> Row:
    return {name: row[name] for name in row if name not in ("error", "version")} | {"status": "ok", "clips": 0}


def _clip(source: Row, scan: Row, clip: Row) -> Row:
    time_base = scan["time_base"]
    ticks, second = (int(part) for part in time_base.split("/"))
    start, end = clip["start_pts"], clip["end_pts"]
    duration = (end - start) * ticks / second
    thumbnails = clip["thumbnails"]
    kept = {name: value for name, value in clip.items() if name != "first_frame"}
    return kept | {
        "thumbnails": list(jpegs.read(scan["pictures"], [(offset, length) for _, offset, length, _ in thumbnails])),
        "phash": [phash for *_, phash in thumbnails],
        "clip_id": tables.clip_id(source["source_id"], start, end, time_base),
        "source_id": source["source_id"],
        "time_base": time_base,
        "start_s": start * ticks / second,
        "end_s": end * ticks / second,
        "duration_s": duration,
        "fps": clip["frames"] / duration,
        "width": scan["width"],
        "height": scan["height"],
        "category": source["category"],
    }
