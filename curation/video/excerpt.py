"""A short piece of a film as a file of its own, copied without decoding: what long films are measured by."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import av
import av.error

from curation.video.probe import MediaError, claimed_s, opened
from curation.video.remote import Media


def facts(media: Media) -> dict[str, Any]:
    """What a file says of itself: `duration_s` (0 where it says nothing), `width`, `height`, `codec`. Decodes nothing.

    Raises:
        MediaError: the file is no media or has no video.
    """
    with opened(media) as (container, stream):
        context = stream.codec_context
        length = max(claimed_s(container, stream) or 0.0, (container.duration or 0) / av.time_base)
        return {"duration_s": length, "width": context.width, "height": context.height, "codec": context.name}


def excerpt(media: Media, target: str, start_s: float, seconds: float) -> dict[str, Any]:
    """Write the packets of the video, and of the first sound, that begin at the key frame before `start_s`.

    Args:
        target: the Matroska file to write.
        start_s: from the beginning of the file.
        seconds: about how long it shall be.

    Returns:
        `seconds`: how long it is; `start_s`: where it begins.

    Raises:
        MediaError: the file cannot be used, or Matroska cannot hold what is in it.
    """
    with opened(media) as (old, stream), ExitStack() as closing:
        try:
            new = closing.enter_context(av.open(f"file:{target}", "w", format="matroska"))
            copies: dict[int, Any] = {stream.index: new.add_stream_from_template(stream)}
            for sound in old.streams.audio[:1]:
                copies[sound.index] = new.add_stream_from_template(sound)
            assert stream.time_base is not None
            beginning = float((stream.start_time or 0) * stream.time_base)
            old.seek(int((stream.start_time or 0) + start_s / stream.time_base), stream=stream)
            began = ended = None
            for packet in old.demux([each for each in old.streams if each.index in copies]):
                if packet.dts is None or packet.time_base is None:
                    continue
                at = float(packet.dts * packet.time_base)
                if began is None:
                    if packet.stream.index != stream.index or not packet.is_keyframe:
                        continue
                    began = at
                if packet.stream.index == stream.index:
                    ended = at + float((packet.duration or 0) * packet.time_base)
                if at - began > seconds:
                    break
                if at >= began:
                    packet.stream = copies[packet.stream.index]
                    new.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(f"no piece of it can be copied ({error})") from None
    if began is None or ended is None or ended <= began:
        raise MediaError("no piece of it can be copied (no key frame)")
    return {"seconds": ended - began, "start_s": began - beginning}
