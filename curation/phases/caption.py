"""Clips to captions: only those that pass every rule which does not need one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import parts, tables
from curation.models.captioners import Shown, captioners
from curation.phases import Needs, Output, Phase, Unit
from curation.phases.pictures import pictures
from curation.store import Place
from curation.tables import Row


class Caption(Phase):
    name = "caption"
    reads = "clips"
    writes = ("captions",)
    needs = Needs(cpus=1)

    def setup(self) -> None:
        self._captioners = captioners(self.recipe.caption)
        for captioner in self._captioners:
            captioner.setup()

    def schema(self, table: str) -> pa.Schema:
        return tables.CAPTIONS

    def settings(self) -> Any:
        return self.recipe.caption.model_dump(mode="json")

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The clips of the part that the plan chose, each with the caption of its source."""
        assert unit.given is not None
        chosen = set(unit.given["clip_id"].to_pylist())
        sources = out.table(parts.path("sources", unit.number), ["source_id", "caption"])
        of_source = dict(zip(sources["source_id"].to_pylist(), sources["caption"].to_pylist()))
        clips = super().rows(out, unit)
        return [row | {"source_caption": of_source[row["source_id"]]} for row in clips if row["clip_id"] in chosen]

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        """Rows are clips with the source's caption in `source_caption`."""
        waiting = {row["clip_id"]: _shown(row) for row in rows}
        answers: dict[str, tuple[str, str]] = {}
        for captioner in self._captioners:
            given = captioner.caption(list(waiting.values()))
            for clip_id in given.keys() & waiting.keys():
                if text := " ".join(given[clip_id].split()):
                    answers[clip_id] = (text, captioner.name)
                    del waiting[clip_id]
        captions = [_row(row["clip_id"], *answers.get(row["clip_id"], (None, None))) for row in rows]
        return Output({"captions": captions}, counts={"clips": len(captions), "failed": len(waiting)})


def words(caption: str | None) -> int:
    """Words between spaces."""
    return len(caption.split()) if caption else 0


def _row(clip_id: str, caption: str | None, captioner: str | None) -> Row:
    return {"clip_id": clip_id, "caption": caption, "caption_words": words(caption), "captioner": captioner}


def _shown(row: Row) -> Shown:
    return Shown(
        clip_id=row["clip_id"],
        pictures=pictures(row),
        source_caption=row["source_caption"],
        brightness=row["brightness"],
        motion=row["motion"],
        motion_x=row["motion_x"],
        motion_y=row["motion_y"],
    )
