"""`reelmill peek`: batches as pictures, exactly as a trainer would see them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

    from training.recipe_data import Data
    from training.stream import Batch

_LARGEST = 160  # pixels of a picture's longer side
_COLUMNS = 10  # pictures of a sample that are shown
_GAP, _LINE = 4, 15
_GROUND, _INK, _FAINT, _KNOWN = (24, 24, 27), (235, 235, 235), (150, 150, 155), (90, 200, 120)


def peek(
    source: str,
    overrides: Sequence[str] = (),
    *,
    view: str | None = None,
    out: str = "peek.png",
    batches: int = 1,
    batch: int = 4,
    seed: int | None = None,
) -> list[Path]:
    """Write contact sheets of the first batches, one PNG each; returns their paths.

    A row is a sample: frames evenly chosen from its clip, a green bar over those that the model is given, then its
    single frames; with the view `vsr` the degraded small copies below. What it says is what the trainer gets.

    Args:
        source: address of a dataset, or a training recipe (.yaml).
        overrides: `key=value` settings of a recipe, such as data.stride=2.
        view: instead of the recipe's: base, interpolation or vsr.
        out: a PNG, or a folder for several.
        batch: samples of a batch, where `source` is no recipe.
        seed: of the order, instead of the recipe's.

    Raises:
        UserError: the source or a setting cannot be used, or a file cannot be written.
    """
    from contextlib import closing

    from training.stream import open_loader

    data, samples, sown, dropout = _settings(source, overrides, view, batch)
    loader = open_loader(data, seed=sown if seed is None else seed, batch=samples, text_dropout=dropout)
    paths = _paths(out, batches)
    stream = iter(loader)
    with closing(stream):
        for number, path in enumerate(paths):
            picture = sheet(next(stream), data, f"{source}   step {number}")
            part = path.with_name(f".{path.name}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(part, format="PNG")
                part.replace(path)
            except OSError as error:
                raise UserError(f"--out: cannot write {path}: {error.strerror or error}") from error
    for stock in loader.plan.stocks:
        for held in stock.held:
            held.dataset.close()
    return paths


def _settings(source: str, overrides: Sequence[str], view: str | None, batch: int) -> tuple[Data, int, int, float]:
    from curation.validate import load, parse
    from training.recipe import Recipe

    chosen = [f"data.view={view}"] if view else []
    if source.endswith((".yaml", ".yml")):
        recipe = load(source, Recipe, [*overrides, *chosen])
        return recipe.data, recipe.train.batch, recipe.train.seed, recipe.train.text_dropout
    recipe = parse({"data": {"url": source}}, Recipe, [*overrides, *chosen], name="peek")
    return recipe.data, batch, recipe.train.seed, 0.0


def _paths(out: str, batches: int) -> list[Path]:
    if Path(out).suffix.lower() == ".png":
        path = Path(out)
        return [path] if batches == 1 else [path.with_stem(f"{path.stem}-{n:03d}") for n in range(batches)]
    return [Path(out) / f"batch-{number:03d}.png" for number in range(batches)]


def sheet(batch: Batch, data: Data, title: str) -> Image.Image:
    """A batch as one picture."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    rows = [_row(batch, number) for number in range(len(batch.captions))]
    width = max(640, max(row.shape[1] for row in rows) + 2 * _GAP)
    texts = [_text(batch, number, data, width // 7) for number in range(len(rows))]
    height = 2 * _GAP + _LINE + sum(row.shape[0] + len(lines) * _LINE + 3 * _GAP for row, lines in zip(rows, texts))
    picture = Image.new("RGB", (width, height), _GROUND)
    pen, font = (
        ImageDraw.Draw(picture),
        ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 11),
    )
    y = _GAP
    _write(pen, y, title, _FAINT, font)
    y += _LINE + _GAP
    for row, lines in zip(rows, texts):
        picture.paste(Image.fromarray(row), (_GAP, y))
        y += row.shape[0] + _GAP
        for number, line in enumerate(lines):
            _write(pen, y, line, _FAINT if number == len(lines) - 1 else _INK, font)
            y += _LINE
        y += 2 * _GAP
    return picture


def _write(pen: ImageDraw.ImageDraw, y: int, text: str, ink: tuple[int, int, int], font: Any) -> None:
    pen.text((_GAP, y), text, fill=ink, font=font)


def _row(batch: Batch, sample: int) -> NDArray[np.uint8]:
    """The pictures of one sample side by side, the degraded ones below."""
    import numpy as np

    frames = batch.frames
    chosen = np.linspace(0, frames - 1, min(frames, _COLUMNS)).round().astype(int)
    if batch.known[sample].any() and frames > _COLUMNS:  # a stretch of neighbours shows which ones are given
        chosen = np.arange(_COLUMNS)
    numbers = [*chosen.tolist(), *range(frames, batch.pixels.shape[1])]
    tiles = []
    for number in numbers:
        tile = [_bar(batch, sample, number), _small(batch.pixels[sample, number])]
        if batch.low is not None:
            low = batch.low[sample, number]
            factor = max(1, tile[1].shape[0] // low.shape[0])
            enlarged = low.repeat(factor, axis=0).repeat(factor, axis=1)[: tile[1].shape[0], : tile[1].shape[1]]
            tile.append(enlarged)
        widest = tile[1].shape[1]
        parts = [_padded(part, widest) for part in tile]
        column = np.concatenate(parts)
        gap = _GAP * (3 if number == frames - 1 or number == chosen[-1] else 1)
        tiles += [column, np.full((column.shape[0], gap, 3), _GROUND, np.uint8)]
    return np.concatenate(tiles[:-1], axis=1)


def _bar(batch: Batch, sample: int, number: int) -> NDArray[np.uint8]:
    import numpy as np

    given = number < batch.frames and bool(batch.known[sample, number])
    return np.full((_GAP, 1, 3), _KNOWN if given else _GROUND, np.uint8)


def _padded(part: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    import numpy as np

    if part.shape[1] == 1:
        return part.repeat(width, axis=1)
    out = np.full((part.shape[0], width, 3), _GROUND, np.uint8)
    out[:, : part.shape[1]] = part
    return out


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    scale = _LARGEST / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize(size, way))


def _text(batch: Batch, sample: int, data: Data, columns: int) -> list[str]:
    """The captions of a sample, and in the last line what else it is."""
    captions = batch.captions[sample]
    first = sample * len(captions)
    keys = batch.keys[first : first + len(captions)]
    draws = batch.draws[sample]
    lines = textwrap.wrap(f"“{captions[0]}”" if captions[0] else "(no caption)", columns)[:3]
    for number, (caption, key) in enumerate(zip(captions[1:], keys[1:]), start=1):
        lines += textwrap.wrap(f"{number}: “{caption}” ({key})", columns)[:1]
    height, width = batch.pixels.shape[2:4]
    told = f"{keys[0]}   epoch {draws.epoch}   {batch.frames} frames of {width}x{height}, {batch.fps[sample]:.3g} fps"
    if batch.known[sample].any():
        told += f"   {int(batch.known[sample].sum())} given"
    if batch.low is not None:
        told += f"   small copy {batch.low.shape[3]}x{batch.low.shape[2]}, noise level {batch.noise_level[sample]}"
    return [*lines, told]
