"""Pictures of any shape are measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from curation.video.jail import Jail
from curation.video.settings import Settings
from tests import films
from tests.films import GREEN, RED, Scene


@pytest.mark.parametrize("size", [(640, 64), (640, 80), (640, 120), (640, 158), (640, 160), (64, 640)])
def test_very_wide_and_very_tall_films_are_scanned(tmp_path: Path, size: tuple[int, int]) -> None:
    film = films.write(tmp_path / "a.mp4", [Scene(40, RED), Scene(40, GREEN)], size=size)
    jail = Jail(4096)
    found = jail.call("scan", film, 60, settings=asdict(Settings()), folder=str(tmp_path), segment_s=None)
    jail.close()
    assert (found["frames"], found["warning"]) == (80, None)
    assert [clip["frames"] for clip in found["clips"]] == [40, 40]
    assert all(clip["motion"] > 0 for clip in found["clips"])
