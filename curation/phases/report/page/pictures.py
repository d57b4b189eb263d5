"""The thumbnails of a few clips, as strips that are small enough to stand in the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from curation import parts
from curation.phases.report.numbers.picks import evenly
from curation.store import Place

Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
_MOST = 3  # pictures in a strip
_QUALITY = 72
_BORDER = (17, 18, 20)
_ROWS = 32  # clips whose pictures are in memory at once
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Strip:
    """Pictures of one clip side by side, in time order, each in the middle of a dark cell."""

    webp: bytes
    pictures: int
    width: int
    """Of a picture in its cell."""
    height: int
    cell: tuple[int, int] = (WIDTH, HEIGHT)
    """Width and height of a cell, pixels."""
    seconds: float | None = None
    """What the pictures last; None where they are samples of the whole clip."""

    @property
    def plays_s(self) -> float:
        """How long the strip is shown in one turn."""
        return self.seconds if self.seconds is not None else 0.6 * self.pictures

    def middle(self) -> Image:
        """The cell in the middle, RGB."""
        image = cv2.imdecode(np.frombuffer(self.webp, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        wide = self.cell[0]
        at = self.pictures // 2 * wide
        return np.ascontiguousarray(image[:, at : at + wide, ::-1], np.uint8)

    def still(self) -> Image:
        """The picture in the middle without its cell."""
        top, left = (self.cell[1] - self.height) // 2, (self.cell[0] - self.width) // 2
        return self.middle()[top : top + self.height, left : left + self.width]


def webp(image: Image) -> bytes:
    """An RGB picture as WebP."""
    done, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done
    return data.tobytes()


def strips(out: Place, wanted: Mapping[int, set[str]]) -> dict[str, Strip]:
    """Strips of the wanted clips, given by part; clips without thumbnails are left out.

    Only the row groups that hold wanted clips are read, a few clips at a time.
    """
    found: dict[str, Strip] = {}
    for unit, ids in sorted(wanted.items()):
        with out.open(parts.path("clips", unit)) as file:
            parquet = pq.ParquetFile(file, buffer_size=_BUFFER)
            for group in range(parquet.num_row_groups):
                names = parquet.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist()
                if ids.isdisjoint(names):
                    continue
                for batch in parquet.iter_batches(_ROWS, [group], columns=["clip_id", "thumbnails"]):
                    for name, jpegs in zip(batch["clip_id"].to_pylist(), batch["thumbnails"]):
                        if name in ids and (strip := _strip(jpegs.as_py())):
                            found[name] = strip
    return found


def _strip(jpegs: list[bytes]) -> Strip | None:
    chosen = [jpegs[at] for at in evenly(len(jpegs), _MOST)]
    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in chosen if jpeg]
    fitted = [_fitted(np.asarray(image, np.uint8)) for image in images if image is not None]
    if not fitted:
        return None
    return side_by_side([image[..., ::-1] for image in fitted], WIDTH, HEIGHT)


def side_by_side(images: Sequence[Image], width: int, height: int, seconds: float | None = None) -> Strip:
    """RGB pictures that fit into cells of this size as a strip."""
    high, wide = images[len(images) // 2].shape[:2]
    strip = np.hstack([_in_cell(image, width, height) for image in images])
    return Strip(webp(strip), len(images), wide, high, (width, height), seconds)


def _fitted(image: Image) -> Image:
    """The whole picture, as large as fits into a cell."""
    height, width = image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def _in_cell(image: Image, wide: int, high: int) -> Image:
    cell = np.full((high, wide, 3), _BORDER, np.uint8)
    height, width = image.shape[:2]
    top, left = (high - height) // 2, (wide - width) // 2
    cell[top : top + height, left : left + width] = image
    return cell
