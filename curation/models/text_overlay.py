"""How much of a picture is written text, by the detector of PP-OCR that RapidOCR's wheel carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation.errors import UserError
from curation.models.scorers import Measure, Pictures, Scorer
from curation.recipe_score import TextOverlay

# A box over more of the picture than this is a texture, and no line of text. Ours.
_WHOLE = 0.5


class TextOverlayScorer(Scorer):
    """Share of the picture inside boxes of text: titles, subtitles, banners, and also signs that were filmed.

    Source: Stable Video Diffusion (arXiv 2311.15127, appendix C) measures it by CRAFT and drops clips above 0.07;
    here the boxes are PP-OCR's (DBNet, arXiv 1911.08947), by RapidOCR on one thread of ONNX Runtime, models and
    code Apache-2.0. There is no bound by default.
    """

    name = "text_overlay"
    measures = (
        Measure("text_area", "Share of the picture inside boxes of text (PP-OCR), mean over pictures.", "0 to 1"),
        Measure("text_area_max", "The same for the picture with the most.", "0 to 1"),
    )

    def __init__(self, text_overlay: TextOverlay):
        self._settings = text_overlay

    def settings(self) -> Any:
        return self._settings.model_dump(mode="json")

    def fetch(self) -> list[Path]:
        if not (find_spec("rapidocr") and find_spec("onnxruntime")):
            raise _not_installed()
        return []

    def setup(self) -> None:
        try:
            import onnxruntime  # noqa: F401
            from rapidocr import RapidOCR
        except ImportError as error:
            raise _not_installed() from error
        threads = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
        detector = {"Det.limit_side_len": self._settings.size, "Det.box_thresh": self._settings.certainty}
        others = {"Global.log_level": "critical", "Global.use_cls": False, "Global.use_rec": False}
        self._detect = RapidOCR(params={**threads, **detector, **others})

    def score(self, clips: Sequence[Pictures]) -> Sequence[Mapping[str, Any]]:
        return [self._score([self.area(picture) for picture in pictures]) for pictures in clips]

    def _score(self, areas: Sequence[float]) -> Mapping[str, Any]:
        return {"text_area": float(np.mean(areas)), "text_area_max": max(areas)}

    def area(self, picture: np.ndarray) -> float:
        """Share of one picture inside the union of its boxes."""
        found: Any = self._detect(np.ascontiguousarray(picture[..., ::-1]), use_det=True, use_cls=False, use_rec=False)
        mask = np.zeros(picture.shape[:2], np.uint8)
        for box in found.boxes if found.boxes is not None else ():
            if cv2.contourArea(np.asarray(box, np.float32)) <= _WHOLE * mask.size:
                cv2.fillConvexPoly(mask, np.asarray(box).round().astype(np.int32), 1)
        return float(mask.mean())


def _not_installed() -> UserError:
    return UserError("score.text_overlay needs RapidOCR and ONNX Runtime; pip install 'reelmill[ocr]'")
