"""Scores are made once: what a change does not touch is taken over, and the tables are those of a fresh run."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

from curation import cli, parts, recipe
from curation.models.clip import ClipModel, loaded
from curation.phases import score as score_phase
from curation.phases.score import Score
from curation.plan import Plan
from curation.recipe_score import Clip
from curation.store import Place
from curation.work import perform
from tests.conftest import Reelmill, samples
from tests.tiny_clip import NUMBERS


@pytest.fixture
def clips(dataset: Path, tmp_path: Path) -> Path:
    """An output that has clips and no scores of them yet."""
    for table in ("clips", "sources", "inputs"):
        shutil.copytree(dataset / table, tmp_path / "out" / table)
    return tmp_path / "out"


@pytest.fixture
def head(tmp_path: Path) -> Path:
    torch.save(nn.Linear(NUMBERS, 1).state_dict(), tmp_path / "head.pth")
    return tmp_path / "head.pth"


def _made(**score: Any) -> recipe.Recipe:
    return recipe.Recipe.model_validate({"name": "t", "sources": [{"files": "x"}], "score": score})


def _score(out: Path, made: recipe.Recipe) -> list[dict[str, Any]]:
    place = Place(str(out))
    for unit in Plan(made, place).score_units():
        perform("score", made.model_dump_json(by_alias=True), str(out), unit)
    return parts.read(place, "scores").to_pylist()


def _bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "scores").glob("*.parquet")}


def test_every_clip_has_a_row_and_an_embedding_of_known_length(clips: Path, tiny_clip: Path) -> None:
    rows = _score(clips, _made(clip={"model": str(tiny_clip)}))
    place = Place(str(clips))
    assert [row["clip_id"] for row in rows] == parts.read(place, "clips", ["clip_id"])["clip_id"].to_pylist()
    for unit in parts.units(place, "scores"):  # also those without clips: a source that failed
        schema = place.schema(parts.path("scores", unit))
        assert schema.field("clip_embedding").type == pa.list_(pa.float16(), NUMBERS)
        assert schema.field("picture_embeddings").type == pa.list_(pa.list_(pa.float16(), NUMBERS))
    thumbnails = parts.read(place, "clips", ["thumbnails"])["thumbnails"].to_pylist()
    for row, jpegs in zip(rows, thumbnails, strict=True):
        assert len(row["picture_embeddings"] or []) == len(jpegs)
        if jpegs:
            assert np.linalg.norm(np.array(row["clip_embedding"], float)) == pytest.approx(1, abs=1e-2)
        else:
            assert row["clip_embedding"] is None and row["consistency"] is None


def test_change_of_text_or_head_looks_at_no_picture_again(
    clips: Path, tiny_clip: Path, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = {"model": str(tiny_clip)}
    before = _score(clips, _made(clip=clip, technical={}))
    more = _made(
        clip=clip, technical={}, aesthetic={"head": str(head)}, prompts={"snow": "a snowy street"}, categories={}
    )

    def looked(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    with monkeypatch.context() as patched:
        patched.setattr("curation.phases.pictures.decoded", looked)
        after = _score(clips, more)
    for row, earlier in zip(after, before, strict=True):
        assert {name: row[name] for name in earlier} == earlier
        assert (row["aesthetic"] is None) == (row["clip_embedding"] is None) == (row["zero_shot"] is None)
    taken_over = _bytes(clips)
    shutil.rmtree(clips / "scores")
    _score(clips, more)
    assert _bytes(clips) == taken_over


def test_other_clips_or_another_model_take_nothing_over(clips: Path, tiny_clip: Path, tmp_path: Path) -> None:
    from tests import tiny_clip as tiny

    first, other = _made(clip={"model": str(tiny_clip)}), tiny.write(tmp_path / "other", seed=1)
    before = _score(clips, first)
    after = _score(clips, _made(clip={"model": str(other)}))
    shown = [number for number, row in enumerate(before) if row["clip_embedding"]]
    assert shown and all(before[number]["clip_embedding"] != after[number]["clip_embedding"] for number in shown)
    assert [row["signal"] for row in before] == [row["signal"] for row in after]
    content = pa.table({"content": ["of other clips"]})
    place = Place(str(clips))
    unit = Plan(first, place).score_units()[0]
    assert any("taken over" in row for row in Score(_made(technical={})).rows(place, unit))
    assert not any("taken over" in row for row in Score(first).rows(place, type(unit)(unit.number, "", content)))


def test_scores_do_not_depend_on_how_many_clips_are_held_at_a_time(
    clips: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _made(clip={"model": str(tiny_clip)}, technical={})
    _score(clips, made)
    together = _bytes(clips)
    shutil.rmtree(clips / "scores")
    monkeypatch.setattr(score_phase, "_HELD", 1)
    _score(clips, made)
    assert _bytes(clips) == together


def test_stored_numbers_follow_from_the_stored_embeddings(clips: Path, tiny_clip: Path, head: Path) -> None:
    rows = _score(clips, _made(clip={"model": str(tiny_clip)}, aesthetic={"head": str(head)}))
    state = torch.load(head, weights_only=True)
    for row in rows:
        if row["picture_embeddings"]:
            pictures = np.array(row["picture_embeddings"], float)
            pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
            scores = pictures @ state["weight"][0].double().numpy() + float(state["bias"])
            assert row["aesthetic"] == pytest.approx(scores.mean(), abs=1e-5)
            assert row["aesthetic_min"] == pytest.approx(scores.min(), abs=1e-5)


def test_gpu_is_asked_for_where_a_model_looks_at_pictures(tiny_clip: Path) -> None:
    assert Score(_made()).takes().gpus == 0
    assert Score(_made(technical={}, text_overlay={})).takes().gpus == 0
    assert Score(_made(clip={"model": str(tiny_clip)})).takes().gpus == 1


def test_scores_by_clip_decide_and_travel_in_a_real_run(
    dataset: Path, footage: Path, tiny_clip: Path, head: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "dataset"
    shutil.copytree(dataset, out)
    (tmp_path / "m.yaml").write_text(
        f"""
name: footage
sources: [{{files: {footage}}}]
split: {{max_seconds: 2}}
shard: {{samples: 3, short_side: 120}}
score:
  aesthetic: {{model: {tiny_clip}, head: {head}}}
  categories: {{texts: {{red: a red wall, blue: a blue wall}}}}
  prompts: {{watermark: {{}}}}
select:
  rules:
    - {{field: aesthetic_min, min: p1}}
    - {{field: zero_shot, one_of: [red, blue]}}
    - {{field: watermark, max: 1}}
    - {{field: caption_words, min: 1}}
"""
    )
    done = reelmill("curate", tmp_path / "m.yaml", "--out", out, "--update")
    assert done.returncode == 0, done.stderr
    rows = samples(out)
    assert rows
    for row in rows:
        assert row["zero_shot"] in ("red", "blue") and 0 <= row["watermark"] <= 1
        assert row["aesthetic_min"] <= row["aesthetic"]
        assert "clip_embedding" not in row
    stored = parts.read(Place(str(out)), "scores", ["clip_id", "clip_embedding"])
    embeddings = dict(zip(stored["clip_id"].to_pylist(), stored["clip_embedding"].to_pylist()))
    for row in rows:
        text = loaded(Clip(model=str(tiny_clip))).texts([row["caption"]])[0]
        embedding = np.array(embeddings[row["clip_id"]], float)
        assert row["caption_score"] == pytest.approx(text @ embedding / np.linalg.norm(embedding), abs=1e-5)
    checked = reelmill("verify", out)
    assert checked.returncode == 0, checked.stdout


def test_missing_weights_end_a_run_before_its_output_is_touched(
    footage: Path, tmp_path: Path, reelmill: Reelmill
) -> None:
    out = tmp_path / "out"
    head = "weights/sac+logos+ava1-l14-linearMSE.pth"
    setting = f"score.aesthetic={{model: ./nowhere, head: {head}}}"
    done = reelmill("curate", footage, "--out", out, "--set", setting)
    assert done.returncode == 2
    assert "score.clip.model: no file nowhere/open_clip_config.json" in done.stderr
    assert not out.exists() or not any(out.iterdir())


def test_weights_are_listed_where_they_are(
    tiny_clip: Path, head: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.yaml"
    score = f"{{aesthetic: {{model: {tiny_clip}, head: {head}}}}}"
    manifest.write_text(f"name: t\nsources: [{{files: x}}]\nscore: {score}\n")
    cli.weights(str(manifest))
    assert capsys.readouterr().out.splitlines()[:2] == [str(tiny_clip), str(head)]


def test_bare_model_on_the_same_pictures_gives_what_is_stored(clips: Path, tiny_clip: Path) -> None:
    rows = _score(clips, _made(clip={"model": str(tiny_clip)}))
    (row, *_) = [row for row in rows if row["picture_embeddings"]]
    table = parts.read(Place(str(clips)), "clips", ["clip_id", "thumbnails"]).to_pylist()
    (jpegs,) = [clip["thumbnails"] for clip in table if clip["clip_id"] == row["clip_id"]]
    shown = [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs]
    expected = ClipModel(Clip(model=str(tiny_clip))).pictures(shown)
    assert np.array(row["picture_embeddings"], float) == pytest.approx(expected, abs=0.02)
