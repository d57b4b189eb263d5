"""The validated configuration of curation: one object for each phase, every key with a default.

A manifest file is a `Recipe` in YAML. `load` reads one; a bare folder, table or media file stands
for a manifest with that as its only source. Times are in seconds, sizes in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from curation import validate
from curation.errors import UserError
from curation.recipe_score import Score
from curation.store import Place, is_url, without_secrets
from curation.validate import Config

MANIFEST_SUFFIXES = (".yaml", ".yml")


class Columns(Config):
    """Which columns of a table hold what. A column that is not named is looked up by its own name."""

    uri: str = "uri"
    """Address of the media: a path (relative to the table) or a URL."""
    id: str | None = None
    """A unique id; without one the address is the id."""
    caption: str | None = None
    """A caption that comes with the source."""
    category: str | None = None
    """A category that comes with the source."""
    licence: str | None = None
    """The licence of the source."""


class SourceList(Config):
    """One thing that goes in: media files, or tables that list them."""

    files: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
    """A file, folder, glob or URL (or a list) of media; or of csv, tsv, jsonl or parquet tables of them."""
    kind: Literal["video", "image"] = "video"
    """What the media are."""
    columns: Columns | None = None
    """For tables: which columns hold what."""
    category: str | None = None
    """The category of all of these sources, where a row does not say."""
    licence: str | None = None
    """The licence of all of these sources, where a row does not say."""


class Ingest(Config):
    """How the inputs are cut into work units."""

    unit: int | None = Field(None, ge=1)
    """Sources in a work unit; by default the number of sources over 512, between 1 and 256."""
    max_bytes: int = Field(64 << 30, gt=0)
    """A source larger than this fails; bounds the temporary copy of a remote file. Bytes."""
    max_image_bytes: int = Field(128 << 20, gt=0)
    """An image larger than this fails. Bytes."""


class Split(Config):
    """How sources are decoded and divided into clips."""

    detector: Literal["judged", "adaptive", "content", "histogram"] = "judged"
    """judged weighs many measures of each candidate; the others are PySceneDetect's detectors as they are."""
    threshold: float | None = Field(None, gt=0)
    """The detector's threshold; by default for judged a certainty of 0.2, for the others PySceneDetect's own."""
    gradual: bool = True
    """Find dissolves, fades and wipes too; they become rows of their own, and clips keep clear of them."""
    speed: Literal["exact", "fast"] = "exact"
    """exact decodes every frame; fast leaves out frames on which no other depends where nothing happens."""
    min_frames: int = Field(16, ge=1)
    """No piece of a long scene is shorter than this; content and histogram join cuts nearer than this. Frames."""
    max_seconds: float = Field(20.0, gt=0)
    """A scene longer than this is divided evenly, by frames."""
    trim_frames: int = Field(0, ge=0)
    """Frames left off at both ends of a scene, where min_frames would still be left."""
    thumbnails: int = Field(3, ge=1, le=16)
    """Pictures kept of every clip; the scorers and captioners see these."""
    thumbnail_size: int = Field(256, ge=64, le=1024)
    """Short side of the pictures. Pixels."""
    segment_s: float | None = Field(600.0, gt=0)
    """A longer file is decoded in segments of this length side by side, with the same result; null never."""
    timeout_s: float = Field(3600.0, gt=0)
    """A source whose decoding takes longer fails. Seconds of wall time."""
    memory_mb: int = Field(4096, ge=512)
    """A source whose decoder needs more address space fails. MiB."""

    @model_validator(mode="after")
    def _certainty(self) -> Split:
        if self.detector == "judged" and self.threshold is not None and self.threshold >= 1:
            raise ValueError("threshold of the judged detector is a certainty between 0 and 1")
        return self


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

    kinds: list[Literal["scene", "dissolve", "fade", "wipe", "image"]] = Field(["scene", "image"], min_length=1)
    """What clips may be; transitions between scenes are none by default."""
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


CaptionerName = Literal["source", "describe", "endpoint", "transformers"]
PROMPT = (
    "These pictures are taken from one video clip, in the order of time. Describe the clip in one to three plain "
    "sentences: who or what is seen, where, what happens, and how the camera moves. Say only what can be seen. "
    "Begin with the subject."
)


class Style(Config):
    """One kind of caption: what is asked for it, and of whom."""

    model_config = ConfigDict(populate_by_name=True)

    prompt: str = Field(PROMPT, min_length=1, max_length=20_000)
    """What a model is asked about a clip."""
    max_tokens: int = Field(256, ge=1, le=16_384)
    """A model's answer ends here, and is then flagged as truncated. Tokens."""
    captioners: list[CaptionerName] | None = Field(None, alias="from", min_length=1)
    """Who is asked, where it is not `caption.from`."""


class Prices(Config):
    """What an endpoint costs. Dollars for a million tokens."""

    input: float = Field(ge=0)
    """Of the prompt and the pictures."""
    output: float = Field(ge=0)
    """Of the answer."""


class Budget(Config):
    """What may be spent on one output, over all runs; then captioning ends, and can be resumed with more."""

    requests: int | None = Field(None, ge=0)
    """Answers."""
    tokens: int | None = Field(None, ge=0)
    """Of prompts, pictures and answers, as the server counts them; those in flight at the end come on top."""
    dollars: float | None = Field(None, ge=0)
    """By `prices`; those in flight at the end come on top."""


class Endpoint(Config):
    """A server that speaks OpenAI's chat protocol: vLLM, SGLang, llama.cpp, a hosted one."""

    url: str = Field(pattern=r"^https?://[^\s@?#]+$")
    """The address that ends before /chat/completions, for instance http://localhost:8000/v1."""
    model: str = Field(min_length=1)
    """The model's name, as the server knows it."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable, where the workers run, that holds the key. The key itself is never stored."""
    concurrency: int = Field(16, ge=1, le=1024)
    """Requests in flight at any time, over the whole run."""
    pictures: Literal["images", "video"] = "images"
    """images: each an image_url. video: one video_url of JPEG frames, which vLLM takes."""
    temperature: float = Field(0.0, ge=0)
    """Of sampling; 0 takes the likeliest word."""
    body: dict[str, Any] = {}
    """More keys of the request's body, for instance top_p; null takes one out."""
    timeout_s: float = Field(120.0, gt=0)
    """A request that takes longer is tried again. Seconds."""
    tries: int = Field(6, ge=1, le=100)
    """After so many faults a clip stays without a caption, with the reason."""
    backoff_s: float = Field(1.0, ge=0)
    """The wait after the first fault; it doubles with every other. Seconds."""
    prices: Prices | None = None
    """See `Prices`."""
    budget: Budget | None = None
    """See `Budget`."""

    @model_validator(mode="after")
    def _priced(self) -> Endpoint:
        if self.budget and self.budget.dollars is not None and not self.prices:
            raise ValueError("budget.dollars needs prices: {input: …, output: …}, in dollars for a million tokens")
        return self


class LocalModel(Config):
    """An image- or video-text-to-text model of Hugging Face, run by the workers."""

    model: str = Field(min_length=1)
    """A folder, or a name on the hub. Weights are safetensors; code that comes with a model is never run."""
    revision: str | None = None
    """A commit, branch or tag on the hub."""
    pictures: Literal["images", "video"] = "images"
    """How the model is shown a clip: as several images, or as the frames of a video."""
    batch: int = Field(8, ge=1)
    """Clips in one forward pass."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights; auto is as they are stored on a GPU, and float32 on a CPU."""


class Caption(Config):
    """Where captions come from."""

    model_config = ConfigDict(populate_by_name=True)

    captioners: list[CaptionerName] = Field(["source", "describe"], alias="from", min_length=1)
    """Asked in this order; the first that answers is taken."""
    styles: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")], Style] = Field(
        {"caption": Style()}, min_length=1
    )
    """The captions of a clip by name; the first is the primary one."""
    language: str | None = Field("en", pattern=r"^[a-z]{2,3}$")
    """Captions in another language are flagged; null for any. ISO 639 code."""
    endpoint: Endpoint | None = None
    """See `Endpoint`."""
    transformers: LocalModel | None = None
    """See `LocalModel`."""

    @model_validator(mode="after")
    def _complete(self) -> Caption:
        asked = {name for style in self.styles.values() for name in style.captioners or self.captioners}
        for name in ("endpoint", "transformers"):
            if name in asked and getattr(self, name) is None:
                raise ValueError(f"`from` names {name}, which needs {name}: {{model: …}}")
            if name not in asked and getattr(self, name) is not None:
                raise ValueError(f"{name} is described and never asked; name it in `from`")
        return self


class Resampled(Config):
    """Sound at another rate."""

    rate: int = Field(ge=8000, le=96000)
    """Samples a second. Hz."""
    channels: int = Field(ge=1, le=2)
    """1 is mono, 2 is stereo."""


Aspect = Annotated[str, Field(pattern=r"^[1-9]\d{0,4}:[1-9]\d{0,4}$")]


class Buckets(Config):
    """Clips that are alike share shards. Every kept clip is in one bucket of each kind that is given here."""

    aspect: list[Aspect] = []
    """Aspect ratios such as 16:9; a clip is in the nearest one, by ratio."""
    short_side: list[Annotated[int, Field(ge=1)]] = []
    """Lower edges of the source's short side; what is below the first is a bucket too. Pixels."""
    frames: list[Annotated[int, Field(ge=1)]] = []
    """Lower edges of the number of frames."""
    seconds: list[Annotated[float, Field(gt=0)]] = []
    """Lower edges of the length. Seconds."""

    @field_validator("short_side", "frames", "seconds")
    @classmethod
    def _rising(cls, edges: list[float]) -> list[float]:
        if edges != sorted(set(edges)):
            raise ValueError(f"must be a rising list of edges, not {edges}")
        return edges


class Shard(Config):
    """How kept clips are cut and packed."""

    cut: Literal["encode", "smart", "copy"] = "encode"
    """encode: to the frame. smart: to the frame, encoding only what does not lie between key frames. copy: encodes
    nothing, and shortens clips to what lies between key frames."""
    otherwise: Literal["encode", "fail"] = "encode"
    """What becomes of a clip that cannot be copied or cut smartly; its row says why."""
    copied_share: float = Field(0.5, ge=0, le=1)
    """copy: where less than this share of a clip's frames can be copied, it counts as one that cannot be."""
    short_side: int | None = Field(320, ge=16)
    """encode: clips are scaled down to this short side; smaller ones stay as they are; null keeps the size. copy and
    smart keep the size; it is null there. Pixels."""
    fps: float | None = Field(None, gt=0, le=480)
    """encode: whole frames are left out so that no more than this many a second remain. Frames per second."""
    codec: Literal["h264", "hevc", "av1"] = "h264"
    """What is encoded to. What smart joins to a source has the source's codec."""
    encoder: Literal["software", "hardware", "auto"] = "software"
    """software: x264, x265, SVT-AV1; the same bytes everywhere. hardware: NVENC, QSV, VA-API or VideoToolbox, whichever
    works, else the run ends. auto: hardware where there is some."""
    crf: int = Field(20, ge=0, le=51)
    """The encoder's constant quality: lower is better and larger."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    """The encoder's speed, by x264's names."""
    gop: int = Field(16, ge=1)
    """Frames between key frames of what is encoded: short ones make random access in training cheap."""
    audio: Literal["drop", "keep"] | Resampled = "drop"
    """drop, keep (as it is where mp4 can hold it, else as AAC), or a rate and channels, as AAC."""
    samples: int = Field(256, ge=1)
    """Samples in a shard."""
    seed: int = 0
    """Of the global shuffle of clips over shards; another one deals all of them anew."""
    buckets: Buckets = Buckets()
    """See `Buckets`; by default a shard holds clips of every shape."""
    jpeg_quality: int = Field(95, ge=1, le=100)
    """Of images that have to be scaled, turned or converted; a plain JPEG that is small enough keeps its data."""
    timeout_s: float = Field(600.0, gt=0)
    """A clip whose cutting takes longer fails. Seconds of wall time."""

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_source(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("cut") in ("copy", "smart"):
            for name in ("short_side", "fps"):
                if given.get(name) is not None:
                    raise ValueError(f"{name} needs cut: encode; cut: {given['cut']} keeps the pictures as they are")
            return given | {"short_side": None}
        return given


class Report(Config):
    """What the report shows."""

    clips: int = Field(24, ge=1, le=400)
    """Clips on a contact sheet, spread evenly over all that belong there."""


class Recipe(Config):
    """A dataset definition: what goes in and how it is curated."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    """Name of the dataset: letters, digits, dots, dashes and underscores."""
    sources: list[SourceList] = Field(min_length=1)
    """What goes in."""
    ingest: Ingest = Ingest()
    """See `Ingest`."""
    split: Split = Split()
    """See `Split`."""
    score: Score = Score()
    """See `Score`."""
    select: Select = Select()
    """See `Select`."""
    caption: Caption = Caption()
    """See `Caption`."""
    shard: Shard = Shard()
    """See `Shard`."""
    report: Report = Report()
    """See `Report`."""


def load(manifest: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a manifest (.yaml, a file or a URL), or of a bare folder, glob, table, media file or URL.

    Raises:
        UserError: in one line, with the line of the file and the nearest valid key where it helps.
    """
    if manifest.split("?")[0].endswith(MANIFEST_SUFFIXES):
        if not is_url(manifest):
            return validate.load(manifest, Recipe, overrides)
        folder, _, name = manifest.rpartition("/")
        return validate.loads(Place(folder).text(name), Recipe, overrides, name=without_secrets(manifest))
    path = Path(manifest)
    if not is_url(manifest) and not path.exists() and not any(mark in manifest for mark in "*?["):
        raise UserError(f"{manifest}: no such file or folder; give a manifest (.yaml), or a folder of videos")
    stem = re.split(r"[/\\]", manifest.split("?")[0].rstrip("/"))[-1].split(".")[0] if is_url(manifest) else ""
    name = stem or (path.resolve().name if path.is_dir() else path.parent.resolve().name)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "clips"
    return validate.parse({"name": name, "sources": [{"files": [manifest]}]}, Recipe, overrides)
