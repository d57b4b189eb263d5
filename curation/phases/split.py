"""Sources to clips: one decode of every source, in a jail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import tables
from curation.errors import StoreError, Unreachable
from curation.phases import Needs, Output, Phase, Unit
from curation.store import fetched
from curation.tables import Row
from curation.video.jail import Jail
from curation.video.probe import MediaError

_OF_SCAN = ("duration_s", "frames", "fps", "width", "height", "codec", "time_base", "warning")


class Split(Phase):
    name = "split"
    reads = "inputs"
    writes = ("sources", "clips")
    needs = Needs(cpus=1, memory_mb=1024)

    def setup(self) -> None:
        self._jail = Jail(self.recipe.split.memory_mb)

    def child_usage(self) -> tuple[float, float]:
        return self._jail.cpu_s, self._jail.peak_mb

    def schema(self, table: str) -> pa.Schema:
        return {"sources": tables.SOURCES, "clips": tables.CLIPS}[table]

    def settings(self) -> Any:
        # Limits decide only whether a source fails, but that is part of the output too.
        return [self.recipe.split.model_dump(mode="json"), self.recipe.ingest.max_bytes]

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        sources, clips = [], []
        self._unreachable = 0
        for row in rows:
            source, found = self._split(row)
            sources.append(source)
            clips.extend(found)
        failed = sum(source["status"] == "failed" for source in sources)
        counts = {"sources": len(sources), "failed": failed, "clips": len(clips)}
        return Output({"sources": sources, "clips": clips}, notes={"unreachable": self._unreachable}, counts=counts)

    def _split(self, row: Row) -> tuple[Row, list[Row]]:
        source = {name: row[name] for name in row if name not in ("error", "version")} | {"status": "ok", "clips": 0}
        if row["error"]:
            return source | {"status": "failed", "error": row["error"]}, []
        split = self.recipe.split
        settings = {
            "detector": split.detector,
            "threshold": split.threshold,
            "min_frames": split.min_frames,
            "max_seconds": split.max_seconds,
            "thumbnails": split.thumbnails,
            "thumbnail_size": split.thumbnail_size,
        }
        try:
            with fetched(row["uri"], max_bytes=self.recipe.ingest.max_bytes) as path:
                source["bytes"] = path.stat().st_size
                found = self._jail.call("scan", path, split.timeout_s, settings=settings)
        except (MediaError, StoreError) as error:
            self._unreachable += isinstance(error, Unreachable)
            return source | {"status": "failed", "error": str(error)}, []
        clips = [_clip(source, found, clip) for clip in found["clips"]]
        return source | {name: found[name] for name in _OF_SCAN} | {"clips": len(clips)}, clips


def _clip(source: Row, scan: Row, clip: Row) -> Row:
    time_base = scan["time_base"]
    ticks, second = (int(part) for part in time_base.split("/"))
    start, end = clip["start_pts"], clip["end_pts"]
    duration = (end - start) * ticks / second
    return clip | {
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
