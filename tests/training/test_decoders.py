"""Libraries that decode give the same frames of the same media."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction

import numpy as np
import pytest
from conftest import COLOURS, encode, frame_index, pictures

from curation.errors import UserError
from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, decode, decoder


def _usable(name: str) -> bool:
    if importlib.util.find_spec(name) is None:
        return False
    try:
        decoder(name)
    except UserError:
        return False
    return True


@pytest.fixture(scope="module")
def media() -> bytes:
    smooth = np.repeat(np.repeat(pictures(50, COLOURS["red"], 3), 4, axis=1), 4, axis=2)
    return encode(smooth)


def index_of(media: bytes) -> FrameIndex:
    pts, unit, keyframes = frame_index(media)
    return FrameIndex(pts, Fraction(unit), keyframes)


@pytest.mark.parametrize("name", ["decord", "torchcodec"])
@pytest.mark.parametrize(("size", "most"), [((192, 256), 1.5), ((96, 128), 4.0)])
def test_decoders_agree_on_frames(media: bytes, name: str, size: tuple[int, int], most: float) -> None:
    """The square moves a pixel a frame, so a wrong frame would differ by far more; scalers differ a little."""
    if not _usable(name):
        pytest.skip(f"{name} cannot be used here")
    wanted = [0, 3, 17, 18, 40, 49]
    ours = decode(media, wanted, index_of(media), size=size).astype(int)
    theirs = decode(media, wanted, index_of(media), size=size, by=name).astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean(axis=(1, 2, 3)).max() < most
    moved = decode(media, [number + 1 for number in wanted[:-1]], index_of(media), size=size).astype(int)
    assert np.abs(ours[:-1] - moved).max() > 100


@pytest.mark.parametrize("name", ["pyav", "decord", "torchcodec"])
def test_damage_is_told_in_the_same_way(media: bytes, name: str) -> None:
    if name != "pyav" and not _usable(name):
        pytest.skip(f"{name} cannot be used here")
    for damaged in (b"not a video" * 100, media[: len(media) // 3]):
        with pytest.raises(DecodeError):
            decode(damaged, [0, 40], index_of(media), size=(48, 64), by=name)


@pytest.mark.parametrize("name", ["decord", "torchcodec"])
def test_a_decoder_that_is_not_installed_says_how_to(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, f"{name}.decoders", None)
    monkeypatch.delitem(sys.modules, f"training.stream.decode_{name}", raising=False)
    with pytest.raises(UserError, match=rf"data.decoder: {name} cannot be used here .*reelmill\[{name}\]"):
        decoder(name)
