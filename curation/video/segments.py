"""Dividing a long file into segments that are decoded side by side."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from curation.video.decode import Unseekable, places
from curation.video.measure import SAMPLED_FRAMES
from curation.video.probe import opened, rate
from curation.video.remote import Media


@dataclass(frozen=True)
class Segment:
    """The frames with start_pts <= pts < end_pts; None means the file's own beginning or end."""

    start_pts: int | None = None
    end_pts: int | None = None
    warm_pts: int | None = None
    """Where decoding begins: early enough that what is sampled of the segment is what one pass would sample."""


def divided(media: Media, seconds: float) -> list[Segment]:
    """Segments of about so many seconds, between key frames; a single one where a file has to be read in one piece.

    Reads every packet once and decodes nothing.

    Raises:
        MediaError: the file is no media or has no video.
    """
    with opened(media) as (container, stream):
        if not stream.time_base:
            return [Segment()]
        length = max(1, round(seconds / stream.time_base))
        period = SAMPLED_FRAMES / rate(stream) / stream.time_base
        try:
            keys, times = places(container, stream)
        except Unseekable:
            return [Segment()]
    starts: list[int] = []
    for wanted in range(keys[0] + length, keys[-1] - length // 2 + 1, length):
        at = bisect_left(keys, wanted)
        if at < len(keys) and (not starts or keys[at] > starts[-1]):
            starts.append(keys[at])
    warm: dict[int | None, int | None] = {None: None}
    for start in starts:
        # Two periods of sampling, and a few frames, before the last frame that the segment does not hold.
        before = bisect_left(times, start) - 1
        early = min(times[before] - round(2 * period), times[max(0, before - 2 * SAMPLED_FRAMES // 4)])
        warm[start] = keys[max(0, bisect_left(keys, early) - 1)]
    edges = [None, *starts, None]
    return [Segment(start, end, warm[start]) for start, end in zip(edges, edges[1:])]
