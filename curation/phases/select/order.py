"""Which clips are better than others: the order in which near-duplicates and balance keep them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.errors import UserError
from curation.phases.select.percentiles import Ints
from curation.phases.select.rules import checked, is_number, numbers
from curation.recipe_select import Select

# Without `keep_by`: the first of these that is scored, then the larger picture.
_SCORES = ("aesthetic", "signal")


def kept_by(select: Select, known: pa.Schema) -> list[str]:
    """The columns by which a clip is better, the weightiest first.

    Raises:
        UserError: one of them is not there, or holds no numbers.
    """
    if select.keep_by is None:
        return [*[name for name in _SCORES if name in known.names][:1], "height"]
    for number, name in enumerate(select.keep_by):
        where = f"select.keep_by.{number}"
        if not is_number(checked(name, known, where).type):
            raise UserError(f"{where}: {name!r} holds {known.field(name).type}; clips are ranked by numbers")
    return list(select.keep_by)


def best_first(clips: pa.Table, by: Sequence[str], rows: Ints) -> Ints:
    """These rows, the best clip first: by the columns, large before small before none; then by clip_id."""
    keys: list[np.ndarray] = [_number_of(clips["clip_id"])[rows]]
    for name in reversed(by):
        values = numbers(clips[name])[rows].astype(np.float64)
        keys += [-values, np.isnan(values)]
    return rows[np.lexsort(keys)]


def at_random(clips: pa.Table, seed: int, rows: Ints) -> Ints:
    """These rows in an order that only the seed and the clips' ids decide (splitmix64, Steele et al. 2014)."""
    mixed = _number_of(clips["clip_id"])[rows] + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return rows[np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")]


def _number_of(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Clip ids, 16 hex digits each, as the numbers that they spell, which have the same order."""
    text = ids.combine_chunks().cast(pa.binary()).cast(pa.binary(16))
    digits = np.frombuffer(text.buffers()[1], np.uint8).reshape(-1, 16)[text.offset : text.offset + len(text)]
    nibbles = np.where(digits >= ord("a"), digits - (ord("a") - 10), digits - ord("0"))
    return (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).view(">u8").ravel().astype(np.uint64)
