"""Clips to scores: the recipe's scorers look at the pictures that split kept.

What a scorer gave is taken over from the part that is there already, as long as its own settings and the clips are the
same: another list of categories or another head costs no second look at the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import parts, tables
from curation.addresses import scrubbed
from curation.errors import UserError
from curation.models.scorers import AnyScorer, EmbeddingScorer, Scorer, scorers
from curation.phases import Needs, Output, Phase, Unit
from curation.phases.pictures import Lazy
from curation.recipe import Recipe
from curation.store import Place
from curation.tables import Row
from curation.validate import fingerprint

# Decoded pictures are kept for so much at a time. Bytes.
_HELD = 192 << 20
_TAKEN = "taken over"


def measures(recipe: Recipe) -> list[pa.Field]:
    """The columns that the recipe's scorers write. The length of embeddings is not in their type here.

    Raises:
        UserError: two scorers would write the same column, or one that the clips have already.
    """
    fields: list[pa.Field] = []
    taken = {*tables.CLIPS.names, *tables.SAMPLES.names, "part"}
    for scorer in scorers(recipe.score):
        for measure in scorer.measures:
            if measure.name in taken:
                raise UserError(f"score.{scorer.name}: there is a column {measure.name!r} already; take another name")
            taken.add(measure.name)
            fields.append(tables.column(measure.name, measure.type, measure.doc, measure.unit, null=True))
    return fields


def travelling(recipe: Recipe) -> list[pa.Field]:
    """The scores that go with a sample into the shards: all but embeddings."""
    return [field for field in measures(recipe) if not pa.types.is_list(field.type)]


class Score(Phase):
    name = "score"
    reads = "clips"
    writes = ("scores",)
    needs = Needs(cpus=1)

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self._scorers = scorers(recipe.score)
        self._ready: set[str] = set()

    def takes(self) -> Needs:
        """A GPU where a model looks at the pictures."""
        return (
            replace(self.needs, gpus=1, memory_mb=4096)
            if any(scorer.uses_gpu for scorer in self._scorers)
            else self.needs
        )

    def schema(self, table: str) -> pa.Schema:
        fields = measures(self.recipe)
        if self.recipe.score.clip is not None:
            from curation.models.clip import dimensions

            numbers = dimensions(self.recipe.score.clip)
            fields = [field.with_type(_of_length(field.type, numbers)) for field in fields]
        return tables.scores_schema(fields)

    def settings(self) -> Any:
        return [[scorer.name, scorer.version, scrubbed(scorer.settings())] for scorer in self._scorers]

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The clips, each with the scores that still hold of an earlier recipe."""
        rows = super().rows(out, unit)
        path = parts.path("scores", unit.number)
        if not out.exists(path):
            return rows
        made_by = parts.footer(out, "scores", unit.number).get("scorers", {})
        same = {name for name, print_ in self._prints(unit).items() if made_by.get(name) == print_}
        columns = [measure.name for scorer in self._scorers if scorer.name in same for measure in scorer.measures]
        if not columns:
            return rows
        earlier = {row.pop("clip_id"): row for row in out.table(path, ["clip_id", *columns]).to_pylist()}
        return [row | {_TAKEN: earlier.get(row["clip_id"], {})} for row in rows]

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        scores: list[Row] = [{"clip_id": row["clip_id"], **row.get(_TAKEN, {})} for row in rows]
        seen = [(score, row) for score, row in zip(scores, rows) if row["thumbnails"]]
        pending = [
            scorer
            for scorer in self._scorers
            if any(measure.name not in score for score, _ in seen for measure in scorer.measures)
        ]
        for scorer in pending:
            self._set_up(scorer)
        for some in self._groups(seen):
            pictures = [Lazy(row) for _, row in some]
            for scorer in pending:
                if isinstance(scorer, Scorer):
                    for (score, _), values in zip(some, scorer.score(pictures), strict=True):
                        score.update(values)
        for scorer in pending:
            if isinstance(scorer, EmbeddingScorer):
                self._by_embedding(scorer, [score for score, _ in seen])
        return Output({"scores": scores}, notes={"scorers": self._prints(unit)}, counts={"clips": len(scores)})

    def _by_embedding(self, scorer: EmbeddingScorer, scores: Sequence[Row]) -> None:
        from curation.models.embeddings import OF_PICTURES, wide

        for score in scores:
            score.update(scorer.score(wide(score[OF_PICTURES])))

    def _groups(self, seen: Sequence[tuple[Row, Row]]) -> Iterator[Sequence[tuple[Row, Row]]]:
        """Clips whose pictures fit into memory together, if none is wider than twice its height."""
        split = self.recipe.split
        size = max(1, _HELD // (split.thumbnails * split.thumbnail_size**2 * 2 * 3))
        return (seen[start : start + size] for start in range(0, len(seen), size))

    def _set_up(self, scorer: AnyScorer) -> None:
        if scorer.name not in self._ready:
            scorer.setup()
            self._ready.add(scorer.name)

    def _prints(self, unit: Unit) -> dict[str, str]:
        """For each scorer a hash of all that its scores depend on."""
        content = unit.given["content"].to_pylist() if unit.given is not None else [unit.fingerprint]
        clip = self.recipe.score.clip
        versions = [scorer.version for scorer in self._scorers if scorer.name == "clip"]
        model = [*versions, scrubbed(clip.model_dump(mode="json"))] if clip is not None else None
        return {
            scorer.name: fingerprint(
                scorer.name,
                scorer.version,
                scrubbed(scorer.settings()),
                content,
                model if isinstance(scorer, EmbeddingScorer) else None,
            )
            for scorer in self._scorers
        }


def _of_length(type_: pa.DataType, numbers: int) -> pa.DataType:
    """Lists of halffloats, also in lists, as lists of that length."""
    if type_ == pa.list_(pa.float16()):
        return pa.list_(pa.float16(), numbers)
    return pa.list_(_of_length(type_.value_type, numbers)) if pa.types.is_list(type_) else type_
