"""Which way each clip of a source is cut, and why; all of them in one child, each checked against the source.

`copy` and `smart` keep a source's packets, so they need to know exactly which pictures these are. Where that cannot be
known, or where the result would not be the clip, the clip is encoded instead, or fails: by the recipe, and with the
reason in its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from curation.video import comparing, sound, thinning
from curation.video.comparing import Copied, Strictness
from curation.video.copying import Stretch, copy, inner
from curation.video.cut import Encoding, encode
from curation.video.decode import Decoder, Unseekable
from curation.video.encoders import HELD_TO
from curation.video.index import index
from curation.video.packets import Listing, listing
from curation.video.probe import Header, MediaError, header, opened
from curation.video.recut import recut
from curation.video.smart import CODECS, Joined, smart
from curation.video.sound import Sound

# What decoding a film and handing its frames to FFmpeg takes, over decoding alone.
_HANDING_ON = 1.1


@dataclass(frozen=True)
class Wanted:
    """How the clips of a source are to be cut. See `curation.recipe.Shard`."""

    way: str
    """copy, smart or encode"""
    otherwise: str
    """What becomes of a clip that cannot be cut so: encode or fail."""
    encoding: Encoding
    least_share: float = 0.0
    least_frames: int = 1
    sound: Sound | None = None
    loose: bool = False
    """The looks come from a fast pass."""
    timeout_s: float = 600.0
    memory_mb: int | None = None


@dataclass
class Clip:
    """One clip on its way."""

    clip_id: str
    start_pts: int
    end_pts: int
    frames: int
    looks: bytes | None
    target: Path
    notes: list[str] = field(default_factory=list)
    """Why it was not cut as wanted."""
    made: dict[str, Any] | None = None
    failed: str | None = None


def clip_from(given: dict[str, Any]) -> Clip:
    """A clip from plain values."""
    return Clip(**(given | {"target": Path(given["target"])}))


@dataclass(frozen=True)
class _Source:
    path: Path
    head: Header
    stored: tuple[int, int]
    codec: str
    mended: bool
    damaged: bool


def cut_clips(path: Path, clips: Sequence[Clip], wanted: Wanted, *, mended: bool, damaged: bool = False) -> None:
    """Cut the clips of one source, in order and without overlap; each ends `made`, or `failed` with a reason.

    Args:
        mended: its times are not those of the file.
        damaged: not all of it could be decoded.

    Raises:
        MediaError: the source cannot be opened.
        OSError: no space is left.
    """
    with opened(path) as (container, stream):
        found = next(Decoder(container, stream).frames(), None)
        if found is None:
            raise MediaError("no frame could be decoded")
        _, frame = found
        head = header(stream, frame)
        source = _Source(path, head, (frame.width, frame.height), stream.codec_context.name, mended, damaged)
    if wanted.way != "encode":
        _without_encoding(source, clips, wanted)
        for clip in clips:
            if clip.made is None and wanted.otherwise == "fail":
                clip.failed = clip.notes[-1]
    left = [clip for clip in clips if clip.made is None and clip.failed is None]
    if left and not mended:
        _by_seeking(source, left, wanted)
        left = [clip for clip in left if clip.made is None]
    if left:
        _by_frames(source, left, wanted)


def _without_encoding(source: _Source, clips: Sequence[Clip], wanted: Wanted) -> None:
    """Copy, or cut smartly, what can be; the others get a note."""
    try:
        listed = _listed(source, wanted.way)
    except Unseekable as error:
        for clip in clips:
            clip.notes.append(str(error))
        return
    chosen: list[tuple[Clip, Stretch]] = []
    for clip in clips:
        stretch = inner(listed, clip.start_pts, clip.end_pts, resetting=wanted.way == "smart")
        if reason := _unfit(clip, stretch, listed, wanted):
            clip.notes.append(reason)
        elif stretch is not None:
            chosen.append((clip, stretch))
    targets = [clip.target for clip, _ in chosen]
    if wanted.way == "copy":
        written = copy(source.path, listed, [stretch for _, stretch in chosen], targets)
    else:
        joined = [Joined(clip.start_pts, clip.end_pts, stretch) for clip, stretch in chosen]
        written = smart(source.path, listed, joined, targets, wanted.encoding)
    for (clip, stretch), digest in zip(chosen, written):
        try:
            if isinstance(digest, str):
                raise MediaError(digest)
            _accept_stretch(source, clip, stretch, listed, wanted, digest)
        except MediaError as error:
            clip.notes.append(str(error))


def _listed(source: _Source, way: str) -> Listing:
    """The packets of a source whose pictures can be used as they are stored."""
    head = source.head
    shown = (head.height, head.width) if head.rotation in (90, 270) else (head.width, head.height)
    if source.mended:
        raise Unseekable("the times of the file had to be mended")
    if head.rotation or head.mirrored:
        raise Unseekable("its pictures are stored turned or mirrored")
    if shown != source.stored:
        raise Unseekable("its pixels are not square")
    if way == "smart" and source.codec not in CODECS:
        raise Unseekable(f"{source.codec} cannot be joined with newly encoded pictures")
    if way == "smart" and head.interlaced:
        raise Unseekable("interlaced pictures cannot be joined with newly encoded ones")
    with opened(source.path) as (container, stream):
        return listing(container, stream)


def _unfit(clip: Clip, stretch: Stretch | None, listed: Listing, wanted: Wanted) -> str | None:
    if len(listed.shown(clip.start_pts, clip.end_pts)) != clip.frames:
        return "its packets are not its frames"
    if stretch is None:
        return "no key frame in it can be the first of a file"
    least = max(1, min(clip.frames, wanted.least_frames), round(wanted.least_share * clip.frames))
    if wanted.way == "copy" and stretch.frames < least:
        return f"only {stretch.frames} of its {clip.frames} frames can be copied"
    return None


def _accept_stretch(
    source: _Source, clip: Clip, stretch: Stretch, listed: Listing, wanted: Wanted, digest: bytes
) -> None:
    """Check a cut of packets, and take it."""
    if wanted.way == "copy":
        start, end = stretch.start_pts, stretch.end_pts
        before, encoded_from = 0, clip.frames
    else:
        start, end = clip.start_pts, clip.end_pts
        before = len(listed.shown(start, stretch.start_pts))
        encoded_from = before + stretch.frames
    shown = listed.shown(start, end)
    skipped = len(listed.shown(clip.start_pts, start))
    copied = Copied(before, stretch.frames, digest, telling=listed.settled and not source.damaged)
    seen = comparing.ends(clip.target, source.head, source.stored, copied)
    same = Strictness.LOOSE if wanted.loose else Strictness.SAME

    def shows(frame: int) -> tuple[int, Strictness]:
        again = _encoded_again(wanted) if not before <= frame < encoded_from else same
        return skipped + frame, again

    if reason := comparing.difference(seen, clip.looks, shows):
        raise MediaError(reason)
    tick, own = source.head.time_base, Fraction(seen.index["frame_time_base"])
    if [pts * own for pts in seen.index["frame_pts"]] != [int(pts - shown[0]) * tick for pts in shown]:
        raise MediaError("the times of its frames are not those of the source")
    _accept(source, clip, wanted, wanted.way, start, end, seen)


def _encoded_again(wanted: Wanted) -> Strictness:
    return Strictness.LOOSE if wanted.loose else Strictness.ENCODED


def _by_seeking(source: _Source, clips: Sequence[Clip], wanted: Wanted) -> None:
    """Encode with FFmpeg's program, which seeks and is quick; what it does not cut to the frame is left."""
    times: Listing | None = None
    try:
        with opened(source.path) as (container, stream):
            times = listing(container, stream)
        if not _seeking_pays(times, clips):
            return
    except Unseekable:
        if wanted.encoding.fps:  # which frames are left out follows from the times of all of them
            return
    for clip in clips:
        kept = list(range(clip.frames))
        if times is not None and wanted.encoding.fps:
            kept = _kept(times.shown(clip.start_pts, clip.end_pts).tolist(), source, wanted)
        try:
            encode(
                source.path,
                clip.target,
                start_pts=clip.start_pts,
                end_pts=clip.end_pts,
                time_base=source.head.time_base,
                size=(source.head.width, source.head.height),
                encoding=wanted.encoding,
                timeout_s=wanted.timeout_s,
                memory_mb=wanted.memory_mb,
                key_pts=None if times is None else times.opening_before(clip.start_pts),
            )
            _accept_encoded(source, clip, wanted, kept)
        except MediaError:
            continue


def _seeking_pays(times: Listing, clips: Sequence[Clip]) -> bool:
    """Whether decoding each clip from the key frame before it is less work than decoding all up to the last one, and
    handing the frames on."""
    by_clip = 0
    for clip in clips:
        key = times.opening_before(clip.start_pts)
        by_clip += int(((times.pts >= (clip.start_pts if key is None else key)) & (times.pts < clip.end_pts)).sum())
    return by_clip <= _HANDING_ON * int((times.pts < clips[-1].end_pts).sum())


def _kept(pts: list[int], source: _Source, wanted: Wanted) -> list[int]:
    numbered = ((time - pts[0], number) for number, time in enumerate(pts))
    return [number for _, number in thinning.thinned(numbered, source.head.time_base, wanted.encoding.fps)]


def _by_frames(source: _Source, clips: Sequence[Clip], wanted: Wanted) -> None:
    """Encode from one decode of the whole source, as it was split: slow and always right."""
    size = (source.head.width, source.head.height)
    ranges = [{"start_pts": one.start_pts, "end_pts": one.end_pts, "target": str(one.target)} for one in clips]
    for clip, found in zip(clips, recut(source.path, ranges, size, wanted.encoding, wanted.timeout_s)):
        try:
            if isinstance(found, str):
                raise MediaError(found)
            _accept_encoded(source, clip, wanted, found)
        except MediaError as error:
            clip.failed = str(error)


def _accept_encoded(source: _Source, clip: Clip, wanted: Wanted, kept: list[int]) -> None:
    """Check an encoded cut that should show these frames of the clip, and take it."""
    # What is made in software is known to decode; drivers and devices are not.
    look = comparing.ends if wanted.encoding.encoder in HELD_TO else comparing.everything
    seen = look(clip.target, source.head)
    found = seen.index
    if found["frames"] != len(kept):
        raise MediaError(f"the cut has {found['frames']} frames where the clip has {len(kept)}")
    first, last = (found["frame_pts"][at] * Fraction(found["frame_time_base"]) for at in (0, -1))
    if first != 0 or last >= (clip.end_pts - clip.start_pts) * source.head.time_base:
        raise MediaError(f"the cut shows its frames from {float(first):g} to {float(last):g} s, unlike the clip")
    strictness = _encoded_again(wanted)
    if reason := comparing.difference(seen, clip.looks, lambda frame: (kept[frame], strictness)):
        raise MediaError(reason)
    _accept(source, clip, wanted, "encode", clip.start_pts, clip.end_pts, seen)


def _accept(
    source: _Source, clip: Clip, wanted: Wanted, way: str, start_pts: int, end_pts: int, seen: comparing.Seen
) -> None:
    """Add the sound, and note what the finished cut is."""
    heard = None
    found = seen.index
    if wanted.sound is not None:
        tick = source.head.time_base
        if source.mended:
            clip.notes.append("no sound: the times of the file had to be mended")
        else:
            heard = sound.add(source.path, clip.target, start_pts * tick, end_pts * tick, wanted.sound)
            found = found | {"keyframe_bytes": index(clip.target, decode=False)["keyframe_bytes"]}
    clip.made = found | {
        "cut": way,
        "note": "; ".join(clip.notes) or None,
        "start_pts": start_pts,
        "end_pts": end_pts,
        "lost_frames": clip.frames - seen.index["frames"],
        "sound": heard,
    }


def results(clips: Sequence[Clip]) -> Iterator[dict[str, Any]]:
    """What was found of each clip, as plain values: its row, or `failed`."""
    for clip in clips:
        yield clip.made if clip.made is not None else {"failed": clip.failed or "it was not cut"}
