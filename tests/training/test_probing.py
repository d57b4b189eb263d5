"""Frames of videos that come without an index: those that decoding gives, found from the packets."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import av
import hypothesis
import hypothesis.strategies as st
import imageio_ffmpeg
import numpy as np
import pytest
from conftest import COLOURS, encode, frame_index, pictures, squares, written

from training.recipe_data import Data
from training.stream.decode import DecodeError, decode
from training.stream.faults import SampleError
from training.stream.loader import Batch
from training.stream.opened import open_loader
from training.stream.probing import frame_index as probed

MEDIA = encode(pictures(50, COLOURS["red"], 3))


def agrees(media: bytes) -> None:
    """That the frames are all there, in their places, and can be decoded from any."""
    index = probed(media)
    with av.open(io.BytesIO(media)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    pts, unit, _ = frame_index(media)
    assert list(index.pts) == pts and str(index.time_base) == unit and index.keyframes[0] == 0
    for wanted in ([0], [len(pts) - 1], [5, 6, 20], [len(pts) // 2]):
        found = decode(media, wanted, index, size=shown[0].shape[:2])
        assert np.abs(found.astype(int) - np.stack([shown[n] for n in wanted])).max() <= 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ["-c", "copy"]),
        ("a.mkv", ["-c", "copy"]),
        ("a.mov", ["-c", "copy", "-movflags", "frag_keyframe+empty_moov"]),
        ("a.webm", ["-c:v", "libvpx-vp9", "-g", "10", "-deadline", "realtime"]),
        ("edited.mp4", ["-c", "copy"]),
        ("open.mp4", ["-c:v", "libx264", "-g", "12", "-x264-params", "open-gop=1:bframes=3"]),
    ],
)
def test_packets_tell_what_decoding_gives(tmp_path: Path, name: str, options: list[str]) -> None:
    start = ["-ss", "0.9"] if name == "edited.mp4" else []
    (tmp_path / "in.mp4").write_bytes(MEDIA)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *start, "-i", str(tmp_path / "in.mp4")]
    subprocess.run([*program, *options, str(tmp_path / name)], check=True)
    agrees((tmp_path / name).read_bytes())


@pytest.mark.parametrize("media", [b"", b"no video", MEDIA[:200], b"#EXTM3U\nhttp://127.0.0.1/x.ts\n"])
def test_what_is_no_video_is_a_fault_of_the_sample(media: bytes) -> None:
    with pytest.raises(SampleError) as error:
        probed(media)
    assert error.value.fault == "undecodable" and "\n" not in str(error.value)


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.lists(st.tuples(st.integers(0, len(MEDIA) - 1), st.integers(0, 255)), min_size=1, max_size=30))
def test_damage_is_a_fault_of_the_sample(damage: list[tuple[int, int]]) -> None:
    media = bytearray(MEDIA)
    for at, value in damage:
        media[at] = value
    try:
        index = probed(bytes(media))
        decode(bytes(media), [0, len(index.pts) - 1] if len(index.pts) > 1 else [0], index, size=(16, 16))
    except (SampleError, DecodeError):
        return


def test_tars_of_others_train_like_our_own(dataset: Path, tmp_path: Path) -> None:
    """The same clips, once with our index and once without any: the same batches but for the order."""
    clips = squares(10)
    written(
        tmp_path / "theirs.tar",
        [
            {
                "__key__": clip.key,
                "mp4": encode(pictures(clip.frames, COLOURS[clip.colour], clip.start)),
                "txt": str(clip.caption),
            }
            for clip in clips
        ]
        + [{"__key__": "short", "mp4": encode(pictures(2, COLOURS["red"], 0)), "txt": "too short"}],
    )

    def batches(url: str) -> dict[str, tuple[list[str], np.ndarray]]:
        data = {"url": url, "frames": 4, "stride": 12, "size": (48, 64), "images": 0, "flip": False, "prefetch": 1}
        loader = open_loader(Data.model_validate({**data, "max_failures": 1.0}), seed=0, batch=2, text_dropout=0.0)
        stream = iter(loader)
        found: list[Batch] = [next(stream) for _ in range(11)]
        stream.close()
        failures = [failure for batch in found for failure in batch.failures]
        assert {(failure.key, failure.fault) for failure in failures} <= {("short", "unfit")}
        assert bool(failures) == url.endswith(".tar")
        return {
            key: (captions, batch.pixels[n])
            for batch in found
            for n, (key, captions) in enumerate(zip(batch.keys, batch.captions))
        }

    ours, theirs = batches(str(dataset)), batches(f"{tmp_path}/theirs.tar")
    assert set(ours) == set(theirs) == {clip.key for clip in clips}
    assert all(ours[key][0] == theirs[key][0] for key in ours)
