"""The part of the recipe that decides which clips are kept: rules, near-duplicates, balance."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Union

from pydantic import Field, field_validator, model_validator

from curation.validate import Config

Percentile = Annotated[str, Field(pattern=r"^p(100|\d{1,2}(\.\d+)?)$")]
Bound = Union[float, Percentile]


_OF_NUMBERS = ("min", "max", "between")
_OF_TEXT = ("one_of", "none_of", "matches", "lacks")


class Rule(Config):
    """One condition on one column of the clips; a clip that fails it is dropped for that reason."""

    field: str
    """A column of the clips, scores or captions."""
    min: Bound | None = None
    """The least value: a number, or a percentile of the column such as p25."""
    max: Bound | None = None
    """The greatest value: a number, or a percentile."""
    between: tuple[Bound, Bound] | None = None
    """Both at once."""
    one_of: list[str] | None = Field(None, min_length=1)
    """For text columns: the values that are allowed."""
    none_of: list[str] | None = Field(None, min_length=1)
    """For text columns: the values that are not allowed."""
    matches: str | None = None
    """For text columns: a regular expression (RE2) that must be found in the value, such as (?i)car."""
    lacks: str | None = None
    """For text columns: a regular expression (RE2) that must not be found in the value."""
    by: str | None = None
    """A text column such as category or source_id: percentiles are taken over each of its groups by itself."""
    kind: Literal["video", "image"] | None = None
    """Only for these; percentiles are taken over them alone. By default the rule is for both."""
    missing: Literal["drop", "keep"] = "drop"
    """What becomes of a clip without a value."""

    @field_validator("min", "max", "between", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        for bound in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(bound, str) and not re.match(r"^p(100|\d{1,2}(\.\d+)?)$", bound):
                raise ValueError(f"must be a number or a percentile from p0 to p100, not {bound!r}")
            if isinstance(bound, bool) or not isinstance(bound, (int, float, str, type(None))):
                raise ValueError(f"must be a number or a percentile from p0 to p100, not {bound!r}")
        if isinstance(value, (list, tuple)) and len(value) != 2:
            raise ValueError("must be a list of two: the least and the greatest value")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        given = [name for name in (*_OF_NUMBERS, *_OF_TEXT) if getattr(self, name) is not None]
        if not given:
            raise ValueError(f"the rule on {self.field!r} needs min, max, between, one_of, none_of, matches or lacks")
        if len(given) > 1 and given != ["min", "max"]:
            raise ValueError(f"the rule on {self.field!r} has {' and '.join(given)}; use one of them")
        if self.by is not None and not any(isinstance(bound, str) for bound in self.bounds):
            raise ValueError(
                f"the rule on {self.field!r} has by: {self.by} and no percentile, such as p25, to take by it"
            )
        return self

    @property
    def bounds(self) -> tuple[Bound | None, Bound | None]:
        """The least and the greatest value that is allowed."""
        return self.between or (self.min, self.max)

    @property
    def on_numbers(self) -> bool:
        return self.bounds != (None, None)

    @property
    def forbids(self) -> bool:
        """Whether it names what must not be there."""
        return self.none_of is not None or self.lacks is not None


class SamePictures(Config):
    """Near-duplicates by the pictures' perceptual hashes."""

    distance: int = Field(5, ge=0, le=8)
    """Bits of 64 in which the hashes of two pictures may differ; from 6 on the search is slow."""


class SameMeaning(Config):
    """Near-duplicates by the stored `clip_embedding`."""

    similarity: float = Field(0.95, ge=0.5, le=1)
    """Least cosine."""


class Duplicates(Config):
    """What counts as a near-duplicate: clips that are alike in any of these ways."""

    phash: SamePictures | None = SamePictures()
    """More than half of the pictures alike, in the same order; null to leave it out."""
    embedding: SameMeaning | None = None
    """Alike to the embedding model; needs scores with embeddings."""

    @model_validator(mode="after")
    def _somehow(self) -> Duplicates:
        if self.phash is None and self.embedding is None:
            raise ValueError("needs phash or embedding; to keep near-duplicates leave out duplicates itself")
        return self


class Balance(Config):
    """How many clips a group may have."""

    by: str = "category"
    """A text column that names the groups; clips without a value are one group."""
    most: int | None = Field(None, ge=1)
    """Clips of a group that are kept."""
    times_median: float | None = Field(None, gt=0)
    """The same as a multiple of the size of the median group."""
    choose: Literal["best", "random"] = "best"
    """Which are kept: the best by `select.keep_by`, or any."""
    seed: int = 0
    """Of the choice at random."""

    @model_validator(mode="after")
    def _one_limit(self) -> Balance:
        if (self.most is None) == (self.times_median is None):
            raise ValueError("needs either most or times_median")
        return self


CaptionFlag = Literal["refusal", "truncated", "repeats", "language", "common"]


class Select(Config):
    """Which clips are kept. What no trainer wants is dropped first, also where the rules are one's own."""

    kinds: list[Literal["scene", "dissolve", "fade", "wipe", "outside", "image"]] = Field(
        ["scene", "image"], min_length=1
    )
    """What clips may be; by default no transitions between scenes, and nothing outside of ranges that were given."""
    max_black: float | None = Field(0.5, ge=0, le=1)
    """The greatest share of black frames; null for any."""
    max_frozen: float | None = Field(0.9, ge=0, le=1)
    """The greatest share of a video's frames that repeat the one before; null for any."""
    rules: list[Rule] = [
        Rule(field="frames", min=16, kind="video"),
        Rule(field="caption_words", min=3),
        Rule(field="height", min=240),
    ]
    """All must hold. Rules on captions come last: only clips that pass the others are captioned."""
    caption_flags: list[CaptionFlag] = ["refusal", "repeats"]
    """Clips whose caption has one of these flags are dropped, after the rules."""
    max_same_caption: int = Field(100, ge=1)
    """A caption on more clips than this is common; the caption of a source counts once."""
    duplicates: Duplicates | None = None
    """Of clips that are nearly the same, keep the best; by default all stay."""
    balance: Balance | None = None
    """Keep groups from outweighing others, after all rules; by default all stay."""
    keep_by: list[str] | None = Field(None, min_length=1)
    """What makes a clip the better one: columns, larger first; by default aesthetic or else signal, then height."""

    @property
    def every_rule(self) -> list[Rule]:
        """The rules, after those that the other keys stand for."""
        defects = [Rule(field="kind", one_of=list(self.kinds))]
        if self.max_black is not None:
            defects.append(Rule(field="black", max=self.max_black))
        if self.max_frozen is not None:
            defects.append(Rule(field="frozen", max=self.max_frozen, kind="video"))
        return [*defects, *self.rules]
