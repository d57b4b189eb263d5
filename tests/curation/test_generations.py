"""What was published stays, whatever the next run comes to; and every kept clip is in exactly one shard."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import generations, parts, tables
from curation.errors import UserError
from curation.phases import Unit, shard
from curation.phases.buckets import bucketed
from curation.plan import Plan
from curation.recipe import Buckets, Recipe
from curation.store import Place
from curation.validate import parse
from curation.work import perform
from tests import films
from tests.films import BLUE, RED, Scene


def recipe(**of_shard: Any) -> Recipe:
    given = {"name": "grown", "sources": [{"files": ["a"]}], "score": {"signal": None}, "shard": {"samples": 3}}
    given["shard"] |= of_shard
    return parse(given, Recipe)


def a_row(schema: pa.Schema, **given: Any) -> dict[str, Any]:
    """A row with something in every required column."""
    plain = {"string": "", "double": 1.0, "float": 0.5}
    required = [field for field in schema if not field.nullable]
    return {
        field.name: [] if pa.types.is_list(field.type) else plain.get(str(field.type), 1) for field in required
    } | given


def a_clip(number: int, **given: Any) -> dict[str, Any]:
    return a_row(
        tables.CLIPS,
        clip_id=f"{number:016x}",
        source_id="film",
        kind="scene",
        time_base="1/25",
        **{"width": 640, "height": 360, "frames": 40, "duration_s": 1.6, **given},
    )


def decided(out: Place, clips: int, kept: set[int], captions: dict[int, str]) -> None:
    """An output with this many clips, as the phases before `shard` leave it."""
    rows = [a_clip(number) for number in range(clips)]
    for part in range(0, clips, 5):
        parts.commit(out, "clips", part // 5, rows[part : part + 5], tables.CLIPS, {})
        parts.commit(out, "sources", part // 5, [a_row(tables.SOURCES, source_id="film")], tables.SOURCES, {})
        told = [
            {"clip_id": rows[number]["clip_id"], "caption": captions.get(number, ""), "caption_words": 1}
            for number in sorted(kept & set(range(part, part + 5)))
        ]
        parts.commit(out, "captions", part // 5, told, tables.CAPTIONS, {})
    selection = [a_row(tables.SELECTION, clip_id=row["clip_id"], kept=n in kept) for n, row in enumerate(rows)]
    out.commit_table("selection.parquet", tables.table(selection, tables.SELECTION))


def published(out: Place, made: Recipe, units: list[Unit]) -> generations.Manifest:
    """Publish shards as the phase does, but for the media: the planned clips are all that is in their tars."""
    before = generations.newest(out)
    for unit in units:
        assert unit.given is not None
        if parts.footers(out, "shards").get(unit.number, {}).get("fingerprint") != unit.fingerprint:
            ids = unit.given["clip_id"].to_pylist()
            (bucket, _), *_ = bucketed(unit.given, made.shard.buckets)
            content = "".join(ids).encode()
            notes = {"fingerprint": unit.fingerprint, "bucket": bucket, "failed": [{"clip_id": ids[-1], "reason": "x"}]}
            notes |= {"tar_bytes": len(content), "tar_sha256": hashlib.sha256(content).hexdigest()}
            out.commit(parts.path("shards", unit.number, ".tar"), content)
            schema = pa.schema([("clip_id", pa.string())])
            rows = [{"clip_id": clip_id} for clip_id in ids[:-1]]
            parts.commit(out, "shards", unit.number, rows, schema, notes | {"frames": 0, "duration_s": 0.0})
    manifest, _ = generations.publish(out, shard.manifest(out, "grown", "0" * 64, units, before))
    for file in generations.unnamed(out):
        out.remove(file)
    return manifest


def files(out: Place) -> dict[str, bytes]:
    return {name: out.read(name) for name in [*out.names("", ".json"), *(f"shards/{n}" for n in out.names("shards"))]}


CHANGES = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sets(st.integers(0, 11)),
        st.dictionaries(st.integers(0, 11), st.sampled_from("ab"), max_size=2),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=4,
)


@given(CHANGES)
@settings(max_examples=25)
def test_every_change_keeps_all_clips_once_and_touches_nothing_published(
    changes: list[tuple[int, set[int], dict[int, str], int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out, clips, before = Place(folder), 0, dict[str, bytes]()
        for more, dropped, captions, seed in changes:
            clips = min(12, clips + more)
            kept = set(range(clips)) - dropped
            decided(out, clips, kept, captions)
            made = recipe(seed=seed)
            units = Plan(made, out).shard_units()
            held = [clip for unit in units if unit.given for clip in unit.given["clip_id"].to_pylist()]
            assert sorted(held) == [f"{number:016x}" for number in sorted(kept)]
            manifest = published(out, made, units)
            again = Plan(made, out).shard_units()
            assert [(unit.number, unit.fingerprint) for unit in again] == [(u.number, u.fingerprint) for u in units]
            assert published(out, made, again) == manifest
            now = files(out)
            assert all(now[name] == data for name, data in before.items() if name != generations.MANIFEST)
            assert now[generations.MANIFEST] == now[generations.path(manifest["generation"])]
            before = now


def test_growth_makes_shards_of_the_new_clips_alone(tmp_path: Path) -> None:
    out, made = Place(tmp_path), recipe()
    decided(out, 7, set(range(7)), {})
    old = published(out, made, Plan(made, out).shard_units())
    decided(out, 11, set(range(11)), {})
    new = published(out, made, Plan(made, out).shard_units())
    assert new["shards"][:3] == old["shards"]
    assert [entry["tar"] for entry in new["shards"][3:]] == ["shards/00003.tar", "shards/00004.tar"]
    fresh = {clip for number in (3, 4) for clip in shard.holding(out, number)[0].to_pylist()}
    assert fresh == {f"{number:016x}" for number in range(7, 11)}


def test_only_what_no_kept_generation_names_is_pruned(tmp_path: Path) -> None:
    out = Place(tmp_path)
    for seed, clips in ((0, 4), (1, 4), (1, 6)):
        decided(out, clips, set(range(clips)), {})
        newest = published(out, recipe(seed=seed), Plan(recipe(seed=seed), out).shard_units())
    assert [entry["tar"] for entry in newest["shards"]] == [f"shards/0000{n}.tar" for n in (2, 3, 4)]
    gone = generations.prunable(out, keep=2)
    assert gone == ["manifest-00000.json", *(f"shards/0000{n}.{end}" for end in ("parquet", "tar") for n in (0, 1))]
    for file in gone:
        out.remove(file)
    assert generations.prunable(out, keep=2) == []
    assert generations.prunable(out, keep=1) == ["manifest-00001.json"]
    assert generations.read(out) == newest
    with pytest.raises(UserError, match="no generation 0 here; there are: 1, 2"):
        generations.read(out, 0)
    units = Plan(recipe(seed=2), out).shard_units()
    assert [unit.number for unit in units] == [5, 6]


def test_manifest_from_before_generations_stays_as_the_first(tmp_path: Path) -> None:
    out, made = Place(tmp_path), recipe()
    old = {"format": tables.MANIFEST_FORMAT, "dataset_hash": "d", "samples": 1}
    old["shards"] = [{"tar": "shards/00000.tar", "index": "shards/00000.parquet", "samples": 1}]
    out.commit(generations.MANIFEST, json.dumps(old).encode())
    decided(out, 2, {0, 1}, {})
    new = published(out, made, Plan(made, out).shard_units())
    assert (new["generation"], new["parent"]) == (1, 0)
    assert [entry["tar"] for entry in new["shards"]] == ["shards/00001.tar"]
    assert json.loads(out.text("manifest-00000.json")) == old


SHAPES = st.lists(
    st.tuples(st.integers(16, 8192), st.integers(16, 8192), st.integers(1, 900), st.sampled_from(["scene", "image"])),
    min_size=1,
    max_size=30,
)
EDGES = st.lists(st.integers(1, 2000), unique=True, max_size=3).map(sorted)
ASPECTS = st.lists(st.sampled_from(["16:9", "9:16", "1:1", "4:3"]), unique=True, max_size=3)


@given(SHAPES, ASPECTS, EDGES, EDGES, EDGES)
def test_every_clip_is_in_one_bucket_and_shards_never_mix_them(
    shapes: list[tuple[int, int, int, str]], aspect: list[str], short_side: list[int], frames: list[int], s: list[int]
) -> None:
    rows = [
        {
            "clip_id": str(n),
            "clip_width": w,
            "clip_height": h,
            "clip_frames": f,
            "clip_duration_s": f / 25,
            "kind": kind,
        }
        for n, (w, h, f, kind) in enumerate(shapes)
    ]
    clips = pa.Table.from_pylist(rows)
    buckets = Buckets(aspect=aspect, short_side=short_side, frames=frames, seconds=[float(edge) for edge in s])
    found = bucketed(clips, buckets)
    assert sorted(row for _, of in found for row in of) == list(range(len(rows)))
    for bucket, of in found:
        for row in (rows[number] for number in of):
            assert bucket["kind"] == ("image" if row["kind"] == "image" else "video")
            side = min(row["clip_width"], row["clip_height"])
            for edges, name, value in ((short_side, "short_side", side), (frames, "frames", row["clip_frames"])):
                assert bucket.get(name, 0) == max([0, *(edge for edge in edges if edge <= value)])
    made = recipe(buckets=buckets.model_dump()).shard
    shards = shard.dealt(clips, made)
    assert sorted(clip for of in shards for clip in of["clip_id"].to_pylist()) == sorted(row["clip_id"] for row in rows)
    assert all(0 < of.num_rows <= made.samples and len(bucketed(of, buckets)) == 1 for of in shards)


def test_nearest_aspect_counts_by_ratio() -> None:
    sizes = [(1920, 1080), (1080, 1920), (1000, 1000), (1280, 960), (2560, 1080)]
    rows = [a_clip(0, width=w, height=h) for w, h in sizes]
    clips = pa.Table.from_pylist(rows).rename_columns(
        [f"clip_{name}" if name in ("width", "height", "frames", "duration_s") else name for name in rows[0]]
    )
    found = bucketed(clips, Buckets(aspect=["16:9", "1:1", "9:16"]))
    assert {bucket["aspect"]: of.tolist() for bucket, of in found} == {"16:9": [0, 4], "1:1": [2, 3], "9:16": [1]}


def test_part_of_another_recipe_vouches_for_nothing_once_its_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films.write(tmp_path / "a.mp4", [Scene(24, RED), Scene(40, BLUE)])
    out, whole = Place(tmp_path / "out"), parts.commit
    row = a_row(tables.INPUTS, source_id="a", uri=str(tmp_path / "a.mp4"), kind="video")
    parts.commit(out, "inputs", 0, [row], tables.INPUTS, {})

    def split(fingerprint: str, most: float) -> None:
        made = parse({"name": "x", "sources": [{"files": ["a"]}], "split": {"max_seconds": most}}, Recipe)
        perform("split", made.model_dump_json(by_alias=True), out.root, Unit(0, fingerprint))

    def killed(place: Place, table: str, *rest: Any) -> None:
        if table == "clips":
            raise KeyboardInterrupt
        whole(place, table, *rest)

    split("one", 20)
    monkeypatch.setattr(parts, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        split("other", 1)
    assert parts.footers(out, "clips") == {}  # else the first recipe would find its clips beside the other's sources


def test_worker_of_other_versions_is_refused(tmp_path: Path) -> None:
    unit = Unit(0, "x", tools={"av": "0.1"})
    with pytest.raises(UserError, match=r"has av \S+ where the run was started with 0\.1; install the same versions"):
        perform("split", recipe().model_dump_json(by_alias=True), str(tmp_path), unit)


def test_cuts_of_clips_in_which_something_else_was_found_are_done_again(tmp_path: Path) -> None:
    out, plan = Place(tmp_path), Plan(recipe(), Place(tmp_path))
    decided(out, 4, {0, 1}, {})
    units = plan.shard_units()
    (before,) = plan.cut_units(units, units)
    rows = [a_clip(number) | {"thumbnails": [b"another"]} for number in range(4)]
    parts.commit(out, "clips", 0, rows, tables.CLIPS, {})
    (after,) = plan.cut_units(units, units)
    assert before.given == after.given and before.fingerprint != after.fingerprint
