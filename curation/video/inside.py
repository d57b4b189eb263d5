"""What the jailed child can be asked to do, with plain values in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.video.decode import Unseekable
from curation.video.index import index
from curation.video.probe import length_s
from curation.video.recut import recut
from curation.video.remote import Media
from curation.video.scan import conclude, part, scan
from curation.video.segments import Segment, divided
from curation.video.settings import Settings


def _scan(media: Media, settings: dict[str, Any], folder: str, segment_s: float | None) -> dict[str, Any]:
    """The clips of a film; or, of one longer than one and a half segments that can be divided, its `segments`."""
    if segment_s is not None and length_s(media) > 1.5 * segment_s:
        segments = divided(media, segment_s)
        if len(segments) > 1:
            return {"segments": [asdict(segment) for segment in segments]}
    return scan(media, Settings(**settings), Path(folder))


def _measure(media: Media, settings: dict[str, Any], stem: str, segment: dict[str, Any]) -> dict[str, Any]:
    """One segment's part, and whether it surely is what a decode of the whole file gives."""
    try:
        found = part(media, Settings(**settings), Path(stem), Segment(**segment))
    except Unseekable:
        return {"usable": False}
    return found | {"usable": not (found["mended"] or found["fault"]) and len(found["sizes"]) == 1}


def _conclude(media: Media, settings: dict[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    return conclude(parts, Settings(**settings))


def _recut(media: Media, clip_timeout_s: float, **given: Any) -> dict[str, Any]:
    return {"reasons": recut(media, timeout_s=clip_timeout_s, **given)}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "scan": _scan,
    "measure": _measure,
    "conclude": _conclude,
    "index": index,
    "recut": _recut,
}
