"""Images on their way through split and cut: a clip of one frame, and a JPEG made of it.

Images are small and many, and each is a file on some server, so a few are fetched at once and ahead of the one
that is decoded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curation import tables
from curation.errors import StoreError
from curation.fetch import each
from curation.recipe import Recipe
from curation.tables import Row
from curation.video.jail import Jail
from curation.video.probe import MediaError

_TIME_BASE = "1/1"
# Seconds; a picture at the limit of its size takes a few.
_TIMEOUT_S = 120.0
Found = Row | MediaError | StoreError


class Stills:
    """Looks at images, and cuts them, in a jail."""

    def __init__(self, recipe: Recipe, jail: Jail):
        self._jail = jail
        self._max_bytes = min(recipe.ingest.max_image_bytes, recipe.ingest.max_bytes)
        self._thumbnail_size = recipe.split.thumbnail_size
        self._cut = {"short_side": recipe.shard.short_side, "quality": recipe.shard.jpeg_quality}

    @contextlib.contextmanager
    def looked_at(self, uris: Sequence[str]) -> Iterator[Iterator[Found]]:
        """What `still.look` finds in each, with `bytes`; or why nothing."""
        with each(uris, max_bytes=self._max_bytes) as fetched:
            yield (self._called("look", file, size=self._thumbnail_size) for file in fetched)

    @contextlib.contextmanager
    def cut(self, uris: Sequence[str], targets: Sequence[Path]) -> Iterator[Iterator[Found]]:
        """The index of each one's JPEG; or why there is none."""
        with each(uris, max_bytes=self._max_bytes) as fetched:
            yield (
                self._called("cut_image", file, target=str(target), **self._cut)
                for file, target in zip(fetched, targets)
            )

    def _called(self, function: str, file: Path | StoreError, **arguments: Any) -> Found:
        if isinstance(file, StoreError):
            return file
        try:
            size = file.stat().st_size
            return dict(self._jail.call(function, file, _TIMEOUT_S, **arguments), bytes=size)
        except MediaError as error:
            return error


def rows(row: Row, found: Row) -> tuple[Row, Row]:
    """What a source's row has of its image, and the image's clip."""
    of_source = {name: found[name] for name in ("bytes", "codec", "width", "height", "warning")}
    times = {"duration_s": 0.0, "frames": 1, "fps": None, "time_base": _TIME_BASE}
    clip = {name: found[name] for name in ("width", "height", "sharpness", "brightness", "black")}
    clip |= {"scene": 0, "piece": 0, "kind": "image", "trimmed": 0, "frozen": None}
    clip |= {"motion": None, "motion_x": None, "motion_y": None}
    clip |= {"start_pts": 0, "end_pts": 0, "start_s": 0.0, "end_s": 0.0, **times}
    clip |= {"thumbnails": [found["thumbnail"]], "phash": [found["phash"]], "thumbnail_s": [0.0]}
    clip |= {"clip_id": tables.clip_id(row["source_id"], 0, 0, _TIME_BASE)}
    clip |= {"source_id": row["source_id"], "category": row["category"]}
    return {**of_source, **times, "mended": False, "clips": 1}, clip
