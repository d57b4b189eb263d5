"""Images from a table of URLs and captions, beside films, as a user runs it: one output, shards of one kind each."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import threading
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
import yaml
from PIL import Image

from curation.store import Place
from tests import films, pictures
from tests.conftest import Reelmill, _Quiet, samples
from tests.films import RED, Scene
from training.stream.opening import open_dataset

GOOD, BAD = pictures.good(), pictures.bad()
SETTINGS = {
    "split": {"thumbnail_size": 64},
    "select": {"rules": [{"field": "caption_words", "min": 1}, {"field": "brightness", "min": 0.02}]},
    "shard": {"samples": 8, "short_side": 48},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, reelmill: Reelmill) -> Path:
    """The output of a LAION-style table over http, and of a folder with a film."""
    folder, work = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("work")
    for name, data in [*GOOD.items(), *((name, data) for name, (data, _) in BAD.items())]:
        (folder / name).write_bytes(data)
    names = [*GOOD, *BAD, "gone.jpg"]
    films.write(work / "film.mp4", [Scene(30, RED)])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    (work / "laion.csv").write_text("URL,TEXT\n" + "".join(f"{url}/{name},what {name} shows\n" for name in names))
    sources = [
        {"files": str(work / "laion.csv"), "kind": "image", "columns": {"uri": "URL", "caption": "TEXT"}},
        {"files": str(work / "film.mp4")},
    ]
    manifest = work / "m.yaml"
    manifest.write_text(yaml.safe_dump({"name": "mixed", "sources": sources, "ingest": {"unit": 20}, **SETTINGS}))
    done = reelmill("curate", manifest, "--out", work / "out")
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    return work / "out"


def test_every_image_ends_as_a_sample_or_with_its_reason(images: Path) -> None:
    sources = {row["uri"].rpartition("/")[2]: row for row in pq.read_table(images / "sources").to_pylist()}
    assert {name for name, row in sources.items() if row["status"] == "ok"} == {*GOOD, "film.mp4"}
    for name, (_, reason) in BAD.items():
        assert reason in sources[name]["error"]
    assert "does not exist" in sources["gone.jpg"]["error"]
    made = {row["uri"].rpartition("/")[2]: row for row in samples(images)}
    assert set(made) == {*GOOD, "film.mp4"}
    for name in GOOD:
        row = made[name]
        assert (row["kind"], row["frames"], row["fps"], row["duration_s"]) == ("image", 1, None, 0.0)
        assert (row["width"], row["height"], row["caption"]) == (72, 48, f"what {name} shows")
        assert row["motion"] is None and row["sharpness"] > 0 and row["signal"] >= 0
    assert (sources["plain.png"]["width"], sources["plain.png"]["codec"], sources["plain.png"]["fps"]) == (
        96,
        "png",
        None,
    )


def test_a_shard_holds_one_kind_of_media_and_the_manifest_says_which(images: Path) -> None:
    manifest = json.loads((images / "manifest.json").read_text())
    assert [shard["kind"] for shard in manifest["shards"]] == ["video", "image", "image", "image"]
    for shard in manifest["shards"]:
        kinds = {row["kind"] for row in pq.read_table(images / shard["index"]).to_pylist()}
        assert kinds == ({"image"} if shard["kind"] == "image" else {"scene"})


def test_plain_readers_read_images_with_their_captions(images: Path, tmp_path: Path) -> None:
    tars = [str(path) for path in sorted((images / "shards").glob("*.tar"))[1:]]
    rows = {row["key"]: row for row in samples(images)}
    found = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    loaded = datasets.load_dataset("webdataset", data_files=tars, split="train", cache_dir=str(tmp_path))
    assert (
        {one["__key__"] for one in found} == set(loaded["__key__"]) == {k for k, r in rows.items() if r["fps"] is None}
    )
    for sample in [*found, *loaded]:
        row = rows[sample["__key__"]]
        assert sample["jpg"].size == (72, 48)
        assert sample["txt"] == sample["json"]["caption"] == row["caption"]
    for row in rows.values():
        with open(images / "shards" / row["shard"], "rb") as tar:
            tar.seek(row["offset"])
            media = tar.read(row["bytes"])
        assert hashlib.sha256(media).hexdigest() == row["sha256"]
        if row["kind"] == "image":
            with Image.open(io.BytesIO(media)) as image:
                assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (72, 48), {})


def test_verify_decodes_every_image(images: Path, reelmill: Reelmill) -> None:
    done = reelmill("verify", images)
    assert done.returncode == 0, done.stdout


def test_report_shows_images_as_such(images: Path) -> None:
    page = (images / "report" / "index.html").read_text()
    assert "image · 96×64" in page


def test_trainer_reads_images_and_films(images: Path, tmp_path: Path) -> None:
    data = open_dataset(str(images), cache_dir=str(tmp_path), cache_bytes=10**9)
    assert sorted(data.column("kind")) == [0] + [1] * len(GOOD)
    for number in range(len(data)):
        entry = data.entry(number)
        assert data.media(entry)[:3] == b"\xff\xd8\xff" if entry.kind == "image" else entry.index


def test_files_of_another_kind_are_told_with_what_to_do(tmp_path: Path, reelmill: Reelmill) -> None:
    folder = tmp_path / "photos"
    Place(folder).commit("a.jpg", GOOD["plain.jpg"])
    done = reelmill("curate", folder, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "1 images are there: say `kind: image` (or --set sources.0.kind=image)" in done.stderr
    assert not (tmp_path / "out").exists()
