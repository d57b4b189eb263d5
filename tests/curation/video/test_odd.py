"""Whatever a file is like: what is said of it is true, its cuts are exact, and nothing else is read."""

from __future__ import annotations

import dataclasses
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curation.video.cut import Encoding, encode
from curation.video.decode import Decoder
from curation.video.index import index
from curation.video.jail import Jail
from curation.video.probe import Header, MediaError, header, opened
from curation.video.recut import recut
from curation.video.settings import Settings
from tests import films, odd
from tests.odd import Broken, Odd

ENCODING = Encoding(short_side=None, crf=8, preset="ultrafast", gop=16)


@dataclasses.dataclass
class Found:
    """All that a decode tells."""

    pts: list[int]
    end_pts: int
    numbers: list[int]
    head: Header
    mended: bool
    warning: str | None

    @property
    def seconds(self) -> float:
        return float((self.end_pts - self.pts[0]) * self.head.time_base)


def _found(path: Path) -> Found:
    pts, numbers, head = [], [], None
    with opened(path) as (container, stream):
        decoder = Decoder(container, stream)
        for time, frame in decoder.frames():
            head = head or header(stream, frame)
            pts.append(time)
            numbers.append(odd.number_of(frame.to_ndarray(format="rgb24")))
        assert head is not None
        return Found(pts, decoder.end_pts(), numbers, head, decoder.mended, decoder.faults.sentence())


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = Jail(2048)
    yield jail
    jail.close()


@pytest.mark.parametrize("film", odd.FILMS, ids=lambda film: film.name)
def test_count_duration_size_and_order_are_the_true_ones(tmp_path: Path, film: Odd) -> None:
    film.make(tmp_path / film.name)
    found = _found(tmp_path / film.name)
    assert len(found.pts) == film.frames
    assert found.seconds == pytest.approx(film.seconds, abs=0.002)  # Matroska counts milliseconds
    assert (found.head.width, found.head.height) == film.size
    assert found.mended == film.mended
    assert (film.warning or "") in (found.warning or "")
    assert bool(film.warning) == bool(found.warning)
    if film.first is not None:
        assert found.numbers == list(range(film.first, film.first + film.frames))


@pytest.mark.parametrize("film", odd.FILMS, ids=lambda film: film.name)
def test_a_cut_shows_the_frames_that_its_row_says(tmp_path: Path, film: Odd) -> None:
    """By FFmpeg's program where the timestamps are the file's own, and where not by handing it the frames."""
    source, target = tmp_path / film.name, tmp_path / "cut.mp4"
    film.make(source)
    found = _found(source)
    first, end = film.frames // 3, max(film.frames // 3 + 1, film.frames - 4)
    start_pts, end_pts = found.pts[first], [*found.pts, found.end_pts][end]
    given = {"start_pts": start_pts, "end_pts": end_pts}
    size = (found.head.width, found.head.height)
    try:
        if found.mended:
            raise MediaError("times are not the file's own")
        encode(source, target, **given, time_base=found.head.time_base, size=size, encoding=ENCODING, timeout_s=60)
    except MediaError:
        assert recut(source, [given | {"target": str(target)}], size, ENCODING, 60) == [list(range(end - first))]
    shown = _found(target)
    assert len(shown.pts) == end - first
    times = [(pts - shown.pts[0]) * shown.head.time_base for pts in shown.pts]
    wanted = [(pts - start_pts) * found.head.time_base for pts in found.pts[first:end]]
    assert [float(time) for time in times] == pytest.approx([float(time) for time in wanted], abs=1e-4)
    if film.first is not None:
        assert shown.numbers == list(range(film.first + first, film.first + end))


@pytest.mark.parametrize("name", ["plain.mp4", "variable.mkv", "turned.mp4", "mirrored.mov", "hdr.mp4", "alpha.mov"])
def test_both_ways_of_cutting_give_the_same_pictures(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    next(film for film in odd.FILMS if film.name == name).make(source)
    found = _found(source)
    size = (found.head.width, found.head.height)
    one, two, three = (tmp_path / f"{number}.mp4" for number in (1, 2, 3))
    given = {"start_pts": found.pts[5], "end_pts": found.pts[20]}
    later = {"start_pts": found.pts[20], "end_pts": found.pts[25]}
    encode(source, one, **given, time_base=found.head.time_base, size=size, encoding=ENCODING, timeout_s=60)
    clips = [given | {"target": str(two)}, later | {"target": str(three)}]
    assert recut(source, clips, size, ENCODING, 60) == [list(range(15)), list(range(5))]
    assert index(three)["frames"] == 5
    assert index(one)["frame_pts"] == index(two)["frame_pts"]
    for a, b in zip(films.decoded(one), films.decoded(two)):
        assert np.abs(a.astype(int) - b).mean() < 1.5


@pytest.mark.parametrize("name", odd.DAMAGED)
def test_a_damaged_file_keeps_its_good_frames_in_order(tmp_path: Path, name: str) -> None:
    odd.DAMAGED[name](tmp_path / name)
    found = _found(tmp_path / name)
    assert 10 <= len(found.pts) <= 30
    assert found.numbers[:10] == list(range(10))
    assert found.pts == sorted(set(found.pts))


def _scan(jail: Jail, path: Path, folder: Path) -> None:
    settings = dataclasses.asdict(Settings())
    jail.call("scan", path, 10, settings=settings, folder=str(folder), segment_s=None)


@pytest.mark.parametrize("broken", odd.BROKEN, ids=lambda broken: broken.name)
def test_a_file_that_cannot_be_used_has_a_reason(tmp_path: Path, jail: Jail, broken: Broken) -> None:
    broken.make(tmp_path / broken.name)
    with pytest.raises(MediaError, match=broken.reason):
        _scan(jail, tmp_path / broken.name, tmp_path)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/film.mp4", paths
    server.shutdown()
    server.server_close()


def test_a_file_that_points_elsewhere_is_refused_and_nothing_is_asked_for(
    tmp_path: Path, jail: Jail, asked: tuple[str, list[str]]
) -> None:
    url, paths = asked
    # Whoever opens a pipe that nobody writes to hangs, and would be told of by another reason.
    os.mkfifo(tmp_path / "other.mp4")
    for path in odd.elsewhere(tmp_path, url, "other.mp4"):
        with pytest.raises(MediaError, match="points to other files|not a media file|no frame could be decoded"):
            _scan(jail, path, tmp_path)
        given = {"start_pts": 0, "end_pts": 10, "time_base": odd.TICK, "size": odd.SIZE}
        with pytest.raises(MediaError, match="FFmpeg could not cut|no video stream|no packets"):
            encode(path, tmp_path / "cut.mp4", **given, encoding=ENCODING, timeout_s=10)
            index(tmp_path / "cut.mp4")
    assert paths == []


def test_an_address_is_not_a_path(tmp_path: Path, jail: Jail, asked: tuple[str, list[str]]) -> None:
    url, paths = asked
    for name in (url, f"async:{url}", f"concat:{tmp_path}/a.mp4", "subfile,,start,0,end,0,,:/etc/passwd", "pipe:0"):
        with pytest.raises(MediaError, match="cannot be read|not a media file"):
            _scan(jail, Path(name), tmp_path)
    assert paths == []


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        ("turned.mp4", "rotation", 90),
        ("mirrored.mov", "mirrored", True),
        ("interlaced.mp4", "interlaced", True),
        ("plain.mp4", "interlaced", False),
        ("hdr.mp4", "transfer", "pq"),
        ("hdr.mp4", "depth", 10),
        ("alpha.mov", "pixel_format", "argb"),
        ("slow.mp4", "rate", 1),
        ("fast.mp4", "rate", 240),
    ],
)
def test_the_header_says_how_frames_are_stored(tmp_path: Path, name: str, fact: str, value: object) -> None:
    next(film for film in odd.FILMS if film.name == name).make(tmp_path / name)
    assert getattr(_found(tmp_path / name).head, fact) == value
