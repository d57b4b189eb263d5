"""Small, spoilt copies of pictures, from which a super resolution model learns to make the large ones.

The first stage of Real-ESRGAN's degradations (Wang et al., arXiv 2107.10833 §3.1) with the ranges of its released
code: a Gaussian blur, a resize by one of three ways, Gaussian noise, a JPEG. LaVie did not publish what it used; that
the numbers stay the same over all frames of a clip is ours, since a camera's do.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.recipe_data import Degradation

_RESIZES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def degraded(pictures: NDArray[np.uint8], settings: Degradation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures (n, height, width, 3), RGB, made `settings.scale` times smaller and worse, by the numbers of `rng`."""
    sigma = float(rng.uniform(*settings.blur))
    resize = _RESIZES[int(rng.integers(len(_RESIZES)))]
    deviation = float(rng.uniform(*settings.noise))
    quality = int(rng.integers(settings.jpeg[0], settings.jpeg[1] + 1))
    count, height, width = pictures.shape[:3]
    small = (width // settings.scale, height // settings.scale)
    out = np.empty((count, small[1], small[0], 3), np.uint8)
    for number, picture in enumerate(pictures):
        blurred = cv2.GaussianBlur(picture, (0, 0), sigma)
        resized = cv2.resize(blurred, small, interpolation=resize)
        noisy = resized + deviation * rng.standard_normal(resized.shape, np.float32)
        bgr = np.clip(noisy, 0, 255).astype(np.uint8)[:, :, ::-1]
        whole, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert whole
        spoilt = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        assert spoilt is not None
        out[number] = spoilt[:, :, ::-1]
    return out
