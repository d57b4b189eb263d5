"""Clips to scores: the recipe's scorers look at the pictures that split kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import tables
from curation.models.scorers import scorers
from curation.phases import Needs, Output, Phase, Unit
from curation.phases.pictures import pictures
from curation.recipe import Recipe
from curation.tables import Row


def measures(recipe: Recipe) -> list[pa.Field]:
    """The columns that the recipe's scorers write."""
    return [
        tables.column(measure.name, pa.float32(), measure.doc, measure.unit, null=True)
        for scorer in scorers(recipe.score)
        for measure in scorer.measures
    ]


class Score(Phase):
    name = "score"
    reads = "clips"
    writes = ("scores",)
    needs = Needs(cpus=1)

    def setup(self) -> None:
        self._scorers = scorers(self.recipe.score)
        for scorer in self._scorers:
            scorer.setup()

    def schema(self, table: str) -> pa.Schema:
        return tables.scores_schema(measures(self.recipe))

    def settings(self) -> Any:
        return self.recipe.score.model_dump(mode="json")

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        scores: list[Row] = [{"clip_id": row["clip_id"]} for row in rows]
        seen = [(score, pictures(row)) for score, row in zip(scores, rows) if row["thumbnails"]]
        for scorer in self._scorers:
            for (score, _), values in zip(seen, scorer.score([shown for _, shown in seen])):
                score.update(values)
        return Output({"scores": scores}, counts={"clips": len(scores)})
