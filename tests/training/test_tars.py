"""Tars that others wrote: the samples that webdataset sees, without reading the media, whatever strangers send."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import webdataset
from conftest import COLOURS, encode, pictures, written

from curation.errors import UserError
from tests.servers import FileServer
from training.stream.dataset import Dataset
from training.stream.opening import Opened
from training.stream.tars import Walked, walk


def walked(content: bytes, caption: str | None = None, asked: list[int] | None = None) -> Walked:
    def read(start: int, end: int) -> bytes:
        if asked is not None:
            asked.append(end - start)
        return content[start:end]

    return walk(read, len(content), "t.tar", caption)


def packed(*members: tuple[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def matches(dataset: Dataset, urls: list[str], suffix: str) -> None:
    """That a dataset is what plain webdataset sees."""
    theirs = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert len(dataset) == len(theirs) > 0
    for number, sample in enumerate(theirs):
        entry = dataset.entry(number)
        assert entry.key == sample["__key__"]
        assert entry.caption == sample["txt"].decode()
        assert dataset.media(entry) == sample[suffix]
        assert dataset.reader(entry).read() == sample[suffix]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tars in the layout of video2dataset: key.mp4, key.json with nested metadata, key.txt."""
    folder = tmp_path_factory.mktemp("v2d")
    media = encode(pictures(30, COLOURS["red"], 0))
    for shard in range(2):
        samples = []
        for number in range(3):
            key = f"{shard:05d}{number:04d}"
            meta = {"key": key, "status": "success", "video_metadata": {"streams": [{"width": 1}]}, "caption": "no"}
            meta |= {"windows": [{"caption": f"window {number}"}], "width": 64, "height": 48, "fps": 24.0}
            padding = os.urandom(200_000)
            samples.append({"__key__": key, "mp4": media + padding, "json": meta, "txt": f"film {number}"})
        written(folder / f"{shard:05d}.tar", samples)
    return folder


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar in the layout of img2dataset: key.jpg, key.txt, key.json."""
    folder = tmp_path_factory.mktemp("i2d")
    samples = [
        {
            "__key__": f"{number:09d}",
            "jpg": os.urandom(5_000),
            "txt": f"still {number}",
            "json": {"width": 256, "height": 200, "original_width": 999, "sha256": "of the original", "exif": "{}"},
        }
        for number in range(200)
    ]
    written(folder / "00000.tar", samples)
    return folder


@pytest.mark.parametrize("ranges", [True, False])
def test_films_of_others_are_read_as_webdataset_reads_them(
    films: Path,
    opened: Callable[..., Opened],
    ranges: bool,
) -> None:
    tars = [f"{films}/{shard:05d}.tar" for shard in range(2)]
    matches(opened(f"{films}/*.tar"), tars, "mp4")
    with FileServer(folder=films, ranges=ranges) as server:
        data = opened(server.url + "/{00000..00001}.tar", read="members")
        opening = server.sent_bytes
        matches(data, tars, "mp4")
    if ranges:
        assert opening < sum(os.path.getsize(tar) for tar in tars) / 2
    entry = data.entry(4)
    assert (entry.kind, entry.suffix, entry.frames, entry.index) == ("video", "mp4", None, None)
    assert (entry.width, entry.height, entry.fps, entry.sha256) == (64, 48, 24.0, None)
    assert list(data.column("shard")) == [0, 0, 0, 1, 1, 1]


def test_stills_of_others_are_read_as_webdataset_reads_them(
    stills: Path,
    opened: Callable[..., Opened],
) -> None:
    with FileServer(folder=stills) as server:
        data = opened(f"{server.url}/00000.tar")
        assert len(server.asked) < 12  # small members are read through, not jumped over one by one
        matches(data, [f"{stills}/00000.tar"], "jpg")
    entry = data.entry(0)
    assert (entry.kind, entry.frames, entry.width, entry.height) == ("image", 1, 256, 200)


def test_headers_are_read_once_and_the_index_kept(films: Path, opened: Callable[..., Opened]) -> None:
    with FileServer(folder=films) as server:
        url = server.url + "/{00000..00001}.tar"
        first = opened(url, read="members")
        server.asked.clear()
        again = opened(url, read="members")
        assert len(server.asked) == 2  # one a tar, for its version
        assert (again.hash, again.entry(5)) == (first.hash, first.entry(5))
        server.tag = '"two"'
        with pytest.raises(UserError, match="was replaced since it was indexed"):
            first.media(first.entry(0))
        assert opened(url, read="members").entry(5).key == "000010002"
    assert opened(f"{films}/*.tar").hash == first.hash  # wherever it is served from


def test_a_caption_may_be_deep_in_the_metadata(films: Path, opened: Callable[..., Opened]) -> None:
    tar = f"{films}/00000.tar"
    assert opened([tar], caption="json:windows.0.caption").entry(2).caption == "window 2"
    assert opened([tar], caption="json:caption").entry(2).caption == "no"
    assert opened([tar], caption="json:windows.7.none").entry(2).caption == ""
    assert opened([tar]).entry(2).caption == "film 2"


def test_texts_may_stand_in_tars_of_their_own(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """The layout of cosmos-curate."""
    for part in range(2):
        media = [{"__key__": f"{part}-{n}", "mp4": b"film %d" % n} for n in range(3)]
        metas: list[dict[str, Any]] = [
            {"__key__": f"{part}-{n}", "json": {"t2w_windows": [{"caption": f"{part} {n}"}], "framerate": 24.0}}
            for n in (2, 0)  # in another order, and one is missing
        ]
        for kind, samples in (("video", media), ("metas", metas)):
            (tmp_path / kind / f"part_{part}").mkdir(parents=True)
            written(tmp_path / kind / f"part_{part}" / "000000.tar", samples)
    url, texts = f"{tmp_path}/video/part_{{0..1}}/000000.tar", f"{tmp_path}/metas/part_{{0..1}}/000000.tar"
    data = opened(url, texts=texts, caption="json:t2w_windows.0.caption")
    found = [(entry.key, entry.caption, entry.fps) for entry in map(data.entry, range(len(data)))]
    assert found == [("0-0", "0 0", 24.0), ("0-2", "0 2", 24.0), ("1-0", "1 0", 24.0), ("1-2", "1 2", 24.0)]
    assert data.media(data.entry(1)) == b"film 2"
    assert data.left_out == {"nothing of its key in the tar of texts": 2}
    with pytest.raises(UserError, match="1 tars of texts do not go with 2 tars of media"):
        opened(url, texts=[f"{tmp_path}/metas/part_0/000000.tar"])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_form(form: int) -> None:
    name = "ö/" * (20 if form == tarfile.USTAR_FORMAT else 80) + "clip"
    found = walked(packed((f"{name}.mp4", b"media"), (f"{name}.txt", b"words"), format=form, encoding="utf-8"))
    assert found.rows["key"].to_pylist() == [name]
    assert found.rows["caption"].to_pylist() == ["words"]
    assert not found.left_out


def test_media_is_jumped_over_and_small_members_are_not() -> None:
    large = packed(*(member for n in range(4) for member in ((f"{n}.mp4", bytes(3 << 20)), (f"{n}.txt", b"x"))))
    asked: list[int] = []
    assert len(walked(large, asked=asked).rows) == 4
    assert sum(asked) < 1 << 20
    small = packed(*((f"{n}.jpg", bytes(20_000)) for n in range(500)))
    asked.clear()
    assert len(walked(small, asked=asked).rows) == 500
    assert len(asked) < 12


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a.txt", b"x")], "no video or image"),
        ([("a.mp4", b"")], "media that is empty"),
        ([("a.mp4", b"x"), ("a.mp4", b"y")], "two members of the same name"),
        ([("a.mp4", b"x"), ("a.json", b"{" * 10)], "JSON that is damaged"),
        ([("a.mp4", b"x"), ("a.json", b"[" * 100_000)], "JSON that is damaged"),
        ([("a.mp4", b"x"), ("a.json", bytes(2 << 20))], "json of more than 1048576 bytes"),
        ([("a.mp4", b"x"), ("a.txt", b"\xff\xfe")], "a caption that is not UTF-8"),
        ([("a.mp4", b"x"), ("a.txt", b"w" * 100_000)], "a caption of more than 65536 characters"),
        ([("a\x1b[2J.mp4", b"x")], "a key of more than 1024 characters, or with some that cannot be printed"),
        ([("readme", b"x")], "a member without an ending"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_counted(members: list[tuple[str, bytes]], reason: str) -> None:
    found = walked(packed(*members, ("good.mp4", b"media")))
    assert found.rows["key"].to_pylist() == ["good"]
    assert found.left_out == {reason: 1}


def test_odd_members_are_left_out() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("a.mp4", tarfile.SYMTYPE), ("b.mp4", tarfile.LNKTYPE), ("c.mp4", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        folder = tarfile.TarInfo("d.mp4")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        sparse = tarfile.TarInfo("e.mp4")
        sparse.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(sparse)
        tar.addfile(tarfile.TarInfo("__meta__/a.mp4"))
    found = walked(out.getvalue())
    assert not len(found.rows)
    assert found.left_out == {"a link, device or other odd member": 3, "a sparse member": 1}


def test_a_tar_that_is_cut_off_gives_what_is_whole(films: Path) -> None:
    content = (films / "00000.tar").read_bytes()
    whole = walked(content)
    assert whole.left_out == {}
    seen = set()
    for cut in range(3000, len(content), 51_200):
        found = walked(content[:cut])
        keys = found.rows["key"].to_pylist()
        assert keys == whole.rows["key"].to_pylist()[: len(keys)]
        assert all(
            end <= cut for end in (o + b for o, b in zip(*(found.rows[c].to_pylist() for c in ("offset", "bytes"))))
        )
        seen.add(len(keys))
    assert seen >= {1, 2}


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    content = bytearray(packed(("a.mp4", b"x"), ("b.mp4", b"y")))
    content[1024 + 150] ^= 0xFF
    found = walked(bytes(content))
    assert found.rows["key"].to_pylist() == ["a"]
    assert found.left_out == {"the tar is damaged or ends too early, what follows": 1}


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b" + bytes(2000), b"<html>" * 200])
def test_what_is_no_tar_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match="is empty|is not a tar, or a compressed one"):
        walked(content)


@hypothesis.settings(max_examples=150)
@hypothesis.given(st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 255)), min_size=1, max_size=12))
def test_no_bytes_of_a_stranger_are_a_bug(damage: list[tuple[int, int]]) -> None:
    content = bytearray(packed(("a.mp4", b"x" * 600), ("a.json", b'{"caption": "c"}'), ("ö" * 70 + ".jpg", b"y")))
    for at, value in damage:
        content[at % len(content)] = value
    try:
        found = walked(bytes(content))
    except UserError:
        return
    for row in found.rows.to_pylist():
        assert row["offset"] >= 0 and row["bytes"] > 0 and row["offset"] + row["bytes"] <= len(content)
        assert json.dumps(row["caption"]) and row["key"].isprintable()


def test_nothing_to_read_is_one_line(opened: Callable[..., Opened], tmp_path: Path) -> None:
    (tmp_path / "words.tar").write_bytes(packed(("a.txt", b"x")))
    with pytest.raises(UserError, match=r"words.tar has no samples; 1 times no video or image"):
        opened(tmp_path / "words.tar")
    with pytest.raises(UserError, match="does not exist"):
        opened([f"{tmp_path}/missing.tar"])
    with pytest.raises(UserError, match="list of tars is empty"):
        opened([])
