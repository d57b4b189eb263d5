"""What the jailed child can be asked to do, with plain values in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.video import excerpt, still
from curation.video.cut import Encoding
from curation.video.cutting import Wanted, clip_from, cut_clips, results
from curation.video.decode import Unseekable
from curation.video.index import index
from curation.video.preview import preview
from curation.video.probe import length_s
from curation.video.remote import Media
from curation.video.scan import conclude, part, scan
from curation.video.segments import Segment, divided
from curation.video.settings import Settings
from curation.video.sound import Sound


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


def _cut(
    media: Media, clips: list[dict[str, Any]], wanted: dict[str, Any], mended: bool, damaged: bool
) -> dict[str, Any]:
    assert isinstance(media, Path), "clips are cut from files"
    encoding, heard = wanted.pop("encoding"), wanted.pop("sound")
    chosen = Wanted(**wanted, encoding=Encoding(**encoding), sound=Sound(**heard) if heard is not None else None)
    on_their_way = [clip_from(given) for given in clips]
    cut_clips(media, on_their_way, chosen, mended=mended, damaged=damaged)
    return {"cuts": list(results(on_their_way))}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "scan": _scan,
    "measure": _measure,
    "conclude": _conclude,
    "index": index,
    "preview": preview,
    "cut": _cut,
    "facts": excerpt.facts,
    "excerpt": excerpt.excerpt,
    "look": still.look,
    "cut_image": still.cut,
    "index_image": still.index,
}
