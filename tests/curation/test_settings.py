"""Only what moves bytes counts: another limit, or another way to ask, redoes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curation import recipe, validate
from curation.phases import Unit
from curation.phases.split import Split
from curation.recipe import WITHOUT_EFFECT, Recipe
from curation.run import Run
from curation.work import PHASES
from tests import films
from tests.conftest import SETTINGS
from tests.films import BLUE, Scene

ENDPOINT = {"url": "http://host/v1", "model": "m", "prices": {"input": 1, "output": 1}}
FULL = {
    "name": "full",
    "sources": [{"files": ["a"]}],
    "caption": {"from": ["endpoint", "transformers"], "endpoint": ENDPOINT, "transformers": {"model": "m"}},
}
OTHERS = {
    "caption.endpoint.url": "http://other/v1",
    "caption.endpoint.api_key_env": "KEY",
    "caption.endpoint.prices": {"input": 2, "output": 2},
    "caption.endpoint.budget": {"requests": 5},
}


def _with(key: str, value: Any) -> Recipe:
    return validate.parse(FULL, Recipe, [f"{key}={value}"])


def _other(key: str) -> Any:
    place: Any = validate.resolved(validate.parse(FULL, Recipe))
    for name in key.split("."):
        place = place[name]
    return OTHERS[key] if key in OTHERS else place + 1


@pytest.mark.parametrize("key", WITHOUT_EFFECT)
def test_setting_that_moves_no_byte_is_in_no_fingerprint(key: str) -> None:
    plain, other = validate.parse(FULL, Recipe), _with(key, _other(key))
    assert plain != other
    assert recipe.hash_of(plain) == recipe.hash_of(other)
    for phase in PHASES.values():
        assert phase(plain).settings() == phase(other).settings()


def test_setting_that_moves_no_byte_redoes_nothing(dataset: Path, footage: Path, tmp_path: Path) -> None:
    """Without --update, without a new generation, and without Ray."""
    out = Path(shutil.copytree(dataset, tmp_path / "copy"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "recipe.yaml"}
    given = [value for value in SETTINGS if value != "--set"]
    for key in WITHOUT_EFFECT:
        if not key.startswith("caption"):
            made = recipe.load(str(footage), [*given, f"{key}={_other(key)}"])
            assert not Run(made, str(out), console=Console(quiet=True)).curate(), key
            assert f"{key.rpartition('.')[2]}: {_other(key)}" in (out / "recipe.yaml").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(out.rglob("*.json")) == sorted(path for path in before if path.suffix == ".json")


@pytest.mark.parametrize("key", ["split.max_seconds", "shard.crf", "shard.samples", "split.speed", "caption.language"])
def test_setting_that_moves_bytes_counts(key: str) -> None:
    value = {"split.speed": "fast", "caption.language": "de"}.get(key, 3)
    plain, other = validate.parse(FULL, Recipe), _with(key, value)
    assert recipe.hash_of(plain) != recipe.hash_of(other)
    assert any(phase(plain).settings() != phase(other).settings() for phase in PHASES.values())


@pytest.mark.parametrize("limit", ["ingest.max_bytes=100", "split.timeout_s=0.001"])
def test_what_failed_for_a_limit_is_noted_for_another_try(tmp_path: Path, limit: str) -> None:
    film = films.write(tmp_path / "film.mp4", [Scene(20, BLUE)])
    phase = Split(recipe.load(str(tmp_path), [limit]))
    phase.setup()
    row = {"source_id": "film", "uri": str(film), "kind": "video", "caption": None, "category": None, "error": None}
    found = phase.process(Unit(0, ""), [row | {"licence": None, "meta": None}], tmp_path)
    assert found.tables["sources"][0]["status"] == "failed"
    assert found.notes["unreachable"] == 1
