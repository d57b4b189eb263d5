"""`reelmill train`: a recipe to a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from training.extras import require_libraries, share_cores


def train(recipe: str, overrides: Sequence[str] = ()) -> None:
    """Train what a recipe describes; a run that was stopped goes on from its newest checkpoint.

    Args:
        recipe: path of a YAML file of `training.recipe.Recipe`.
        overrides: `key=value` settings that go before the file, for instance `data.url=…`.

    Raises:
        UserError: libraries are missing, or the recipe, the data or the folder cannot be used.
    """
    require_libraries("train")
    share_cores()
    from rich.console import Console

    from curation.validate import load
    from training.recipe import Recipe

    settings = load(recipe, Recipe, overrides)
    from training.engine.loop import run

    run(settings, Console(stderr=True, soft_wrap=True, highlight=False, markup=False))
