"""Kept clips that play: a few frames of each, decoded from the shards in a jail, side by side in one picture.

Shards are shuffled over all sources, so that some clips of a few shards show the data set as well as any others, and
few files are opened.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from curation import generations, parts
from curation.generations import Manifest
from curation.phases.report.numbers.picks import evenly
from curation.phases.report.page.cards import Card
from curation.phases.report.page.pictures import Strip, side_by_side
from curation.store import Place
from curation.video.jail import Jail
from curation.video.probe import MediaError

_SHARDS = 8
_FRAMES, _SECONDS = 16, 4.0
_WIDTH, _HEIGHT = 240, 135
_JAIL_MB, _TIMEOUT_S = 2048, 60.0


@dataclass(frozen=True)
class Sample:
    """Where the media of a clip lie."""

    clip_id: str
    tar: str
    offset: int
    bytes: int
    """0 for an image."""


def samples(out: Place, manifest: Manifest, most: int) -> list[Sample]:
    """Some samples of a generation, spread evenly over a few of its shards."""
    shards = [shard for shard in manifest["shards"] if shard["samples"]]
    chosen = [shards[at] for at in evenly(len(shards), _SHARDS)]
    found = []
    for place, shard in enumerate(chosen):
        share = most // len(chosen) + (place < most % len(chosen))
        path = parts.path("shards", generations.shard_number(shard))
        rows = out.table(path, ["clip_id", "offset", "bytes"])
        for at in evenly(rows.num_rows, share) if share else []:
            clip_id, offset, size = (rows[name][at].as_py() for name in ("clip_id", "offset", "bytes"))
            found.append(Sample(clip_id, shard["tar"], offset, size if shard.get("kind", "video") == "video" else 0))
    return found


def playing(out: Place, cards: Iterable[Card], where: dict[str, Sample], most: int) -> list[Card]:
    """The same cards, `most` of them with frames that play. A clip that does not decode keeps its pictures."""
    found = []
    jail = Jail(_JAIL_MB)
    try:
        with tempfile.TemporaryDirectory(prefix="reelmill-report-") as folder:
            for card in cards:
                sample = where.get(card.clip_id)
                if sample is not None and sample.bytes and most > 0:
                    most -= 1
                    card = replace(card, strip=_strip(out, sample, jail, Path(folder, "clip.mp4")) or card.strip)
                found.append(card)
    finally:
        jail.close()
    return found


def _strip(out: Place, sample: Sample, jail: Jail, file: Path) -> Strip | None:
    with out.open(sample.tar) as tar:
        tar.seek(sample.offset)
        file.write_bytes(tar.read(sample.bytes))
    try:
        told = jail.call("preview", file, _TIMEOUT_S, frames=_FRAMES, seconds=_SECONDS, width=_WIDTH, height=_HEIGHT)
    except MediaError:
        return None
    shape = told["height"], told["width"], 3
    images = [np.frombuffer(data, np.uint8).reshape(shape) for data in told["pictures"]]
    return side_by_side(images, _WIDTH, _HEIGHT, told["seconds"])
