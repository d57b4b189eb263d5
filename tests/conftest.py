from __future__ import annotations

import functools
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pyarrow.parquet as pq
import pytest

from tests import films
from tests.films import BLACK, BLUE, GREEN, GREY, RED, Scene
from tests.proxies import Proxy

# The same examples in every run; HYPOTHESIS_PROFILE=search looks for new ones.
hypothesis.settings.register_profile("repeat", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", derandomize=False, deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

# What tests keep goes away with them, and what a person keeps is none of theirs.
_CACHE = tempfile.TemporaryDirectory(prefix="reelmill-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

Reelmill = Callable[..., subprocess.CompletedProcess[str]]
REELMILL = [sys.executable, "-m", "curation.cli"]


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as raw footage is: good films, a damaged one, one that is no video, and a note."""
    folder = tmp_path_factory.mktemp("footage")
    films.write(folder / "cuts.mp4", [Scene(30, RED), Scene(40, BLUE), Scene(10, GREEN), Scene(36, GREY)])
    films.write(folder / "long.mkv", [Scene(120, GREEN, step=1), Scene(24, BLACK, step=0)], rate=25)
    (folder / "more").mkdir()
    films.write(folder / "more" / "small.mp4", [Scene(48, BLUE)], size=(160, 120))
    broken = films.write(folder / "broken.mkv", [Scene(40, RED), Scene(200, BLUE)])
    films.cut_off(broken, 0.5)
    (folder / "not-a-video.mp4").write_text("these are words, and no frames\n" * 20)
    (folder / "notes.txt").write_text("not listed")
    return folder


@pytest.fixture(scope="session")
def reelmill() -> Reelmill:
    """Runs the command as a user would, in a process of its own."""

    def run(*arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*REELMILL, *(str(argument) for argument in arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )

    return run


@pytest.fixture(scope="session")
def dataset(footage: Path, reelmill: Reelmill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished output of `footage`; tests copy it before they change it."""
    out = tmp_path_factory.mktemp("outputs") / "dataset"
    done = reelmill("curate", footage, "--out", out, *SETTINGS)
    assert done.returncode == 0, done.stderr
    return out


# Short pieces and small shards, so that little footage makes several of each; and nothing is decoded for the report.
SETTINGS = (
    *("--set", "split.max_seconds=2", "--set", "shard.samples=3", "--set", "shard.short_side=120"),
    *("--set", "report.playing=0"),
)


def samples(out: Path) -> list[dict]:
    """The rows of the index of every shard that the newest generation names."""
    shards = json.loads((out / "manifest.json").read_text())["shards"]
    return [row for shard in shards for row in pq.read_table(out / shard["index"]).to_pylist()]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder over HTTP on loopback; the address of its root."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def _s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(_s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of an S3 server on loopback, with credentials in the environment; its s3:// address."""
    import s3fs

    from curation.s3 import Patient

    monkeypatch.setenv("AWS_ENDPOINT_URL", _s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "word")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for kind in (s3fs.S3FileSystem, Patient):
        kind.clear_instance_cache()
    name = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    for kind in (s3fs.S3FileSystem, Patient):
        kind.clear_instance_cache()


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP of random weights."""
    from tests import tiny_clip

    return tiny_clip.write(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def weak_bucket(bucket: str, _s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Proxy]]:
    """A bucket, and the proxy before its store, through which it is reached."""
    from curation.s3 import Patient

    with Proxy(_s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        Patient.clear_instance_cache()
        yield bucket, proxy


@pytest.fixture
def gs_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of a Google Cloud Storage emulator on loopback; its gs:// address."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    # gcsfs would ask Google which kind of bucket it is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import gcsfs

    gcsfs.GCSFileSystem.clear_instance_cache()
    name = f"bucket-{uuid.uuid4().hex}"
    gcsfs.GCSFileSystem(project="project").mkdir(name)
    yield f"gs://{name}"
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
