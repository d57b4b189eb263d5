"""All of the demo's files."""

from __future__ import annotations

from demo.footage.camera import FOUND
from demo.footage.catalogue import CATALOGUED
from demo.footage.edit import CAMERA

FILMS = (*CATALOGUED, *FOUND)

BROKEN_PATH = f"{CAMERA}/not-a-video.mp4"
BROKEN_TEXT = "This is a letter that somebody named like a film. No player will open it.\n" * 40
