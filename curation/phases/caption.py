"""Clips to captions: only those that pass every rule which does not need one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import parts, tables
from curation.addresses import scrubbed
from curation.answers import Answers, UnitAnswers, key_of
from curation.errors import UserError
from curation.models.captioners import Answer, Captioner, Shown, captioners, prompt_hash
from curation.phases import Needs, Output, Phase, Unit, ranges
from curation.recipe_caption import CaptionerName, Style
from curation.store import Place
from curation.tables import Row
from curation.text import hygiene, language
from curation.text.words import words

_EMBEDDING = "clip_embedding"


@dataclass
class Told:
    """What was said of one clip in one style."""

    answer: Answer | None = None
    captioner: Captioner | None = None
    errors: list[str] = field(default_factory=list)
    passing: bool = False
    """Whether the last captioner may well answer later."""


class Caption(Phase):
    name = "caption"
    version = 2
    reads = "clips"
    writes = ("captions",)
    needs = Needs(cpus=1)

    def takes(self) -> Needs:
        caption = self.recipe.caption
        needs = Needs(cpus=1, gpus=1, memory_mb=8192) if caption.transformers else self.needs
        return replace(needs, together=caption.endpoint.concurrency) if caption.endpoint else needs

    def setup(self) -> None:
        caption = self.recipe.caption
        self.captioners = captioners(caption)
        judged = any(captioner.model for captioner in self.captioners.values())
        if caption.language and judged and caption.language not in language.known():
            raise UserError(f"caption.language: {caption.language!r} is not among {', '.join(language.known())}")
        for captioner in self.captioners.values():
            captioner.setup()
        self._answers: Answers | None = None

    def schema(self, table: str) -> pa.Schema:
        return tables.CAPTIONS

    def settings(self) -> Any:
        known = captioners(self.recipe.caption)
        return [
            self.recipe.caption.language,
            self.recipe.score.clip and scrubbed(self.recipe.score.clip.model_dump(mode="json")),
            *(
                [name, [known[asked].identity(style) for asked in self._asked_for(style)]]
                for name, style in self._styles
            ),
        ]

    def rows(self, out: Place, unit: Unit) -> list[Row]:
        """The clips of the part that the plan chose, each with the caption of its source."""
        assert unit.given is not None
        self.remember(out)
        chosen = set(unit.given["clip_id"].to_pylist())
        sources = out.table(parts.path("sources", unit.number), ["source_id", "caption", "ranges"]).to_pylist()
        of_source = {row["source_id"]: row for row in sources}
        clips = super().rows(out, unit)
        began = _began(clips, self.recipe.split.trim_frames)
        rows = [
            row | {"source_caption": _given(row, of_source[row["source_id"]], began)}
            for row in clips
            if row["clip_id"] in chosen
        ]
        if self.recipe.score.clip is None:
            return rows
        scores = out.table(parts.path("scores", unit.number), ["clip_id", _EMBEDDING])
        embeddings = dict(zip(scores["clip_id"].to_pylist(), scores[_EMBEDDING].to_pylist()))
        return [row | {_EMBEDDING: embeddings[row["clip_id"]]} for row in rows]

    def process(self, unit: Unit, rows: Sequence[Row], scratch: Path) -> Output:
        """Rows are clips with the source's caption in `source_caption`."""
        assert self._answers is not None
        clips = [_shown(row) for row in rows]
        with self._answers.of_unit(unit.number) as answers:
            told = {name: self._told(clips, style, answers) for name, style in self._styles}
        captions = [self._row(clip.clip_id, {name: told[name][clip.clip_id] for name in told}) for clip in clips]
        if self.recipe.score.clip is not None:
            self._score(captions, {row["clip_id"]: row[_EMBEDDING] for row in rows})
        without = sum(row["caption"] is None for row in captions)
        passing = sum(any(told[name][clip.clip_id].passing for name in told) for clip in clips)
        notes = {"unreachable": passing} if passing else {}
        return Output({"captions": captions}, notes=notes, counts={"clips": len(captions), "failed": without})

    def _score(self, captions: Sequence[Row], embeddings: Mapping[str, Any]) -> None:
        from curation.models.similarity import similarities

        assert self.recipe.score.clip is not None
        texts = {row["clip_id"]: row["caption"] for row in captions if row["caption"]}
        found = similarities(self.recipe.score.clip, texts, embeddings)
        for row in captions:
            row["caption_score"] = found.get(row["clip_id"])

    @property
    def _styles(self) -> list[tuple[str, Style]]:
        return list(self.recipe.caption.styles.items())

    def _asked_for(self, style: Style) -> list[CaptionerName]:
        return style.captioners or self.recipe.caption.captioners

    def remember(self, out: Place) -> None:
        """Look up and keep answers in this output."""
        if self._answers is None or self._answers.out.root != out.root:
            self._answers = Answers(out)
            for captioner in self.captioners.values():
                if captioner.remembered:
                    captioner.resume(self._answers.spent(captioner.name))

    def _told(self, clips: Sequence[Shown], style: Style, answers: UnitAnswers) -> dict[str, Told]:
        """What the style's captioners say, one after the other, each of the clips that the ones before left."""
        told = {clip.clip_id: Told() for clip in clips}
        for name in self._asked_for(style):
            captioner = self.captioners[name]
            waiting = [clip for clip in clips if told[clip.clip_id].answer is None]
            for clip_id, answer in _answered(captioner, waiting, style, answers):
                said = told[clip_id]
                if answer.text and hygiene.tidy(answer.text):
                    said.answer, said.captioner = answer, captioner
                else:
                    said.errors.append(f"{name}: {answer.error or 'an empty answer'}")
                    said.passing |= answer.passing
        return told

    def _row(self, clip_id: str, told: Mapping[str, Told]) -> Row:
        captions = [self._caption(name, said) for name, said in told.items() if said.answer]
        errors = [
            f"{name}: {error}" if len(told) > 1 else error for name, said in told.items() for error in said.errors
        ]
        primary = next((caption for caption in captions if caption["style"] == next(iter(told))), None)
        shown = {name: (primary or {}).get(name) for name in ("captioner", "model", "prompt", "flags")}
        return {
            "clip_id": clip_id,
            "caption": primary and primary["text"],
            "caption_words": primary["words"] if primary else 0,
            "captioner": shown["captioner"],
            "caption_model": shown["model"],
            "caption_prompt": shown["prompt"],
            "caption_score": None,
            "caption_flags": shown["flags"] or [],
            "captions": captions,
            "caption_error": "; ".join(errors) or None,
        }

    def _caption(self, style: str, told: Told) -> Row:
        assert told.answer is not None and told.captioner is not None
        answer, captioner = told.answer, told.captioner
        given = hygiene.tidy(answer.text or "")
        text = (hygiene.clean(given) or given) if captioner.model else given
        wrong = []
        if captioner.name != "describe":
            expected = self.recipe.caption.language
            wrong = hygiene.flags(text, language=expected, truncated=answer.truncated, refused=answer.refused)
        return {
            "style": style,
            "text": text,
            "words": words(text),
            "captioner": captioner.name,
            "model": captioner.model,
            "prompt": prompt_hash(self.recipe.caption.styles[style].prompt) if captioner.model else None,
            "flags": wrong,
            "raw": given if text != given else None,
        }


def _began(clips: Sequence[Row], trim: int) -> dict[str, float]:
    """When the first frame of every source is shown. Seconds."""
    began: dict[str, float] = {}
    for row in clips:
        if row["source_id"] not in began:
            trimmed = trim * row["duration_s"] / row["frames"] if row["trimmed"] else 0.0
            began[row["source_id"]] = row["start_s"] - trimmed
    return began


def _given(clip: Row, source: Row, began: Mapping[str, float]) -> str | None:
    """The caption that came with the clip: of its range, where the source has ranges, or else of the source."""
    if source.get("ranges") is None:
        caption: str | None = source["caption"]
        return caption
    return ranges.caption_of(source["ranges"], (clip["start_s"] + clip["end_s"]) / 2 - began[clip["source_id"]])


def _answered(
    captioner: Captioner, clips: Sequence[Shown], style: Style, answers: UnitAnswers
) -> Iterator[tuple[str, Answer]]:
    """A captioner's answers for these clips and no others; those that it once gave are not asked for again."""
    asked = {clip.clip_id for clip in clips}
    if not captioner.remembered:
        yield from (given for given in captioner.caption(clips, style) if given[0] in asked)
        return
    identity = captioner.identity(style)
    keys = {clip.clip_id: key_of(clip.clip_id, clip.jpegs, identity) for clip in clips}
    known = answers.known(list(keys.values()))
    yield from ((clip_id, known[key]) for clip_id, key in keys.items() if key in known)
    unknown = [clip for clip in clips if keys[clip.clip_id] not in known]
    prompt = prompt_hash(style.prompt)
    for clip_id, answer in captioner.caption(unknown, style) if unknown else ():
        if clip_id in asked:
            if answer.text:
                answer = answers.keep(keys[clip_id], clip_id, captioner.name, captioner.model, prompt, answer)
            yield clip_id, answer


def _shown(row: Row) -> Shown:
    return Shown(
        clip_id=row["clip_id"],
        jpegs=row["thumbnails"],
        source_caption=row["source_caption"],
        brightness=row["brightness"],
        motion=row["motion"],
        motion_x=row["motion_x"],
        motion_y=row["motion_y"],
    )
