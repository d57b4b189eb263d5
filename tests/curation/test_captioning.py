"""Captions of a served model from the question to the tar, as a user runs it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq

from tests.chat import ChatServer, seen
from tests.conftest import SETTINGS, Reelmill, samples


def test_every_sample_has_the_caption_that_was_made_for_it_and_a_second_run_pays_nothing(
    dataset: Path, footage: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    with ChatServer(together=5, fault=lambda number, _: 500 if number == 4 else 0) as server:
        given = [
            *("--set", "caption.from=[endpoint]", "--set", "caption.language=null"),
            *("--set", f"caption.endpoint={{url: {server.url}, model: tiny, concurrency: 5, tries: 1, timeout_s: 60}}"),
        ]
        done = reelmill("caption", footage, "--out", out, *SETTINGS, *given, "--update")
        assert done.returncode == 0, done.stderr
        captions = pq.read_table(out / "captions").to_pylist()
        asked = server.requests
        assert asked == len(captions)
        assert server.most_in_flight == 5  # though no source has so many clips that are captioned
        assert [row["caption_error"] for row in captions if row["caption"] is None] == [
            "endpoint: the server answered 500: a fault of kind 500 (1 tries)"
        ]
        lower = ["--set", "select.rules.0.min=8", "--update", "--retry-failed"]  # one clip more passes the rules
        done = reelmill("curate", footage, "--out", out, *SETTINGS, *given, *lower)
        assert done.returncode == 0, done.stderr
        assert server.requests == asked + 2
    pictures = {row["clip_id"]: row["thumbnails"] for row in pq.read_table(out / "clips").to_pylist()}
    rows = samples(out)
    assert len(rows) == asked + 1
    for row in rows:
        assert row["caption"] == f"A scene called {seen(pictures[row['clip_id']])}."
        assert (row["captioner"], row["caption_model"]) == ("endpoint", "tiny")
        with tarfile.open(out / "shards" / row["shard"]) as tar:
            member = tar.extractfile(f"{row['key']}.txt")
            assert member is not None
            assert member.read().decode() == row["caption"]
