"""Whether a cut shows what its source showed: its first and its last frame against what the split pass noted.

The split pass leaves a look of every frame, twelve mean lumas. A frame that is not encoded again must have
the look of its frame in the source. One that is has nearly that look, and no neighbour's look fits clearly better.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import Colorspace

from curation.video.decode import Decoder, make_convertible, packets
from curation.video.index import facts, index
from curation.video.probe import Header, MediaError, opened
from curation.video.sameness import Digest
from curation.video.small import Shrinker
from curation.video.tiny import LOOK, looks
from curation.video.upright import turned_back

_VALUES = LOOK[0] * LOOK[1]
# Frames on each side whose looks are tried too, and how much better one of them must fit to be called the shown one:
# what the analysis scaler makes of fine texture in two sizes differs by up to four luma steps a value.
_NEAR = 3
_CLEARLY = 2.0


class Strictness(Enum):
    """The greatest mean difference of two looks of the same frame, in luma steps."""

    SAME = 0.0
    """Decoded from the same packets."""
    ENCODED = 8.0
    """Encoded again, maybe scaled."""
    LOOSE = 24.0
    """Against a fast pass, whose pictures lack the loop filter and are partly filled in."""


@dataclass(frozen=True)
class Seen:
    """What decoding a cut showed."""

    looks: dict[int, np.ndarray]
    """By number of the frame in the cut."""
    index: dict[str, Any]
    """See `curation.video.index`."""


def everything(path: Path, head: Header) -> Seen:
    """Decodes all of a cut and takes the looks of both ends.

    Args:
        head: of the source, which says how the cut's pictures were turned.

    Raises:
        MediaError: a frame cannot be decoded, or more or fewer than the packets say.
    """
    held = index(path, decode=False)
    with opened(path) as (container, stream):
        decoder = Decoder(container, stream)
        first = last = None
        pts = []
        for time, frame in decoder.frames():
            first, last = first or frame, frame
            pts.append(time)
        if fault := decoder.faults.sentence():
            raise MediaError(fault)
        if first is None or last is None:
            raise MediaError("no frame could be decoded")
        if pts != held["frame_pts"]:
            raise MediaError(f"{len(pts)} frames decode where the cut holds {held['frames']}")
        return Seen({len(pts) - 1: _look(last, head), 0: _look(first, head)}, held)


@dataclass(frozen=True)
class Copied:
    """Which packets of a cut are the source's."""

    first: int
    """How many come before them, all of them pictures that are shown before them."""
    packets: int
    digest: bytes
    """See `curation.video.sameness`."""
    telling: bool
    """The same packets surely are the same pictures."""


def ends(path: Path, head: Header, size: tuple[int, int] | None = None, copied: Copied | None = None) -> Seen:
    """Decodes the first frame of a cut, the first one that was copied, and the last one or what tells as much.

    Where the last frame and all packets that it needs are the source's own, to the byte, and decode by themselves from
    a key frame on, their pictures are the source's too. Then it is that key frame that is decoded.

    Args:
        head: of the source, which says how the cut's pictures were turned.
        size: stored (width, height) that the frames must have, where not that of the cut's header.

    Raises:
        MediaError: one of them cannot be decoded, or a packet has no time.
    """
    with opened(path) as (container, stream):
        held = [packet for packet in packets(container, stream) if packet.size]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        found = facts(stream, held)
        shown = found["frame_pts"]
        place = {packet.pts: number for number, packet in enumerate(held)}
        last_key = max(number for number in range(place[shown[-1]] + 1) if held[number].is_keyframe)
        # Frames by the number in the cut, each with the packet from which it is decoded.
        begins = {0: 0}
        if copied is not None:
            begins[copied.first] = 0
        if copied is not None and _same_to_the_end(stream, held, copied):
            begins.setdefault(shown.index(held[last_key].pts), last_key)
        else:
            begins.setdefault(len(shown) - 1, last_key)
        seen = {}
        try:
            for number, begin in sorted(begins.items()):
                frame = _decoded(stream, held[begin:], shown[number], size or (found["width"], found["height"]))
                seen[number] = _look(frame, head)
                stream.codec_context.flush_buffers()
        except av.error.FFmpegError as error:
            raise MediaError(f"the cut cannot be decoded ({error.strerror or error})") from None
        return Seen(seen, found)


def _same_to_the_end(stream: av.video.stream.VideoStream, held: Sequence[av.Packet], copied: Copied) -> bool:
    """Whether everything from the first copied packet on surely is what the source shows."""
    if not copied.telling or copied.first + copied.packets != len(held):
        return False
    digest = Digest(stream)
    for packet in held[copied.first :]:
        digest.add(packet)
    return digest.value() == copied.digest


def _decoded(
    stream: av.video.stream.VideoStream, held: Sequence[av.Packet], wanted: int, size: tuple[int, int]
) -> av.VideoFrame:
    """One frame, from packets of which the first is a key frame."""
    codec = stream.codec_context
    needed = list(itertools.takewhile(lambda packet: packet.pts != wanted, held))
    for packet in [*needed, held[len(needed)], None]:
        # Frames to which no other refers do not matter, unless it is this one.
        codec.skip_frame = "DEFAULT" if packet is None or packet.pts == wanted else "NONREF"
        for frame in codec.decode(packet):
            if frame.pts == wanted and not frame.is_corrupt:
                if (frame.width, frame.height) != size:
                    raise MediaError(f"a frame of {frame.width}x{frame.height} where the first has {size[0]}x{size[1]}")
                return frame
    raise MediaError("a frame of the cut cannot be decoded")


def difference(seen: Seen, noted: bytes | None, shows: Callable[[int], tuple[int, Strictness]]) -> str | None:
    """Why a cut is not the clip, or None.

    Args:
        noted: the looks of all frames of the clip, as in the clips' table; None compares nothing.
        shows: for a frame of the cut, which frame of the clip it is, and how alike the two must be.
    """
    if not noted:
        return None
    clip = np.frombuffer(noted, np.uint8).reshape(-1, _VALUES).astype(np.float32)
    for frame, look in seen.looks.items():
        number, strictness = shows(frame)
        low = max(0, number - _NEAR)
        near = np.abs(clip[low : number + _NEAR + 1] - look).mean(1)
        own = float(near[number - low])
        if own > strictness.value or (strictness is Strictness.ENCODED and own > near.min() + _CLEARLY):
            return f"its frame {frame} is not frame {number} of the clip (looks differ by {own:.1f} luma steps)"
    return None


def _look(frame: av.VideoFrame, head: Header) -> np.ndarray:
    """The look of a frame of a cut, as the split pass takes it of the stored frame of the source."""
    make_convertible(frame)
    if head.rotation or head.mirrored:
        # Split never turns what it measures; the cut was turned, so it is turned back.
        picture = turned_back(frame.to_ndarray(format="bgr24", src_colorspace=Colorspace.ITU601), head)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
    shrinker = Shrinker(head)
    small = np.empty((1, shrinker.values), np.uint8)
    shrinker.shrink(frame, small[0])
    return looks(shrinker.tiny(shrinker.looks(small).bgr))[0].astype(np.float32)
