"""What a recipe asks of cutting is refused where it contradicts itself or the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.errors import UserError
from curation.phases.cut import wanted
from curation.recipe import Recipe, load
from curation.video import encoders


@pytest.mark.parametrize("way", ["copy", "smart"])
def test_scaling_what_is_not_encoded_is_refused_and_the_size_is_the_sources(tmp_path: Path, way: str) -> None:
    recipe = load(str(tmp_path), [f"shard.cut={way}"])
    assert recipe.shard.short_side is None
    # Workers and `--update` read what was resolved.
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    with pytest.raises(UserError, match="short_side needs cut: encode"):
        load(str(tmp_path), [f"shard.cut={way}", "shard.short_side=320"])


def test_a_hardware_encoder_that_is_not_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the machine's encoders were of other makes, whatever it has.
    monkeypatch.setitem(encoders.HARDWARE, "h264", ("h264_amf_of_another_machine",))
    with pytest.raises(UserError, match="shard.encoder: hardware, but none for h264 works on"):
        wanted(load(str(tmp_path), ["shard.encoder=hardware"]))
    assert wanted(load(str(tmp_path), ["shard.encoder=auto"])).encoding.encoder == "libx264"


def test_sound_is_wanted_as_the_recipe_says(tmp_path: Path) -> None:
    assert wanted(load(str(tmp_path))).sound is None
    kept = wanted(load(str(tmp_path), ["shard.audio=keep"])).sound
    assert kept is not None and kept.kept
    resampled = wanted(load(str(tmp_path), ["shard.audio={rate: 16000, channels: 1}"])).sound
    assert resampled is not None and (resampled.rate, resampled.channels) == (16000, 1)
