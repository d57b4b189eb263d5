"""The recipes of the published models hold what was published, and their comments name commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curation.cli import app
from curation.validate import load
from training.recipe import Recipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
PUBLISHED = ("base", "interpolation", "vsr")


def recipe(name: str) -> Recipe:
    return load(RECIPES / f"{name}.yaml", Recipe)


def test_the_base_model_is_trained_as_published() -> None:
    base = recipe("base")
    assert (base.data.view, base.data.frames, base.data.size, base.data.images) == ("base", 16, (320, 512), 4)
    assert [source.name for source in base.data.sources] == ["webvid10m", "vimeo25m", "laion5b"]
    webvid, vimeo, laion = base.data.sources
    assert (webvid.weight_at(0), vimeo.weight_at(0)) == (1.0, 0.0)
    assert vimeo.weight_at(50_000) < vimeo.weight_at(80_000) < vimeo.weight_at(150_000)  # gradually
    assert laion.weight_at(0) == laion.weight_at(150_000)
    assert base.diffusion.prediction == "epsilon" and base.model.spatial is None  # all weights learn


def test_the_interpolation_model_is_trained_as_published() -> None:
    dense = recipe("interpolation")
    assert (dense.data.view, dense.data.frames, dense.data.every) == ("interpolation", 61, 4)
    assert dense.data.size == (256, 256) and dense.model.init == "runs/base/model"
    webvid, vimeo = dense.data.sources
    assert (webvid.weight_at(0), vimeo.weight_at(0)) == (1.0, 0.0)
    assert (webvid.weight_at(90_000), vimeo.weight_at(90_000)) == (0.0, 1.0)  # which removes the watermark
    assert dense.sample.guidance == 4.0


def test_the_super_resolution_model_is_trained_as_published() -> None:
    large = recipe("vsr")
    assert (large.data.view, large.data.frames, large.data.size) == ("vsr", 8, (320, 320))
    assert (large.data.degradation.scale, large.data.degradation.noise_level) == (4, (0, 350))
    assert large.data.handheld and [source.name for source in large.data.sources] == ["webvid10m", "laion5b"]
    assert (large.model.spatial, large.model.layout) == ("frozen", "released")
    assert large.diffusion.prediction == "v_prediction" and large.sample.guidance == 5.0


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_all_three_share(name: str) -> None:
    found = recipe(name)
    schedule = found.diffusion
    assert (schedule.schedule, schedule.beta_start, schedule.beta_end) == ("linear", 1e-4, 0.02)
    assert found.train.precision == "bf16" and found.train.compile and found.train.recompute
    assert found.train.batch % (8 * found.train.accumulate) == 0  # on the eight GPUs that the comment speaks of
    assert (found.optimiser.lr, found.train.ema, found.train.text_dropout) == (1e-4, 0.9999, 0.1)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_commands_in_the_comments_are_there(path: Path) -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    named = re.findall(r"^#.*?\breelmill (\w+)", path.read_text(), re.MULTILINE)
    assert named and set(named) <= commands
    for other in re.findall(r"training/recipes/([\w-]+\.yaml)", path.read_text()):
        assert (RECIPES / other).is_file(), other
