"""A mistake in a manifest gets its line, its key and the nearest valid one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curation import recipe, validate
from curation.errors import UserError
from curation.recipe_select import Rule

GOOD = """\
name: films
sources:
  - files: footage/*.mp4
split: {max_seconds: 10}
select:
  rules:
    - {field: frames, min: 16}
    - {field: signal, between: [p5, 9.5]}
caption: {from: [describe]}
"""


def _load(tmp_path: Path, text: str, *overrides: str) -> recipe.Recipe:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return recipe.load(str(path), overrides)


def test_good_manifest_keeps_values_and_fills_defaults(tmp_path: Path) -> None:
    loaded = _load(tmp_path, GOOD)
    assert loaded.split.max_seconds == 10
    assert loaded.split.detector == "judged"
    assert loaded.caption.captioners == ["describe"]
    assert loaded.select.rules[1].between == ("p5", 9.5)


def test_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    loaded = _load(tmp_path, GOOD)
    again = _load(tmp_path, validate.as_yaml(loaded))
    assert again == loaded
    assert validate.fingerprint(validate.resolved(again)) == validate.fingerprint(validate.resolved(loaded))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("max_seconds", "max_second"), ["m.yaml:4:", "'split.max_second'", "did you mean 'max_seconds'?"]),
        (("split:", "splits:"), ["m.yaml:4:", "'splits'", "did you mean 'split'?"]),
        (("files: footage/*.mp4", "file: x"), ["m.yaml:3:", "'sources.0.files' is required"]),
        (("min: 16", "mim: 16"), ["m.yaml:7:", "'select.rules.0.mim'", "did you mean 'min'?"]),
        (("min: 16", "min: p101"), ["m.yaml:7:", "select.rules.0.min", "p0 to p100", "'p101'"]),
        (("min: 16", "min: true"), ["m.yaml:7:", "select.rules.0.min"]),
        ((", min: 16", ""), ["m.yaml:7:", "'frames' needs min, max, between, one_of"]),
        (("[describe]", "[descrybe]"), ["m.yaml:9:", "caption.from.0", "'source', 'describe'", "'descrybe'"]),
        (("[describe]", "[]"), ["m.yaml:9:", "caption.from", "at least 1"]),
        (("10}", "ten}"), ["m.yaml:4:", "split.max_seconds", "'ten'"]),
        (("10}", "-1}"), ["m.yaml:4:", "split.max_seconds", "greater than 0"]),
        (("name: films", "name: ../up"), ["m.yaml:1:", "name"]),
        (("split: {", "split: ["), ["m.yaml:", "not valid YAML"]),
    ],
)
def test_mistake_is_told_with_its_place(tmp_path: Path, change: tuple[str, str], expected: list[str]) -> None:
    assert change[0] in GOOD
    with pytest.raises(UserError) as raised:
        _load(tmp_path, GOOD.replace(*change))
    message = str(raised.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


def test_override_sets_nested_keys_and_is_named_in_errors(tmp_path: Path) -> None:
    loaded = _load(tmp_path, GOOD, "select.rules.0.min=20", "shard.short_side=null", "name=other")
    assert (loaded.select.rules[0].min, loaded.shard.short_side, loaded.name) == (20, None, "other")
    with pytest.raises(UserError, match="--set split.max_seconds: must be"):
        _load(tmp_path, GOOD, "split.max_seconds=zero")
    with pytest.raises(UserError, match="expected key=value"):
        _load(tmp_path, GOOD, "split.max_seconds")


def test_override_into_a_default_list_changes_that_entry_alone(tmp_path: Path) -> None:
    loaded = _load(tmp_path, "name: a\nsources: [{files: x}]\n", "select.rules.0.min=32")
    assert [(rule.field, rule.min) for rule in loaded.select.rules] == [
        ("frames", 32),
        ("caption_words", 3),
        ("height", 240),
    ]


def test_defects_are_dropped_beside_any_rules_unless_they_are_wanted(tmp_path: Path) -> None:
    loaded = _load(tmp_path, GOOD)
    defects = [
        Rule(field="kind", one_of=["scene", "image"]),
        Rule(field="black", max=0.5),
        Rule(field="frozen", max=0.9, kind="video"),
    ]
    assert loaded.select.every_rule == [*defects, *loaded.select.rules]
    wanted = ("select.max_black=null", "select.max_frozen=null", "select.kinds=[scene, wipe]")
    assert _load(tmp_path, GOOD, *wanted).select.every_rule == [
        Rule(field="kind", one_of=["scene", "wipe"]),
        *loaded.select.rules,
    ]
    with pytest.raises(UserError, match="select.kinds"):
        _load(tmp_path, GOOD, "select.kinds=[scenes]")


def test_a_certainty_is_less_than_one_and_a_score_may_be_more(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="certainty between 0 and 1"):
        _load(tmp_path, GOOD, "split.threshold=3")
    assert _load(tmp_path, GOOD, "split.threshold=3", "split.detector=adaptive").split.threshold == 3
    assert _load(tmp_path, GOOD, "split.threshold=0.5").split.threshold == 0.5


def test_bare_folder_is_a_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "My films"
    folder.mkdir()
    loaded = recipe.load(str(folder))
    assert loaded.name == "My-films"
    assert loaded.sources[0].files == [str(folder)]


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not valid YAML"):
        _load(tmp_path, "name: !!python/object/apply:os.system ['true']\n")


def test_every_key_of_the_recipe_is_explained() -> None:
    def walk(model: type[validate.Config]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no docstring"

    for value in vars(recipe).values():
        if isinstance(value, type) and issubclass(value, validate.Config):
            walk(value)
    assert yaml.safe_load(validate.as_yaml(recipe.load(".")))
