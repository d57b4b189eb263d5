"""Each way of cutting shows exactly the frames that its row names, and says where it could not be taken."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.video import comparing
from curation.video.clips import looks
from curation.video.copying import copy, inner
from curation.video.cut import Encoding
from curation.video.cutting import Clip, Wanted, cut_clips
from curation.video.decode import Decoder
from curation.video.index import index
from curation.video.measure import Measurer
from curation.video.packets import listing
from curation.video.probe import header, opened
from curation.video.series import Series
from curation.video.sound import Sound
from curation.video.thinning import thinned
from tests import odd

SIZE = (128, 96)
FRAMES = 100
H264 = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -sc_threshold 0 -g 20 -crf 10"
HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=20:min-keyint=20:scenecut=0:bframes=3"
SOURCES = {
    "plain.mp4": H264,
    "pyramid.mkv": f"{H264} -x264-params b-pyramid=normal",
    "broadcast.ts": H264,
    "ten-bits.mp4": f"{H264} -pix_fmt yuv420p10le",
    "late.mp4": f"{H264} -output_ts_offset 7.5",
    "hevc.mp4": f"{HEVC}:open-gop=0",
    "hevc.ts": f"{HEVC}:open-gop=0",
    "open.mp4": f"{HEVC}:open-gop=1",
    "open-avc.mkv": f"{H264} -x264-params open-gop=1",
    "mpeg4.mp4": "-c:v mpeg4 -bf 2 -g 20 -q:v 3",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k -g 20",
}
RANGES = [(0, 20), (20, 33), (33, 39), (39, 78), (78, 100)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name, options in SOURCES.items():
        odd.film(folder / name, options, frames=range(FRAMES), size=SIZE)
    return folder


def _decoded(path: Path) -> list[tuple[int, np.ndarray]]:
    with opened(path) as (container, stream):
        return [(pts, frame.to_ndarray()) for pts, frame in Decoder(container, stream).frames()]


def _clips(source: Path, folder: Path, ranges: list[tuple[int, int]] = RANGES) -> list[Clip]:
    """Clips of frames [first, end), with the looks that the split pass notes."""
    with opened(source) as (container, stream):
        decoder = Decoder(container, stream)
        pts = []
        measurer: Measurer | None = None
        for time, frame in decoder.frames():
            measurer = measurer or Measurer(header(stream, frame), folder / "series", folder / "jpegs", size=64)
            measurer.feed(len(pts), time, frame)
            pts.append(time)
        pts.append(decoder.end_pts())
    assert measurer is not None
    measurer.__exit__(None, None, None)
    noted = looks(Series([folder / "series"]).tiny(0, len(pts)))
    return [
        Clip(f"{first}", pts[first], pts[end], end - first, noted[first:end].tobytes(), folder / f"{first}.mp4")
        for first, end in ranges
    ]


def _wanted(way: str, **given: Any) -> Wanted:
    encoding = given.pop("encoding", Encoding(None, 18, "ultrafast", 12))
    return Wanted(way, given.pop("otherwise", "fail"), encoding, timeout_s=60, **given)


def _frames_in(source: list[tuple[int, np.ndarray]], made: dict[str, Any]) -> list[tuple[int, np.ndarray]]:
    return [(pts, frame) for pts, frame in source if made["start_pts"] <= pts < made["end_pts"]]


def _same_times(made: dict[str, Any], shown: list[tuple[int, np.ndarray]], tick: Fraction) -> bool:
    own = Fraction(made["frame_time_base"])
    return [pts * own for pts in made["frame_pts"]] == [(pts - shown[0][0]) * tick for pts, _ in shown]


def _tick(source: Path) -> Fraction:
    with opened(source) as (_, stream):
        assert stream.time_base is not None
        return Fraction(stream.time_base)


@pytest.mark.parametrize("name", SOURCES)
def test_every_copied_picture_is_the_sources_to_the_bit_and_the_row_says_which(
    sources: Path, tmp_path: Path, name: str
) -> None:
    source, clips = _decoded(sources / name), _clips(sources / name, tmp_path)
    cut_clips(sources / name, clips, _wanted("copy"), mended=False)
    made = [clip for clip in clips if clip.made]
    # Open groups of H.264 cannot be entered: only the very first picture can begin a file.
    assert len(made) >= (1 if name == "open-avc.mkv" else 2), [clip.failed for clip in clips]
    for clip in made:
        assert clip.made is not None
        wanted, got = _frames_in(source, clip.made), _decoded(clip.target)
        assert len(got) == len(wanted) == clip.made["frames"] == clip.frames - clip.made["lost_frames"]
        assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(wanted, got))
        assert _same_times(clip.made, wanted, _tick(sources / name))
        assert index(clip.target)["keyframes"] == clip.made["keyframes"]
        _assert_key_frames_begin_where_said(clip)


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in ("mpeg4.mp4", "vp9.webm", "open.mp4")])
def test_smart_cut_shows_every_frame_and_encodes_only_around_the_key_frames(
    sources: Path, tmp_path: Path, name: str
) -> None:
    source, clips = _decoded(sources / name), _clips(sources / name, tmp_path)
    cut_clips(sources / name, clips, _wanted("smart"), mended=False)
    with opened(sources / name) as (container, stream):
        listed = listing(container, stream)
    made = [clip for clip in clips if clip.made]
    assert any(clip.start_pts == source[39][0] for clip in made) or name == "open-avc.mkv", [c.failed for c in clips]
    for clip in made:
        assert clip.made is not None and clip.made["cut"] == "smart" and clip.made["lost_frames"] == 0
        wanted, got = _frames_in(source, clip.made), _decoded(clip.target)
        assert len(got) == len(wanted) == clip.frames
        assert max(np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in zip(wanted, got)) < 12
        copied = inner(listed, clip.start_pts, clip.end_pts, resetting=True)
        assert copied is not None and copied.frames >= 8
        pairs = [pair for pair in zip(wanted, got) if copied.start_pts <= pair[0][0] < copied.end_pts]
        assert len(pairs) == copied.frames and all(np.array_equal(one, other) for (_, one), (_, other) in pairs)
        assert [pts for pts, _ in wanted].index(copied.start_pts) in clip.made["keyframes"]
        assert _same_times(clip.made, wanted, _tick(sources / name))


def test_the_last_frame_is_decoded_unless_all_that_it_needs_is_the_sources_to_the_byte(
    sources: Path, tmp_path: Path
) -> None:
    source, target = sources / "pyramid.mkv", tmp_path / "cut.mp4"
    with opened(source) as (container, stream):
        found = next(Decoder(container, stream).frames())[1]
        head, size = header(stream, found), (found.width, found.height)
    with opened(source) as (container, stream):
        listed = listing(container, stream)
    stretch = inner(listed, int(listed.shown(0, 10**9)[20]), 10**9)
    assert stretch is not None and stretch.frames == 80 and listed.settled
    (digest,) = copy(source, listed, [stretch], [target])
    assert isinstance(digest, bytes)
    seen = comparing.ends(target, head, size, comparing.Copied(0, 80, digest, telling=True))
    assert set(seen.looks) == {0, 60}
    unsure = comparing.ends(target, head, size, comparing.Copied(0, 80, digest, telling=False))
    other = comparing.ends(target, head, size, comparing.Copied(0, 80, digest[::-1], telling=True))
    assert set(unsure.looks) == set(other.looks) == {0, 79}
    whole = comparing.everything(target, head)
    assert all(np.array_equal(whole.looks[frame], unsure.looks[frame]) for frame in (0, 79))
    assert whole.index == seen.index == unsure.index


def test_a_header_that_changes_within_a_file_is_noticed(sources: Path, tmp_path: Path) -> None:
    other = odd.film(tmp_path / "other.ts", f"{H264} -refs 5 -output_ts_offset 60", frames=range(FRAMES), size=SIZE)
    joined = tmp_path / "joined.ts"
    with av.open(str(joined), "w") as out:
        track = None
        for path in (sources / "broadcast.ts", other):
            with av.open(str(path)) as container:
                track = track or out.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(video=0):
                    if packet.size:
                        packet.stream = track
                        out.mux(packet)
    for path, settled in ((sources / "broadcast.ts", True), (other, True), (joined, False)):
        with opened(path) as (container, stream):
            assert listing(container, stream).settled is settled, path.name


def test_a_joined_cut_can_be_entered_at_each_of_its_key_frames(sources: Path, tmp_path: Path) -> None:
    for name in ("plain.mp4", "hevc.mp4"):
        (clip,) = _clips(sources / name, tmp_path, [(35, 90)])
        cut_clips(sources / name, [clip], _wanted("smart"), mended=False)
        assert clip.made is not None, clip.failed
        whole = dict(_decoded(clip.target))
        for number in clip.made["keyframes"]:
            pts = clip.made["frame_pts"][number]
            with av.open(str(clip.target)) as container:
                container.seek(pts, stream=container.streams.video[0])
                frame = next(frame for frame in container.decode(video=0) if frame.pts == pts)
                assert np.array_equal(frame.to_ndarray(), whole[pts]), (name, number)


def test_what_cannot_be_cut_without_encoding_is_encoded_with_the_reason_or_fails(sources: Path, tmp_path: Path) -> None:
    for way, otherwise, name in (("copy", "encode", "plain.mp4"), ("smart", "encode", "vp9.webm")):
        clips = _clips(sources / name, tmp_path)
        cut_clips(sources / name, clips, _wanted(way, otherwise=otherwise), mended=False)
        reasons = [clip.made["note"] for clip in clips if clip.made and clip.made["cut"] == "encode"]
        assert reasons and all(reasons) and all(clip.made for clip in clips)
    clips = _clips(sources / "plain.mp4", tmp_path)
    cut_clips(sources / "plain.mp4", clips, _wanted("copy"), mended=False)
    assert [clip.failed for clip in clips][2] == "no key frame in it can be the first of a file"
    (clip,) = _clips(sources / "plain.mp4", tmp_path, [(1, 30)])
    cut_clips(sources / "plain.mp4", [clip], _wanted("copy", least_share=0.5), mended=False)
    assert clip.failed is not None and "of its 29 frames can be copied" in clip.failed


@pytest.mark.parametrize("way", ["copy", "smart", "encode"])
def test_a_cut_that_shows_other_frames_is_not_taken(sources: Path, tmp_path: Path, way: str) -> None:
    clips = _clips(sources / "plain.mp4", tmp_path)
    clips[0].looks, clips[-1].looks = clips[-1].looks, clips[0].looks
    clips[0].looks = (clips[0].looks or b"")[: 12 * clips[0].frames]
    clips[-1].looks = (clips[-1].looks or b"") * 2
    cut_clips(sources / "plain.mp4", clips, _wanted(way), mended=False)
    assert all(clip.failed and "of the clip" in clip.failed for clip in (clips[0], clips[-1]))
    assert clips[3].made


@pytest.mark.parametrize(("codec", "encoder"), [("h264", "libx264"), ("hevc", "libx265"), ("av1", "libsvtav1")])
def test_each_codec_gives_the_frames_of_the_clip_and_the_same_bytes_again(
    sources: Path, tmp_path: Path, codec: str, encoder: str
) -> None:
    held = []
    for _ in range(2):
        (clip,) = _clips(sources / "plain.mp4", tmp_path, [(10, 40)])
        wanted = _wanted("encode", encoding=Encoding(64, 24, "ultrafast", 10, encoder))
        cut_clips(sources / "plain.mp4", [clip], wanted, mended=False)
        assert clip.made is not None and clip.made["frames"] == 30, clip.failed
        assert (clip.made["width"], clip.made["height"]) == (86, 64)
        assert {0, 10, 20} <= set(clip.made["keyframes"])
        held.append(clip.target.read_bytes())
    assert held[0] == held[1]
    with av.open(str(clip.target)) as container:
        assert codec in (container.streams.video[0].codec_context.codec.canonical_name, codec)


@pytest.mark.parametrize(("encoder", "same"), [("libx264", False), ("libx265", False), ("libsvtav1", None)])
def test_media_for_fast_decoding_hold_the_same_frames_in_other_bytes(
    sources: Path, tmp_path: Path, encoder: str, same: bool | None
) -> None:
    """SVT-AV1 may find nothing to leave out at its fastest preset."""
    held = {}
    for fast in (True, False):
        (clip,) = _clips(sources / "plain.mp4", tmp_path, [(10, 40)])
        encoding = Encoding(
            64, 24, "ultrafast" if encoder == "libsvtav1" else "veryfast", 10, encoder, fast_decode=fast
        )
        cut_clips(sources / "plain.mp4", [clip], _wanted("encode", encoding=encoding), mended=False)
        assert clip.made is not None, clip.failed
        held[fast] = (clip.made["frames"], clip.target.read_bytes())
    assert held[True][0] == held[False][0] == 30
    assert same is None or (held[True][1] == held[False][1]) is same


@pytest.mark.parametrize("mended", [False, True])
def test_a_lower_rate_leaves_out_whole_frames_and_moves_none(sources: Path, tmp_path: Path, mended: bool) -> None:
    (clip,) = _clips(sources / "plain.mp4", tmp_path, [(5, 65)])
    wanted = _wanted("encode", encoding=Encoding(None, 18, "ultrafast", 12, fps=10))
    cut_clips(sources / "plain.mp4", [clip], wanted, mended=mended)
    assert clip.made is not None and clip.made["frames"] == 24 and clip.made["lost_frames"] == 36, clip.failed
    tick = _tick(sources / "plain.mp4")
    shown = _frames_in(_decoded(sources / "plain.mp4"), clip.made)
    kept = [(pts + shown[0][0], frame) for pts, frame in thinned([(p - shown[0][0], f) for p, f in shown], tick, 10)]
    assert _same_times(clip.made, kept, tick)


def _beeping(path: Path, codec: str) -> Path:
    """A film whose sound clicks in the middle of every second."""
    video = odd.film(path.with_name(f"silent-{path.name}"), H264, frames=range(FRAMES), size=SIZE)
    clicks = "aevalsrc=if(between(mod(t\\,1)\\,0.5\\,0.52)\\,0.8*sin(6283*t)\\,0):s=48000:d=4"
    odd.ffmpeg("-i", video, "-f", "lavfi", "-i", clicks, "-c:v", "copy", "-c:a", *codec.split(), path)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "wanted", "told"),
    [
        ("a.mp4", "aac", Sound(), "aac, 48000 Hz, 1 channel"),
        ("b.mkv", "libvorbis", Sound(), "aac, 48000 Hz, 1 channel"),
        ("c.mkv", "flac", Sound(16000, 2), "aac, 16000 Hz, 2 channels"),
    ],
)
@pytest.mark.parametrize("way", ["smart", "encode"])
def test_sound_stays_where_it_was_heard(
    tmp_path: Path, name: str, codec: str, wanted: Sound, told: str, way: str
) -> None:
    source = _beeping(tmp_path / name, codec)
    (clip,) = _clips(source, tmp_path, [(30, 80)])
    cut_clips(source, [clip], _wanted(way, sound=wanted), mended=False)
    assert clip.made is not None and clip.made["sound"] == told, clip.failed
    assert index(clip.target)["frame_pts"] == clip.made["frame_pts"]
    _assert_key_frames_begin_where_said(clip)
    # Frame 30 is shown at 1.2 s, so clicks are at 0.3 and 1.3 s.
    begins = _clicks(clip.target)
    assert len(begins) == 2 and begins == pytest.approx([0.3, 1.3], abs=0.004)


def _assert_key_frames_begin_where_said(clip: Clip) -> None:
    """The bytes there are the packets, and all that comes before the first is what any decoder reads first."""
    assert clip.made is not None
    data = clip.target.read_bytes()
    with av.open(str(clip.target)) as container:
        keys = sorted((packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.is_keyframe)
    begins = clip.made["keyframe_bytes"]
    assert len(begins) == len(clip.made["keyframes"]) == len(keys)
    assert all(data[at : at + len(packet)] == packet for at, (_, packet) in zip(begins, keys))
    assert b"moov" in data[: begins[0]]


def _clicks(path: Path) -> list[float]:
    """When the sound gets loud, in seconds."""
    loud = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=16000)
        for frame in container.decode(audio=0):
            start = float((frame.pts or 0) * Fraction(frame.time_base or 1))
            for plain in resampler.resample(frame):
                at = np.flatnonzero(np.abs(plain.to_ndarray()[0]) > 0.2)
                loud += [start + number / 16000 for number in at]
    return [time for before, time in zip([-1.0, *loud], loud) if time - before > 0.5]


def test_sound_of_a_file_with_mended_times_is_dropped_and_said_so(tmp_path: Path) -> None:
    source = _beeping(tmp_path / "a.mp4", "aac")
    (clip,) = _clips(source, tmp_path, [(30, 80)])
    cut_clips(source, [clip], _wanted("encode", sound=Sound()), mended=True)
    assert clip.made is not None and clip.made["sound"] is None and "no sound" in clip.made["note"]
