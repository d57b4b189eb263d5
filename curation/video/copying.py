"""Cutting without encoding: a clip's packets as they are, from a key frame on.

What lies before the first key frame of the clip is left off, and so are the few pictures at its end that look at
later ones. The file that comes out holds exactly the pictures that it shows, and the row says which these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from curation.video.decode import packets
from curation.video.muxing import Muxer
from curation.video.packets import Listing
from curation.video.probe import MediaError, opened
from curation.video.remote import Media
from curation.video.sameness import Digest


@dataclass(frozen=True)
class Stretch:
    """Packets [first, end) of a file, less those shown before the first one."""

    first: int
    end: int
    start_pts: int
    end_pts: int
    """Where its last picture ends."""
    frames: int


def inner(listed: Listing, start_pts: int, end_pts: int, *, resetting: bool = False) -> Stretch | None:
    """The longest stretch inside a range that stands alone, or None.

    Args:
        resetting: begin where the order of pictures starts anew, so that others can be put before it.
    """
    first = listed.opening_at(start_pts, end_pts, resetting=resetting)
    if first is None:
        return None
    edge, after = listed.edge_before(end_pts)
    pts = listed.pts[first:edge]
    kept = pts[pts >= listed.pts[first]] if edge > first else pts
    if not len(kept):
        return None
    left = len(listed.shown(after, end_pts))
    return Stretch(first, edge, int(listed.pts[first]), after if left else end_pts, len(kept))


def copy(media: Media, listed: Listing, stretches: Sequence[Stretch], targets: Sequence[Path]) -> list[bytes | str]:
    """Write many stretches of a file in one pass over its packets. For each: the `Digest` of what was copied, or why
    there is no file.

    Args:
        stretches: in order and without overlap.

    Raises:
        MediaError: the file cannot be opened.
    """
    found: list[bytes | str] = []
    with opened(media) as (container, stream):
        numbered = enumerate(packet for packet in packets(container, stream) if packet.size)
        for stretch, target in zip(stretches, targets):
            digest = Digest(stream)
            try:
                pts = listed.pts[stretch.first : stretch.end]
                with Muxer(target, stream, pts[pts >= stretch.start_pts].tolist(), stretch.end_pts) as muxer:
                    for number, packet in members(numbered, listed, stretch):
                        digest.add(packet)
                        muxer.write(packet, key=bool(listed.opening[number]))
                found.append(digest.value())
            except (av.error.FFmpegError, ValueError) as error:
                found.append(f"mp4 cannot hold it as it is ({getattr(error, 'strerror', None) or error})")
    return found


def members(
    numbered: Iterator[tuple[int, av.Packet]], listed: Listing, stretch: Stretch
) -> Iterator[tuple[int, av.Packet]]:
    """The packets of a stretch, each with its number in the file, from all packets that were not read yet.

    Raises:
        MediaError: the file has changed.
    """
    taken = 0
    for number, packet in numbered:
        if number >= stretch.first:
            if packet.pts is None or packet.pts != listed.pts[number]:
                raise MediaError("the file changed while it was read")
            if packet.pts >= stretch.start_pts:
                yield number, packet
                taken += 1
        if number == stretch.end - 1:
            break
    if taken != stretch.frames:
        raise MediaError("the file changed while it was read")
