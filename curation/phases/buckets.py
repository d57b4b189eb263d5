"""Buckets: which clips share shards. A clip falls into exactly one, so that none is ever left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.recipe import Buckets

Ints = npt.NDArray[np.int64]

COLUMNS = ("kind", "clip_width", "clip_height", "clip_frames", "clip_duration_s")


def bucketed(clips: pa.Table, buckets: Buckets) -> list[tuple[dict[str, Any], Ints]]:
    """The buckets that occur, in a fixed order, each with the rows of its clips.

    A bucket says its `kind` (video or image: a shard never mixes them) and what the recipe asks for: the nearest
    `aspect`, and the lower edge of `short_side`, `frames` and `seconds`, 0 below the first edge.
    """
    width, height = (clips[name].to_numpy().astype(np.float64) for name in ("clip_width", "clip_height"))
    image = pc.equal(clips["kind"], "image").to_numpy(zero_copy_only=False)
    names: dict[str, Sequence[Any]] = {"kind": ("video", "image")}
    codes = {"kind": image.astype(np.int64)}
    if buckets.aspect:
        ratios = [int(w) / int(h) for w, h in (aspect.split(":") for aspect in buckets.aspect)]
        distance = np.abs(np.log(width / height)[:, None] - np.array([math.log(ratio) for ratio in ratios]))
        names["aspect"], codes["aspect"] = buckets.aspect, distance.argmin(axis=1)
    values = {
        "short_side": np.minimum(width, height),
        "frames": clips["clip_frames"].to_numpy(),
        "seconds": clips["clip_duration_s"].to_numpy(),
    }
    for name, value in values.items():
        if edges := getattr(buckets, name):
            names[name], codes[name] = (0, *edges), np.searchsorted(np.array(edges), value, side="right")
    table = np.stack(list(codes.values()), axis=1)
    found, which = np.unique(table, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [
        ({name: names[name][code] for name, code in zip(codes, row)}, np.flatnonzero(which == number))
        for number, row in enumerate(found)
    ]
