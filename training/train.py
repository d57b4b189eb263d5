"""`reelmill train`: a recipe to a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from curation.errors import UserError
from training.extras import require_libraries, share_cores


def train(recipe: str, overrides: Sequence[str] = (), *, ray: int | None = None, address: str | None = None) -> None:
    """Train what a recipe describes; a run that was stopped goes on from its newest checkpoint.

    A process that `torchrun` has started trains together with the others.

    Args:
        recipe: path of a YAML file of `training.recipe.Recipe`.
        overrides: `key=value` settings that go before the file, for instance `data.url=…`.
        ray: train with so many workers of Ray Train.
        address: of their Ray cluster; Ray is started on this machine unless given.

    Raises:
        UserError: libraries are missing, or the recipe, the data or the folder cannot be used.
    """
    require_libraries("train")
    share_cores()
    from rich.console import Console

    from curation.validate import load
    from training.recipe import Recipe

    if address is not None and ray is None:
        raise UserError("--address is of a Ray cluster: say with --ray how many workers shall train there")
    settings = load(recipe, Recipe, overrides)
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    if ray is not None:
        from training.engine import launch_ray

        launch_ray.run(settings, ray, address, console)
        return
    from training.engine import loop

    loop.run(settings, console)
