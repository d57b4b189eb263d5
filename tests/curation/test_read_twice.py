"""What a run asks of the servers that its sources are on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq

from tests import films
from tests.conftest import SETTINGS, Reelmill, samples
from tests.films import BLUE, RED, Scene
from tests.servers import FileServer


def _film(path: Path) -> bytes:
    """Three scenes of noise, which no encoder makes small: more than one block of what is fetched at once."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "6", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for scene in range(3):
            for _ in range(30):
                picture = random.integers(80 * scene, 80 * scene + 90, (240, 320, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_every_source_is_read_at_most_twice_in_a_run(tmp_path: Path, reelmill: Reelmill) -> None:
    """Once to split it, once to cut it; a run that has nothing to do reads nothing."""
    data = _film(tmp_path / "film.mp4")
    assert len(data) > 5 << 20
    with FileServer(data) as server:
        (tmp_path / "films.csv").write_text(f"uri,id\n{server.url}/film.mp4,film\n")
        command = ("curate", tmp_path / "films.csv", "--out", tmp_path / "out", *SETTINGS)
        done = reelmill(*command)
        assert done.returncode == 0, done.stderr
        samples = [pq.read_metadata(path).num_rows for path in (tmp_path / "out" / "shards").glob("*.parquet")]
        assert sum(samples) >= 3, done.stdout
        assert server.sent_bytes <= 2 * len(data)
        server.sent_bytes = 0
        assert "nothing to do" in reelmill(*command).stdout
        assert server.sent_bytes == 0


def test_clips_whose_server_was_away_for_the_cut_are_cut_by_retry(tmp_path: Path, reelmill: Reelmill) -> None:
    films.write(tmp_path / "film.mp4", [Scene(40, RED), Scene(40, BLUE)])
    out = tmp_path / "out"
    # The film is one block, so that the split pass asks once.
    with FileServer((tmp_path / "film.mp4").read_bytes(), fault=lambda number: 503 if number > 1 else 0) as server:
        (tmp_path / "films.csv").write_text(f"uri,id\n{server.url}/film.mp4,film\n")
        command = ("curate", tmp_path / "films.csv", "--out", out, *SETTINGS)
        done = reelmill(*command)
        assert done.returncode == 0, done.stderr
        assert "the server answered 503" in done.stdout
        assert samples(out) == []
        server.fault = lambda number: 0
        assert "nothing to do" in reelmill(*command).stdout
        again = reelmill(*command, "--retry-failed")
        assert again.returncode == 0, again.stderr
        assert len(samples(out)) == 2
        assert reelmill("verify", out).returncode == 0
