"""Decoding only what is needed gives the frames that decoding everything gives."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from conftest import COLOURS, encode, frame_index, pictures
from PIL import Image

from training.stream.dataset import FrameIndex
from training.stream.decode import DecodeError, covering, decode, image


def all_frames(media: bytes) -> np.ndarray:
    with av.open(io.BytesIO(media)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def media() -> bytes:
    return encode(pictures(70, COLOURS["red"], 3))


def index_of(media: bytes) -> FrameIndex:
    pts, unit, keyframes = frame_index(media)
    return FrameIndex(pts, Fraction(unit), keyframes)


@pytest.mark.parametrize(
    "wanted", [[0], [69], [5, 6, 7], [1, 18, 19, 50], list(range(0, 70, 9)), list(range(70)), [15, 16, 17, 31, 32]]
)
def test_wanted_frames_equal_those_of_decoding_all(media: bytes, wanted: list[int]) -> None:
    index = index_of(media)
    assert len(index.keyframes) > 3
    assert np.array_equal(decode(media, wanted, index, size=(48, 64)), all_frames(media)[wanted])


def test_uneven_timestamps_are_met_exactly() -> None:
    video = pictures(30, COLOURS["blue"], 9)
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "8", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 600)
        for number, picture in enumerate(video):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 25 * number + 7 * (number % 3), Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    media = out.getvalue()
    index = index_of(media)
    assert len({b - a for a, b in zip(index.pts, index.pts[1:])}) > 1
    wanted = [2, 11, 12, 29]
    assert np.array_equal(decode(media, wanted, index, size=(48, 64)), all_frames(media)[wanted])


@pytest.mark.parametrize("size", [(24, 24), (48, 64), (30, 40), (31, 41), (96, 128), (50, 66), (45, 60)])
def test_scaled_frames_are_those_of_the_slow_way(media: bytes, size: tuple[int, int]) -> None:
    """Packed RGB with colour at its full width, at widths of all kinds."""
    pictures = decode(media, [3], index_of(media), size=size)
    height, width = pictures.shape[1:3]
    with av.open(io.BytesIO(media)) as container:
        frame = next(frame for number, frame in enumerate(container.decode(video=0)) if number == 3)
        way = (
            Interpolation.BILINEAR
            if (height, width) == (48, 64)
            else Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT
        )
        slow = frame.reformat(width=width, height=height, format="rgb24", interpolation=way).to_ndarray()
    assert np.abs(pictures[0].astype(int) - slow).max() <= 1


def test_frames_keep_their_shape_and_cover_the_size(media: bytes) -> None:
    assert decode(media, [0, 8], index_of(media), size=(24, 24)).shape == (2, 24, 32, 3)
    assert covering(720, 1280, (320, 512)) == (320, 569)
    assert covering(1280, 720, (320, 512)) == (910, 512)


@pytest.mark.parametrize("media_bytes", [b"", b"not a video" * 100, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"])
def test_what_is_no_mp4_is_refused(media_bytes: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(media_bytes, [0], FrameIndex([0], Fraction(1, 24), [0]), size=(16, 16))


def test_cut_off_media_is_refused(media: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(media[: len(media) // 2], [69], index_of(media), size=(16, 16))


def test_a_frame_that_is_not_there_is_an_error(media: bytes) -> None:
    index = index_of(media)
    shifted = FrameIndex([pts + 1 for pts in index.pts], index.time_base, index.keyframes)
    with pytest.raises(DecodeError, match="frame 20 at"):
        decode(media, [20], shifted, size=(16, 16))


def jpeg(width: int, height: int, *, turned: bool = False) -> bytes:
    """Red above, blue below, as it is shown; `turned` stores it on its side."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, :, 0] = picture[height // 2 :, :, 2] = 220
    shown, exif, out = Image.fromarray(picture), Image.Exif(), io.BytesIO()
    if turned:
        shown, exif[0x0112] = shown.transpose(Image.Transpose.ROTATE_90), 6
    shown.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("native", [False, True])
def test_images_are_upright_and_cover_the_size(turned: bool, native: bool) -> None:
    picture = image(jpeg(1200, 900, turned=turned), size=(48, 48), native=native)
    assert picture.shape == ((900, 1200, 3) if native else (48, 64, 3))
    quarter = picture.shape[0] // 4
    assert picture[quarter].mean(axis=0) == pytest.approx([220, 0, 0], abs=12)
    assert picture[-quarter].mean(axis=0) == pytest.approx([0, 0, 220], abs=12)
    assert image(jpeg(20, 30), size=(48, 48), native=native).shape == (72, 48, 3)


@pytest.mark.parametrize("media", [b"", b"GIF89a" * 20, jpeg(100, 100)[:300]])
def test_what_is_no_whole_image_is_refused(media: bytes) -> None:
    with pytest.raises(DecodeError):
        image(media, size=(16, 16))
