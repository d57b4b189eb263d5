"""The split pass: everything that a dataset needs to know of a film, from one decode of it.

`measure` decodes a file, or one segment of it, into a series of records and a file of thumbnails, and
`conclude` decides on scenes from the series of all segments. Since every decision is made in
`conclude`, segments that were measured side by side give the same clips as one pass.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.container
import av.video.stream
import numpy as np

from curation.video import clips, jpegs
from curation.video.bridge import BridgingMeasurer
from curation.video.decode import Decoder, Unseekable
from curation.video.fast import Skimmer, lighten
from curation.video.gradual import Transition, transitions
from curation.video.measure import Measurer
from curation.video.probe import Header, MediaError, claimed_s, header, opened
from curation.video.promise import plan
from curation.video.remote import Media
from curation.video.scenes import hard_cuts
from curation.video.segments import Segment
from curation.video.series import Series
from curation.video.settings import Settings
from curation.video.thumbnails import Thumbnail

# A film that is shorter than its header says by more than this, in seconds and of its length, was cut off. Below lie
# headers that round, and last frames whose length nobody wrote down.
_SHORT_S, _SHORT = 0.5, 0.02


def scan(media: Media, settings: Settings, folder: Path | None = None) -> dict[str, Any]:
    """Decode a whole file once; JSON-ready facts of the file and its clips.

    Args:
        folder: where the file of pictures is left, of which the clips' thumbnails are `[frame, offset,
            length, phash]`; its path is `pictures`. Without one the thumbnails are JPEG bytes.

    Raises:
        MediaError: the file is no media, has no video, or no frame of it can be decoded.
    """
    if folder is not None:
        return conclude([part(media, settings, folder / "whole")], settings)
    with tempfile.TemporaryDirectory(prefix="reelmill-") as own:
        found = scan(media, settings, Path(own))
        for clip in found["clips"]:
            clip["thumbnails"] = list(jpegs.read(found["pictures"], [place[1:3] for place in clip["thumbnails"]]))
        return found


def part(media: Media, settings: Settings, stem: Path, segment: Segment | None = None) -> dict[str, Any]:
    """`skim` or `measure`, as the settings' speed says and the file allows."""
    # What was not decoded has no histogram.
    if settings.speed == "fast" and settings.detector != "histogram":
        with contextlib.suppress(Unseekable):
            return skim(media, settings, stem, segment)
    return measure(media, settings, stem, segment)


def measure(media: Media, settings: Settings, stem: Path, segment: Segment | None = None) -> dict[str, Any]:
    """Decode a file or one segment of it; JSON-ready facts, with the paths of what was written.

    Raises:
        MediaError: the file is no media, has no video, or no frame of it can be decoded.
        Unseekable: the segment cannot be reached so that it would surely equal a decode of the whole.
    """
    wanted = segment or Segment()
    series, thumbnails = stem.with_suffix(".series"), stem.with_suffix(".jpegs")
    with opened(media) as (container, stream):
        decoder = Decoder(container, stream)
        head, measurer, latest, number = None, None, None, 0
        sizes: set[tuple[int, int, int]] = set()
        try:
            for pts, frame in decoder.frames(wanted.warm_pts):
                sizes.add((frame.width, frame.height, int(frame.rotation or 0)))
                if wanted.end_pts is not None and pts >= wanted.end_pts:
                    if measurer is not None:
                        measurer.follow(number, pts, frame)
                    break
                if measurer is None:
                    head = header(stream, frame)
                    measurer = Measurer(
                        head,
                        series,
                        thumbnails,
                        size=settings.thumbnail_size,
                        histogram=settings.detector == "histogram",
                    )
                if wanted.start_pts is not None and pts < wanted.start_pts:
                    measurer.warm(pts, frame)
                    continue
                measurer.feed(number, pts, frame)
                number, latest = number + 1, frame
            if measurer is not None and latest is not None and segment is None:
                measurer.keep_one(latest)
        finally:
            if measurer is not None:
                measurer.__exit__(*sys.exc_info())
        if head is None or measurer is None or number == 0:
            raise MediaError(decoder.faults.sentence() or "no frame could be decoded")
        facts = {"frames": number, "end_pts": decoder.end_pts(), "mended": decoder.mended, "sizes": sorted(sizes)}
        fault = decoder.faults.sentence()
        return _part(container, stream, head, measurer, series, thumbnails) | facts | {"fault": fault}


def skim(media: Media, settings: Settings, stem: Path, segment: Segment | None = None) -> dict[str, Any]:
    """The fast pass over a file or one segment of it; JSON-ready facts as of `measure`.

    Raises:
        MediaError: the file is no media or has no video.
        Unseekable: only a decode of every frame tells what is in the file.
    """
    series, thumbnails = stem.with_suffix(".series"), stem.with_suffix(".jpegs")
    with opened(media) as (container, stream):
        planned = plan(container, stream, segment or Segment())
    skimmer = Skimmer(planned)
    with opened(media) as (container, stream):
        lighten(stream)
        head, measurer, latest = None, None, None
        sizes: set[tuple[int, int, int]] = set()
        try:
            for number, frame in skimmer.frames(container, stream):
                sizes.add((frame.width, frame.height, int(frame.rotation or 0)))
                if measurer is None:
                    head = header(stream, frame)
                    measurer = BridgingMeasurer(
                        head,
                        series,
                        thumbnails,
                        planned.pts,
                        size=settings.thumbnail_size,
                    )
                if number < 0:
                    measurer.warm(frame.pts or 0, frame)
                    continue
                if number > 0 and not measurer.started and not skimmer.holding:
                    raise Unseekable("the first frame cannot be decoded")
                skimmer.skim(number, frame, measurer)
                latest = frame
            if head is None or measurer is None or not planned.pts:
                raise Unseekable("no frame could be decoded")
            skimmer.settle(measurer)
            if segment is None and latest is not None:
                measurer.keep_one(latest)
        finally:
            if measurer is not None:
                measurer.__exit__(*sys.exc_info())
        skimmer.trust(measurer)
        skimmer.revisit(container, stream, skimmer.doubtful(measurer.steps), measurer)
        seen = Series([series])
        cuts = hard_cuts(seen, settings.detector, settings.threshold, head.rate, settings.min_frames)
        content = {cut: float(seen.column("content")[cut]) for cut in cuts}
        skimmer.revisit(container, stream, skimmer.doubtful(measurer.steps, content), measurer)
        facts = {"frames": len(planned.pts), "end_pts": planned.end_pts, "mended": False, "sizes": sorted(sizes)}
        return _part(container, stream, head, measurer, series, thumbnails) | facts | {"fault": None}


def _part(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    head: Header,
    measurer: Measurer,
    series: Path,
    thumbnails: Path,
) -> dict[str, Any]:
    return {
        "series": str(series),
        "pictures": str(thumbnails),
        "thumbnails": [list(thumbnail) for thumbnail in measurer.thumbnails],
        "codec": head.codec,
        "width": head.width,
        "height": head.height,
        "time_base": _text(head.time_base),
        "rate": _text(head.rate),
        "claimed_s": claimed_s(container, stream),
    }


def conclude(parts: Sequence[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """Decide on the scenes of a film from its measured parts, in order; the facts that `scan` returns."""
    first, last = parts[0], parts[-1]
    series = Series(Path(part["series"]) for part in parts)
    pts = series.column("pts")
    end_pts = max(int(last["end_pts"]), int(pts[-1]) + 1)
    tick = Fraction(first["time_base"])
    rate = Fraction(first["rate"])
    found: list[Transition] = []
    warning = None
    if settings.ranges is not None:
        times = (np.append(pts, end_pts) - pts[0]) * float(tick)
        stretches, empty = clips.as_given(times, settings.ranges)
        cuts = [stretch.first for stretch in stretches[1:]]
        warning = f"{empty} of {len(settings.ranges)} given ranges hold no frame of the film" if empty else None
    else:
        cuts = hard_cuts(series, settings.detector, settings.threshold, rate, settings.min_frames)
        found = transitions(series, float(rate), cuts) if settings.gradual else []
        cuts = [cut for cut in cuts if cut > 0 and not any(one.first < cut < one.end for one in found)]
        stretches = clips.stretches(len(series), cuts, found)
    thumbnails = _joined(parts)
    duration = float((end_pts - int(pts[0])) * tick)
    rows = []
    for stretch in stretches:
        stop = int(pts[stretch.end]) if stretch.end < len(pts) else end_pts
        seconds = float((stop - int(pts[stretch.first])) * tick)
        for piece in clips.pieces(
            stretch,
            seconds,
            trim=settings.trim_frames,
            max_seconds=settings.max_seconds,
            min_frames=settings.min_frames,
        ):
            clip = clips.row(piece, series, pts, end_pts, thumbnails, settings.thumbnails)
            clip["thumbnail_s"] = [float(int(pts[frame]) * tick) for frame, *_ in clip["thumbnails"]]
            rows.append(clip)
    return {
        **{name: first[name] for name in ("codec", "width", "height", "time_base")},
        "frames": len(series),
        "duration_s": duration,
        "fps": len(series) / duration,
        "warning": "; ".join(filter(None, [_warning(parts, max(duration, float(end_pts * tick))), warning])) or None,
        "mended": any(part["mended"] for part in parts),
        "cuts": cuts,
        "transitions": [{"first": one.first, "end": one.end, "kind": one.kind} for one in found],
        "clips": rows,
        "pictures": [part["pictures"] for part in parts],
    }


def _joined(parts: Sequence[dict[str, Any]]) -> list[Thumbnail]:
    """The thumbnails of all parts, by frame of the film and place in their files one after the other."""
    joined = []
    frames = offset = 0
    for part in parts:
        for frame, place, length, phash in part["thumbnails"]:
            joined.append(Thumbnail(frames + frame, offset + place, length, phash))
        frames += part["frames"]
        offset += Path(part["pictures"]).stat().st_size
    return joined


def _warning(parts: Sequence[dict[str, Any]], reached_s: float) -> str | None:
    """What is wrong with a film that was decoded; headers may lie, so a shorter one is no error.

    Args:
        reached_s: length of what was decoded, or where it ends if that is more: some containers count from zero,
            wherever a film begins.
    """
    faults = list(dict.fromkeys(part["fault"] for part in parts if part["fault"]))
    if faults:
        return "; ".join(faults)
    claimed = parts[0]["claimed_s"]
    if claimed and reached_s < claimed - max(_SHORT_S, _SHORT * claimed):
        return f"{reached_s:.1f} s of the {claimed:.1f} s that the header claims could be decoded"
    return None


def _text(fraction: Fraction) -> str:
    return f"{fraction.numerator}/{fraction.denominator}"
