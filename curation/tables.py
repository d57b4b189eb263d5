"""The contract: every table that Reelmill writes, field by field.

Each field carries its meaning and its unit as Arrow metadata (`doc`, `unit`), so that the schema
explains itself in any Parquet reader. Tables are written in parts, one part a work unit, and are
joined by `source_id` and `clip_id`. `docs/data.md` says the same in prose.

    inputs/     one row for every row of the manifest, as it was given        (ingest)
    sources/    one row for every input: what decoding found, ok or failed    (split)
    clips/      one row for every scene, piece of a scene, or transition      (split)
    scores/     one row for every clip, a column for every measure            (score)
    answers/    one row for every answer of a model, so that it is paid once  (caption)
    captions/   one row for every clip that passed the rules so far           (caption)
    selection   one row for every clip: kept, or dropped and why              (select)
    cuts/       one row for every kept clip that could be cut; goes away when
                the shards are complete                                       (shard)
    shards/     one row for every sample in the tar beside it                 (shard)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

MANIFEST_FORMAT = "reelmill/1"


def column(name: str, type_: pa.DataType, doc: str, unit: str = "", *, null: bool = False) -> pa.Field:
    """One documented field. `unit` is empty for text, ids and plain counts."""
    return pa.field(name, type_, nullable=null, metadata={"doc": doc, "unit": unit})


_ORIGIN = [
    column("source_id", pa.string(), "The id column of the manifest's table, or the path below the listed folder."),
    column("uri", pa.string(), "Local path or URL of the raw media file, without credentials."),
    column("kind", pa.string(), "video, or image"),
    column("caption", pa.string(), "The caption that came with the source.", null=True),
    column("category", pa.string(), "The category that came with the source.", null=True),
    column("licence", pa.string(), "The licence that came with the source.", null=True),
    column(
        "meta",
        pa.string(),
        "The other columns of the manifest's row, as a JSON object; secrets are withheld.",
        null=True,
    ),
    column(
        "ranges",
        pa.list_(
            pa.struct(
                [
                    pa.field("start_s", pa.float64(), nullable=False),
                    pa.field("end_s", pa.float64(), nullable=False),
                    pa.field("caption", pa.string()),
                ]
            )
        ),
        "Ranges that the manifest's table gives, from the first frame on, with captions; they are the scenes.",
        "seconds",
        null=True,
    ),
]

INPUTS = pa.schema(
    [
        *_ORIGIN,
        column("version", pa.string(), "Size and time of change of a local file, to notice another one.", null=True),
        column("error", pa.string(), "Why this row cannot be used (no address, a repeated id).", null=True),
    ]
)

SOURCES = pa.schema(
    [
        *_ORIGIN,
        column("status", pa.string(), "ok, or failed"),
        column("error", pa.string(), "Why the source failed; null where status is ok.", null=True),
        column("warning", pa.string(), "Why a source is ok only in part (cut off, damaged).", null=True),
        column(
            "mended",
            pa.bool_(),
            "Timestamps of the file do not rise and were mended; its clips are cut by frames instead of by FFmpeg's "
            "seeking.",
            null=True,
        ),
        column("bytes", pa.int64(), "Size of the raw file.", "bytes", null=True),
        column(
            "duration_s",
            pa.float64(),
            "From the first frame to the end of the last; 0 for an image.",
            "seconds",
            null=True,
        ),
        column("frames", pa.int64(), "Frames that were decoded.", null=True),
        column("fps", pa.float64(), "Decoded frames over duration; null for an image.", "frames per second", null=True),
        column("width", pa.int32(), "Displayed width: after rotation and pixel aspect.", "pixels", null=True),
        column("height", pa.int32(), "Displayed height.", "pixels", null=True),
        column("codec", pa.string(), "Video codec by FFmpeg's name; of an image its format by Pillow's.", null=True),
        column("time_base", pa.string(), "Unit of the clips' pts as a fraction of a second.", null=True),
        column("clips", pa.int32(), "Clips that this source gave; 0 where it failed."),
    ]
)

CLIPS = pa.schema(
    [
        column("clip_id", pa.string(), "16 hex digits: a pure function of source id and exact time range."),
        column("source_id", pa.string(), "The source that it was found in."),
        column("scene", pa.int32(), "Number of the scene in the source, from 0."),
        column("piece", pa.int32(), "Number of the piece, from 0, where a long scene was divided."),
        column(
            "kind",
            pa.string(),
            "scene; dissolve, fade or wipe: a transition between two scenes; outside of given ranges; or image.",
        ),
        column("trimmed", pa.int32(), "Frames of the scene left off before and after this clip."),
        column("start_pts", pa.int64(), "Timestamp of the first frame.", "time_base"),
        column("end_pts", pa.int64(), "Timestamp where the last frame ends (exclusive).", "time_base"),
        column("time_base", pa.string(), "Unit of the timestamps as a fraction of a second, for instance 1/12800."),
        column("start_s", pa.float64(), "start_pts in seconds.", "seconds"),
        column("end_s", pa.float64(), "end_pts in seconds.", "seconds"),
        column("duration_s", pa.float64(), "end_s - start_s.", "seconds"),
        column("frames", pa.int32(), "Frames in the range, counted while decoding."),
        column("fps", pa.float64(), "frames over duration; null for an image.", "frames per second", null=True),
        column("width", pa.int32(), "Displayed width of the source.", "pixels"),
        column("height", pa.int32(), "Displayed height of the source.", "pixels"),
        column("category", pa.string(), "The source's category.", null=True),
        column(
            "motion",
            pa.float32(),
            "Mean length of the optical flow between neighbouring frames, over sampled pairs.",
            "frame widths per second",
            null=True,
        ),
        column("motion_x", pa.float32(), "Mean horizontal flow, right positive.", "frame widths per second", null=True),
        column("motion_y", pa.float32(), "Mean vertical flow, down positive.", "frame widths per second", null=True),
        column("sharpness", pa.float32(), "Variance of the Laplacian of luma.", "luma steps squared", null=True),
        column("brightness", pa.float32(), "Mean luma.", "0 black to 1 white", null=True),
        column("black", pa.float32(), "Share of frames that show nothing but black.", "0 none to 1 all"),
        column("frozen", pa.float32(), "Share of frames that repeat the one before.", "0 none to 1 all", null=True),
        column("thumbnails", pa.list_(pa.binary()), "JPEG pictures of the clip, in time order."),
        column(
            "phash",
            pa.list_(pa.uint64()),
            "Perceptual hash of each picture (8 x 8 lowest cosine frequencies against their median).",
        ),
        column("thumbnail_s", pa.list_(pa.float64()), "When each picture is, in the source's time.", "seconds"),
        column(
            "looks",
            pa.binary(),
            "12 bytes a frame, the mean luma of a grid of 3 rows and 4 columns: what cuts are checked against.",
            "luma steps",
            null=True,
        ),
    ]
)

_CAPTION_FIELDS = [
    column("caption", pa.string(), "What the clip shows: the first style's caption, cleaned.", null=True),
    column("caption_words", pa.int32(), "Words in the caption; 0 without one."),
    column("captioner", pa.string(), "Which captioner answered.", null=True),
    column("caption_model", pa.string(), "The model that answered, where one did.", null=True),
    column("caption_prompt", pa.string(), "The first 16 hex digits of the prompt's sha256, where one was.", null=True),
    column(
        "caption_score",
        pa.float32(),
        "Cosine of the caption and the clip by CLIP, with score.clip.",
        "-1 to 1",
        null=True,
    ),
    column(
        "caption_flags",
        pa.list_(pa.string()),
        "What is wrong with the caption: refusal, truncated, repeats, language.",
        null=True,
    ),
    column(
        "captions",
        pa.list_(
            pa.struct(
                [
                    pa.field("style", pa.string(), nullable=False),
                    pa.field("text", pa.string(), nullable=False),
                    pa.field("words", pa.int32(), nullable=False),
                    pa.field("captioner", pa.string(), nullable=False),
                    pa.field("model", pa.string()),
                    pa.field("prompt", pa.string()),
                    pa.field("flags", pa.list_(pa.string()), nullable=False),
                    pa.field("raw", pa.string()),
                ]
            )
        ),
        "Every style's caption in the recipe's order; raw is the answer as it came, where cleaning took words off.",
        null=True,
    ),
]

OF_CAPTION = tuple(field.name for field in _CAPTION_FIELDS)
"""What a sample says of its caption."""

CAPTIONS = pa.schema(
    [
        column("clip_id", pa.string(), "The clip that this caption belongs to."),
        *_CAPTION_FIELDS,
        column("caption_error", pa.string(), "Why a captioner gave none.", null=True),
    ]
)

ANSWERS = pa.schema(
    [
        column("key", pa.binary(16), "sha256 over clip, pictures, model, prompt and sampling, its first half."),
        column("clip_id", pa.string(), "The clip that was asked about."),
        column("captioner", pa.string(), "Which captioner answered."),
        column("model", pa.string(), "Which model answered."),
        column("prompt", pa.string(), "The first 16 hex digits of the prompt's sha256."),
        column("text", pa.string(), "The answer, as it came."),
        column("truncated", pa.bool_(), "Whether it ends at the limit of tokens."),
        column("refused", pa.bool_(), "Whether the server said that the model declined."),
        column("tokens_in", pa.int64(), "Of prompt and pictures, as the server counts them.", "tokens"),
        column("tokens_out", pa.int64(), "Of the answer.", "tokens"),
        column("dollars", pa.float64(), "By the recipe's prices.", "dollars"),
    ]
)

SELECTION = pa.schema(
    [
        column("clip_id", pa.string(), "The clip."),
        column("kept", pa.bool_(), "Whether it goes into the shards."),
        column("drop_reasons", pa.list_(pa.string()), "Every rule that it failed, the first first; empty if kept."),
        column("duplicate_of", pa.string(), "The better clip that it repeats.", null=True),
    ]
)

_MEDIA_FIELDS = [
    column("offset", pa.int64(), "Where the bytes of the media member begin in the tar.", "bytes"),
    column("bytes", pa.int64(), "Length of the media member.", "bytes"),
    column("sha256", pa.string(), "Of the media member."),
    column("frames", pa.int32(), "Frames in the media member, counted after the cut."),
    column("fps", pa.float64(), "frames over duration; null for an image.", "frames per second", null=True),
    column("duration_s", pa.float64(), "Length of the media.", "seconds"),
    column("width", pa.int32(), "Width of the media.", "pixels"),
    column("height", pa.int32(), "Height of the media.", "pixels"),
    column("frame_pts", pa.list_(pa.int64()), "Timestamp of each frame in display order.", "frame_time_base"),
    column("frame_time_base", pa.string(), "Unit of frame_pts as a fraction of a second."),
    column("keyframes", pa.list_(pa.int32()), "Which frames can be decoded first, as positions in frame_pts."),
    column(
        "keyframe_bytes",
        pa.list_(pa.int64()),
        "Where the packet of each key frame begins in the media member; packets follow in the order of decoding.",
        "bytes",
        null=True,
    ),
]

_SHOWN_FIELDS = [
    column("start_pts", pa.int64(), "First frame of the media in the source.", "time_base"),
    column("end_pts", pa.int64(), "End of the last frame of the media in the source (exclusive).", "time_base"),
    column("lost_frames", pa.int32(), "Frames of the clip that the media does not show."),
    column("cut", pa.string(), "How the media was made: copy, smart or encode.", null=True),
    column("note", pa.string(), "Why it was not made as the recipe says; null where it was.", null=True),
    column("sound", pa.string(), "Codec, rate and channels of the sound; null where there is none.", null=True),
]

CUTS = pa.schema([column("clip_id", pa.string(), "The clip that was cut."), *_SHOWN_FIELDS, *_MEDIA_FIELDS])

# Columns of a clip by the name that they have in a sample: all but the pictures. What the media member has of its own,
# such as its size and the range that it shows, stands under its own name, and the clip's under clip_….
_PICTURES = ("thumbnails", "thumbnail_s", "looks")
_OF_MEDIA = {"start_s", "end_s", *(field.name for field in [*_SHOWN_FIELDS, *_MEDIA_FIELDS])}
OF_CLIP = {
    f"clip_{field.name}" if field.name in _OF_MEDIA else field.name: field.name
    for field in CLIPS
    if field.name not in _PICTURES
}
# Measures that tell of the picture as a whole.
CARRIED = ("motion", "motion_x", "motion_y", "sharpness", "brightness")
OF_SOURCE = ("uri", "licence", "meta")

SAMPLES = pa.schema(
    [
        column("shard", pa.string(), "File name of the tar."),
        column("key", pa.string(), "WebDataset key: members are key.mp4 (of an image key.jpg), key.txt and key.json."),
        column("uri", pa.string(), "Address of the source, without credentials."),
        column("licence", pa.string(), "Licence of the source.", null=True),
        column("meta", pa.string(), "What else the manifest's table said of the source, as a JSON object.", null=True),
        *(CLIPS.field(name).with_name(new) for new, name in OF_CLIP.items()),
        *_SHOWN_FIELDS,
        *_MEDIA_FIELDS,
        *_CAPTION_FIELDS,
        column("recipe_hash", pa.string(), "Of the resolved recipe of the run that packed the sample.", null=True),
        column("tools", pa.string(), "Versions of the programs that cut and packed it, as a JSON object.", null=True),
    ]
)


def scores_schema(measures: Sequence[pa.Field]) -> pa.Schema:
    """The schema of `scores/`: the clip's id and one nullable column for every measure."""
    return pa.schema([column("clip_id", pa.string(), "The clip that was scored."), *measures])


def samples_schema(measures: Sequence[pa.Field]) -> pa.Schema:
    """The schema of `shards/*.parquet`: the sample and every score of its clip."""
    return pa.schema([*SAMPLES, *measures])


def extension(kind: str) -> str:
    """Of the member that holds a clip of this kind: mp4, or jpg for an image."""
    return "jpg" if kind == "image" else "mp4"


def clip_id(source_id: str, start_pts: int, end_pts: int, time_base: str) -> str:
    """The id of a clip: 16 hex digits, the same on every machine and in every run."""
    text = "\0".join((source_id, str(start_pts), str(end_pts), time_base))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table of exactly this schema.

    Raises:
        ValueError: a row has a field that the schema does not know, or lacks a required one.
    """
    rows = list(rows)
    names = set(schema.names)
    required = {field.name for field in schema if not field.nullable}
    for row in rows:
        if unknown := set(row) - names:
            raise ValueError(f"fields {sorted(unknown)} are not in the table's schema")
        if missing := {name for name in required if row.get(name) is None}:
            raise ValueError(f"required fields {sorted(missing)} are missing")
    return pa.Table.from_pylist(rows, schema=schema)
