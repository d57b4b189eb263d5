"""Datasets by address as endless batches in a fixed order.

    for batch in training.stream.batches("https://example.org/films/manifest.json", view="base"):
        batch.pixels, batch.captions, batch.fps

What a trainer sees, without a trainer; NumPy is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.stream.loader import Batch, Loader, Position
from training.stream.opened import open_loader

__all__ = ["Batch", "Loader", "Position", "batches", "open_loader"]


def batches(
    url: str, view: str = "base", *, batch: int = 4, seed: int = 0, text_dropout: float = 0.0, **data: Any
) -> Iterator[Batch]:
    """Batches exactly as a trainer with this seed and batch size sees them, from the first step, without end.

    Args:
        url: as `data.url`.
        view: base, interpolation or vsr.
        batch: samples of a batch.
        text_dropout: share of captions that are emptied; recipes say 0.1.
        data: other keys of a recipe's `data`, such as `size=(320, 512)` or `stride=2`.

    Raises:
        UserError: a key does not fit, or the dataset cannot be read or has no clip for the view.
    """
    from curation.validate import parse
    from training.recipe_data import Data

    settings = parse({"url": url, "view": view, **data}, Data, name="training.stream.batches")
    return iter(open_loader(settings, seed=seed, batch=batch, text_dropout=text_dropout))
