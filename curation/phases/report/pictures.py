"""The thumbnails of a few clips, as strips that are small enough to stand in the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from curation import parts
from curation.store import Place

Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
_MOST = 3  # pictures in a strip
_QUALITY = 72
_BORDER = (20, 18, 17)
_ROWS = 32  # clips whose pictures are in memory at once
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Strip:
    """Pictures of one clip side by side, in time order, each in the middle of a dark cell of 320x180."""

    webp: bytes
    pictures: int
    width: int
    """Of a picture in its cell."""
    height: int

    def middle(self) -> Image:
        """The cell in the middle, (180, 320, 3) RGB."""
        image = cv2.imdecode(np.frombuffer(self.webp, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        at = self.pictures // 2 * WIDTH
        return np.ascontiguousarray(image[:, at : at + WIDTH, ::-1], np.uint8)

    def still(self) -> Image:
        """The picture in the middle without its cell."""
        top, left = (HEIGHT - self.height) // 2, (WIDTH - self.width) // 2
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
    height, width = fitted[len(fitted) // 2].shape[:2]
    return Strip(webp(np.hstack([_in_cell(image) for image in fitted])[..., ::-1]), len(fitted), width, height)


def evenly(available: int, most: int) -> list[int]:
    """Positions of at most `most` things spread evenly over all, the first and the last among them."""
    if available <= most:
        return list(range(available))
    if most == 1:
        return [available // 2]
    return [round(at * (available - 1) / (most - 1)) for at in range(most)]


def _fitted(image: Image) -> Image:
    """The whole picture, as large as fits into a cell."""
    height, width = image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def _in_cell(image: Image) -> Image:
    cell = np.full((HEIGHT, WIDTH, 3), _BORDER, np.uint8)
    height, width = image.shape[:2]
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    cell[top : top + height, left : left + width] = image
    return cell
