"""A file in a place is whole or not there, and errors say what is wrong in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation import fetch
from curation.errors import StoreError, Unreachable, UserError
from curation.fetch import fetched, source
from curation.store import Place, without_secrets

PAYLOAD = 64 << 20


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_PAUSES", (0.01, 0.02))


def test_commit_replaces_a_file_as_a_whole(tmp_path: Path) -> None:
    place = Place(tmp_path / "out")
    place.commit("a/b.bin", b"one")
    place.commit("a/b.bin", b"two")
    assert place.read("a/b.bin") == b"two"
    assert place.names("a") == ["b.bin"]


def test_killed_commit_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    Place(tmp_path / "out").commit("file", b"old")
    code = (
        f"from curation.store import Place; place = Place({str(tmp_path / 'out')!r}); print('go', flush=True)\n"
        f"while True: place.commit('file', b'x' * {PAYLOAD})"
    )
    for delay in (0.0, 0.01, 0.03, 0.08, 0.2):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert target.stat().st_size in (3, PAYLOAD)
        assert Place(tmp_path / "out").names("") == ["file"]


def test_sweep_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f".file.{'a' * 32}.part").write_bytes(b"half")
    (tmp_path / ".hidden").write_bytes(b"mine")
    Place(tmp_path).sweep("")
    assert sorted(os.listdir(tmp_path)) == [".hidden"]


@pytest.mark.parametrize("url", ["ftp://host/file", "file:///etc/passwd", "memory://x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="not supported"):
        Place(url)


@pytest.mark.parametrize(
    "url", ["http://[", "HTTP://127.0.0.1:9/x.mp4", "http://127.0.0.1:9/x?u=file::z", "s3://a::b/c"]
)
def test_odd_address_is_one_line_about_that_source(url: str) -> None:
    for how in (fetched, source):
        with pytest.raises(StoreError) as raised, how(url, max_bytes=10):
            pass
        assert "\n" not in str(raised.value)


def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(StoreError, match="not a regular file"), fetched(str(tmp_path / "pipe.mp4"), max_bytes=10):
        pass


def test_missing_library_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from curation.store import Place\nfrom curation.errors import UserError\n"
        "try: Place('s3://bucket/x')\nexcept UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "reelmill[s3]" in done.stdout


def test_object_store_holds_whole_files(bucket: str, tmp_path: Path) -> None:
    place = Place(f"{bucket}/out")
    (tmp_path / "b.bin").write_bytes(b"two")
    place.check_writable()
    place.commit("a/b.bin", b"one")
    place.commit("a/b.bin", tmp_path / "b.bin")
    assert place.read("a/b.bin") == b"two"
    assert place.names("a") == ["b.bin"]
    assert place.size("a/b.bin") == 3
    place.remove("a/b.bin")
    assert not place.exists("a/b.bin")


def test_object_store_that_refuses_is_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        Place(bucket).read("missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    type(Place(bucket).fs).clear_instance_cache()
    with pytest.raises(Unreachable, match="no server answers there") as raised:
        Place(bucket).read("missing")
    assert "word" not in str(raised.value)


def test_secrets_never_reach_a_message() -> None:
    assert without_secrets("https://user:word@host/a/b.mp4?token=secret") == "https://host/a/b.mp4"
    for how in (fetched, source):
        with pytest.raises(StoreError) as raised, how("http://user:word@127.0.0.1:9/a.mp4?sig=abc", max_bytes=10):
            pass
        assert "word" not in str(raised.value)
        assert "abc" not in str(raised.value)


def test_source_over_the_size_limit_is_refused(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "big.mp4").write_bytes(b"x" * 3_000_000)
    for uri in (str(tmp_path / "big.mp4"), f"{serve(tmp_path)}/big.mp4"):
        with pytest.raises(StoreError, match="limit"), fetched(uri, max_bytes=2_000_000):
            pass
        with fetched(uri, max_bytes=3_000_000) as path:
            assert path.stat().st_size == 3_000_000


def test_fetched_copy_goes_away(tmp_path: Path, serve) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a.mp4").write_bytes(b"bytes")
    with fetched(f"{serve(tmp_path)}/a.mp4", max_bytes=100) as path:
        assert path.read_bytes() == b"bytes"
    assert not path.exists()


@pytest.mark.parametrize("make", ["missing", "folder"])
def test_unreadable_source_is_one_line(tmp_path: Path, make: str) -> None:
    path = tmp_path / "x"
    if make == "folder":
        path.mkdir()
    with pytest.raises(UserError) as raised, fetched(str(path), max_bytes=100):
        pass
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)
