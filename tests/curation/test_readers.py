"""Shards are plain WebDataset tars: anyone's reader works, and the index beside them is true."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from curation import tables
from tests.conftest import samples


@pytest.fixture(scope="module")
def rows(dataset: Path) -> dict[str, dict]:
    return {row["key"]: row for row in samples(dataset)}


def _tars(dataset: Path) -> list[str]:
    manifest = json.loads((dataset / "manifest.json").read_text())
    return [str(dataset / shard["tar"]) for shard in manifest["shards"]]


def test_plain_webdataset_reads_every_sample(dataset: Path, rows: dict[str, dict]) -> None:
    found = list(webdataset.WebDataset(_tars(dataset), shardshuffle=False).decode())
    assert {sample["__key__"] for sample in found} == set(rows)
    for sample in found:
        row = rows[sample["__key__"]]
        assert sample["txt"] == row["caption"]
        assert sample["json"]["clip_id"] == row["clip_id"]
        assert hashlib.sha256(sample["mp4"]).hexdigest() == row["sha256"]


def test_tars_are_what_webdatasets_own_writer_gives(dataset: Path, tmp_path: Path) -> None:
    tar, again = _tars(dataset)[0], tmp_path / "again.tar"
    with open(again, "wb") as file, webdataset.TarWriter(file, encoder=False, mtime=0) as writer:
        for sample in webdataset.WebDataset(tar, shardshuffle=False):
            writer.write({name: value for name, value in sample.items() if name not in ("__url__", "__local_path__")})
    assert again.read_bytes() == Path(tar).read_bytes()


def test_plain_webdataset_reads_them_by_url(dataset: Path, rows: dict[str, dict], serve: Callable[[Path], str]) -> None:
    if shutil.which("curl") is None:
        pytest.fail("webdataset reads http through curl, which is not installed")
    urls = [f"{serve(dataset)}/shards/{Path(tar).name}" for tar in _tars(dataset)]
    assert {sample["__key__"] for sample in webdataset.WebDataset(urls, shardshuffle=False)} == set(rows)


def test_plain_tar_lists_three_members_a_sample_without_dots_in_keys(dataset: Path, rows: dict[str, dict]) -> None:
    names: list[str] = []
    for tar in _tars(dataset):
        listed = subprocess.run(["tar", "-tf", tar], capture_output=True, text=True, check=True)
        names += listed.stdout.split()
    assert sorted(names) == sorted(f"{key}.{end}" for key in rows for end in ("json", "mp4", "txt"))


def test_hugging_face_datasets_reads_every_sample(dataset: Path, rows: dict[str, dict], tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(
        "webdataset", data_files=_tars(dataset), split="train", streaming=True, cache_dir=str(tmp_path)
    )
    found = {sample["__key__"]: sample for sample in loaded.cast_column("mp4", datasets.Video(decode=False))}
    assert set(found) == set(rows)
    for key, sample in found.items():
        assert sample["txt"] == rows[key]["caption"]
        assert sample["json"]["frames"] == rows[key]["frames"]


def test_index_finds_the_media_without_reading_the_tar(dataset: Path, rows: dict[str, dict], tmp_path: Path) -> None:
    for row in rows.values():
        with open(dataset / "shards" / row["shard"], "rb") as tar:
            tar.seek(row["offset"])
            media = tar.read(row["bytes"])
        assert hashlib.sha256(media).hexdigest() == row["sha256"]
        path = tmp_path / "clip.mp4"
        path.write_bytes(media)
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        assert [frame.pts for frame in frames] == row["frame_pts"]
        assert [number for number, frame in enumerate(frames) if frame.key_frame] == row["keyframes"]
        assert (frames[0].width, frames[0].height) == (row["width"], row["height"])
        assert frames[0].time_base == Fraction(row["frame_time_base"])


def test_manifest_sums_and_hashes_are_those_of_its_files(dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    for shard in manifest["shards"]:
        tar, index = (dataset / shard["tar"]).read_bytes(), dataset / shard["index"]
        assert hashlib.sha256(tar).hexdigest() == shard["sha256"]
        assert len(tar) == shard["bytes"]
        assert hashlib.sha256(index.read_bytes()).hexdigest() == shard["index_sha256"]
        assert pq.read_table(index).num_rows == shard["samples"]
    frames = [row["frames"] for row in samples(dataset)]
    assert manifest["frames"] == sum(frames)
    assert manifest["samples"] == len(frames)


def test_every_written_column_says_what_it_is(dataset: Path) -> None:
    for table in ("inputs", "sources", "clips", "scores", "captions", "shards"):
        schema = pq.read_schema(dataset / table / "00000.parquet")
        for field in schema:
            assert field.metadata and field.metadata[b"doc"], f"{table}.{field.name}"


def test_clip_ids_are_a_function_of_source_and_range_alone(dataset: Path) -> None:
    for clip in pq.read_table(dataset / "clips").to_pylist():
        expected = tables.clip_id(clip["source_id"], clip["start_pts"], clip["end_pts"], clip["time_base"])
        assert clip["clip_id"] == expected
    assert (
        tables.clip_id("a", 0, 10, "1/10") == tables.clip_id("a", 0, 10, "1/10") != tables.clip_id("b", 0, 10, "1/10")
    )


def test_rows_that_do_not_fit_the_contract_are_refused() -> None:
    with pytest.raises(ValueError, match="not in the table"):
        tables.table([{"clip_id": "a", "kept": True, "drop_reasons": [], "extra": 1}], tables.SELECTION)
    with pytest.raises(ValueError, match="missing"):
        tables.table([{"clip_id": "a", "drop_reasons": []}], tables.SELECTION)
    assert tables.table([], tables.CLIPS).schema == pa.schema(tables.CLIPS)


def test_dali_finds_every_member_by_the_index_beside_the_tar(dataset: Path, rows: dict[str, dict]) -> None:
    """As DALI's wds2idx writes it: `v1.2 COUNT`, then for each sample extension, offset, size, name of its members."""
    keys = []
    for tar in map(Path, _tars(dataset)):
        version, *lines = tar.with_suffix(".idx").read_text().splitlines()
        assert version == f"v1.2 {len(lines)}"
        data = tar.read_bytes()
        for line in lines:
            words = line.split(" ")
            members = {
                words[at]: (int(words[at + 1]), int(words[at + 2]), words[at + 3]) for at in range(0, len(words), 4)
            }
            offset, size, name = members["mp4"]
            key = name.removesuffix(".mp4")
            keys.append(key)
            assert hashlib.sha256(data[offset : offset + size]).hexdigest() == rows[key]["sha256"]
            offset, size, _ = members["txt"]
            assert data[offset : offset + size].decode() == rows[key]["caption"]
    assert sorted(keys) == sorted(rows)


def test_webshart_finds_media_and_their_json(dataset: Path, rows: dict[str, dict]) -> None:
    keys = []
    for tar in map(Path, _tars(dataset)):
        told = json.loads(tar.with_suffix(".json").read_text())
        data = tar.read_bytes()
        assert told["filesize"] == len(data)
        for name, member in told["files"].items():
            key, _, extension = name.partition(".")
            if extension != "mp4":
                continue
            keys.append(key)
            media = data[member["offset"] : member["offset"] + member["length"]]
            assert hashlib.sha256(media).hexdigest() == rows[key]["sha256"]
            assert (member["width"], member["height"]) == (rows[key]["width"], rows[key]["height"])
            about = json.loads(data[member["json_offset"] : member["json_offset"] + member["json_length"]])
            assert about["clip_id"] == rows[key]["clip_id"]
    assert sorted(keys) == sorted(rows)


def test_dataset_card_lets_hugging_face_load_the_folder(dataset: Path, rows: dict[str, dict], tmp_path: Path) -> None:
    import datasets

    assert datasets.get_dataset_config_names(str(dataset)) == ["video"]
    loaded = datasets.load_dataset(
        str(dataset), "video", split="train", streaming=True, cache_dir=str(tmp_path)
    ).cast_column("mp4", datasets.Video(decode=False))
    assert {sample["__key__"] for sample in loaded} == set(rows)
    text = (dataset / "README.md").read_text()
    assert f"{len(rows):,} captioned samples" in text
    assert "| not given | 5 |" in text
