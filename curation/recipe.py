"""The validated configuration of curation: one object for each phase, every key with a default.

A manifest file is a `Recipe` in YAML. `load` reads one; a bare folder, table or media file stands
for a manifest with that as its only source. Times are in seconds, sizes in pixels.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from curation import validate
from curation.addresses import scrubbed
from curation.errors import UserError
from curation.recipe_caption import Caption
from curation.recipe_score import Score
from curation.recipe_select import Select
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
    start: str | None = None
    """Where a clip begins in its film: seconds, or a time such as 0:00:07.240. Rows of one film are one source then."""
    end: str | None = None
    """Where it ends."""
    ranges: str | None = None
    """A list of such ranges, each a start and an end; then `caption` holds a list of as many captions."""

    @model_validator(mode="after")
    def _whole_ranges(self) -> Columns:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        if self.start is not None and self.ranges is not None:
            raise ValueError("give either start and end, or ranges")
        return self


class SourceList(Config):
    """One thing that goes in: media files, or tables that list them."""

    files: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
    """A file, folder, glob or URL (or a list) of media; or of csv, tsv, jsonl or parquet tables of them."""
    kind: Literal["video", "image"] = "video"
    """What the media are."""
    columns: Columns | None = None
    """For tables: which columns hold what."""
    media: str | None = None
    """For tables that name media by id: a folder of the files, each named by the id, with or without its ending."""
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
    fast_decode: bool = True
    """encode: leave out what costs decoders most (`tune fastdecode` of x264 and x265: the loop filter and, in
    H.264, CABAC; `fast-decode` of SVT-AV1). Trainers decode in half the time, files are a sixteenth larger. Encoders in
    hardware have no such setting."""
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
    playing: int = Field(24, ge=0, le=400)
    """Kept clips whose frames are taken from the shards, so that they play; others show their thumbnails in turn."""
    max_mb: float = Field(15.0, ge=1, le=1000)
    """The page is no larger than this: pictures that would be too many are left out. Megabytes."""


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


WITHOUT_EFFECT = (
    *("ingest.max_bytes", "ingest.max_image_bytes", "split.timeout_s", "split.memory_mb", "shard.timeout_s"),
    *("caption.endpoint.url", "caption.endpoint.api_key_env", "caption.endpoint.concurrency"),
    *("caption.endpoint.timeout_s", "caption.endpoint.tries", "caption.endpoint.backoff_s", "caption.endpoint.prices"),
    *("caption.endpoint.budget", "caption.transformers.batch"),
)
"""Keys that move no byte of what succeeds: limits, and how servers are asked. Another value of theirs redoes nothing;
what failed for a limit is tried again by --retry-failed."""


def published(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every default filled in, as plain values without credentials: what an output says of itself."""
    settings: dict[str, Any] = scrubbed(validate.resolved(recipe))
    return settings


def deciding(settings: Recipe | dict[str, Any]) -> dict[str, Any]:
    """What decides an output's bytes but for its report, of a recipe or of what `published` gave of one."""
    decide = published(settings) if isinstance(settings, Recipe) else copy.deepcopy(settings)
    decide.pop("report", None)
    for key in WITHOUT_EFFECT:
        *folders, name = key.split(".")
        place: Any = decide
        for folder in folders:
            place = place.get(folder) or {}
        place.pop(name, None)
    # Segments of an exact pass never show; those of a fast one leave out other frames, on which motion may be sampled.
    if decide.get("split", {}).get("speed") == "exact":
        decide["split"].pop("segment_s", None)
    return decide


NOTE = "# The resolved recipe of this output. Its hash: "
"""How `recipe.yaml` of an output begins."""


def hash_of(recipe: Recipe) -> str:
    """The same for recipes that make the same dataset of the same sources."""
    return validate.fingerprint(deciding(recipe))


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


def of_output(out: Place) -> Recipe:
    """The recipe that an output was made by.

    Raises:
        UserError: this is no output.
    """
    if not out.exists("recipe.yaml"):
        raise UserError(f"{out.url()} is no output of reelmill: it has no recipe.yaml")
    return validate.loads(out.text("recipe.yaml"), Recipe, name=without_secrets(out.url("recipe.yaml")))
