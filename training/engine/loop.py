"""The training loop, on one page: data, model, resume, steps, export."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import torch
from rich.console import Console

from curation.errors import UserError
from curation.validate import resolved
from training.engine import checkpoint, flops, folder, parallel, trainable
from training.engine.checkpoint import Checkpoints, Learned, State
from training.engine.ema import Ema
from training.engine.ranks import Ranks, joined
from training.engine.watch import Watch
from training.latent_cache import LatentCache
from training.models.lavie.stage import Stage
from training.objective import Objective
from training.recipe import Recipe
from training.stream.loader import Loader, Position
from training.stream.opened import open_loader


def run(recipe: Recipe, console: Console) -> None:
    """Train to `train.steps`, from the newest checkpoint of `train.out` if there is one.

    Every process that trains calls this with the same recipe.

    Raises:
        UserError: the data, the recipe or the folder cannot be used, or the loss is not finite.
    """
    with joined(recipe.train.device) as ranks, contextlib.ExitStack() as held:
        if not ranks.first:
            console = Console(quiet=True)
        out, found, before = Path(recipe.train.out), None, None
        with ranks.together():
            if ranks.first:
                held.enter_context(folder.claimed(recipe.train.out))
                found = checkpoint.newest(out)
        found = ranks.agree(found)
        with ranks.together():
            before = checkpoint.read_state(found) if found else None
            if before:
                folder.refuse_other_recipe(recipe, before, out)
        if before and before.step >= recipe.train.steps and ranks.agree(folder.exported_step(out)) == before.step:
            console.print(f"{out}: finished already, at step {before.step}")
            return
        _train(recipe, console, ranks, found, before or State(0, Position(), resolved(recipe)))


def _train(recipe: Recipe, console: Console, ranks: Ranks, found: Path | None, state: State) -> None:
    data, settings, out = recipe.data, recipe.train, Path(recipe.train.out)
    with ranks.together():
        loader = _loader(recipe, ranks, state.position)
        _tell(loader, console)
        torch.manual_seed(settings.seed)
        stage = Stage.build(recipe.model, data.view, known=data.known != "none")
        for shape in data.shapes:
            stage.check_size(shape.size, "data.size")
        trainable.choose(stage, settings)
        cache = LatentCache.of(stage.space, settings, share=ranks.world)
    if not found:
        console.print(stage.origin)
    stage.to(ranks.device).train()
    speed = flops.speed(stage, recipe, ranks.device)
    parallel.prepare(stage, settings, ranks)
    torch.manual_seed(settings.seed + ranks.rank)

    parameters = stage.trained()
    optimiser = torch.optim.AdamW(
        parameters.values(),
        lr=recipe.optimiser.lr,
        betas=recipe.optimiser.betas,
        weight_decay=recipe.optimiser.weight_decay,
        fused=ranks.device.type == "cuda" or settings.spikes.action == "skip",
    )
    ema = Ema(parameters, settings.ema)
    learned = Learned(parameters, ema, optimiser)
    checkpoints = Checkpoints(out, ranks, keep=settings.keep)
    if found:
        checkpoints.load(found, learned)
        console.print(f"resuming {out} at step {state.step}")

    batches = iter(loader)
    objective = parallel.Spread(Objective(stage, recipe, cache), settings, ranks)
    watch = Watch(stage, recipe, ranks, loader, console, step=state.step, speed=speed)
    with checkpoints, watch, contextlib.closing(batches):
        while state.step < settings.steps:
            start = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - start

            for group in optimiser.param_groups:
                group["lr"] = lr = recipe.optimiser.lr_at(state.step)
            losses = objective.gradient(batch.split(settings.accumulate))
            norm = parallel.clip(parameters.values(), recipe.optimiser.clip)
            watch.metrics.spikes.skip(optimiser, losses[0], ranks)
            optimiser.step()
            optimiser.zero_grad()
            ema.update(state.step)
            state.step += 1

            watch.metrics.add(torch.cat((losses, norm[None])), batch, waited=waited)
            save = state.step % settings.checkpoint_every == 0 or state.step >= settings.steps
            if save or watch.due(state.step):
                watch.tell(state.step, ema, lr=lr)
            if save:
                state.recipe = resolved(recipe)
                checkpoints.save(state, learned)
            watch.show(state.step, ema)
    ema.apply()
    parallel.gather(stage, ranks)
    with ranks.together():
        if ranks.first:
            trainable.merge(stage)
            folder.export(stage, recipe, state, out)
    console.print(f"wrote {out / 'model'}")


def _loader(recipe: Recipe, ranks: Ranks, position: Position) -> Loader:
    data, settings = recipe.data, recipe.train
    if settings.batch % (ranks.world * settings.accumulate):
        raise UserError(
            f"train.batch: {settings.batch} samples cannot be shared evenly by {ranks.world} processes "
            f"with train.accumulate={settings.accumulate}; give a multiple of {ranks.world * settings.accumulate}"
        )
    return open_loader(
        data,
        seed=settings.seed,
        batch=settings.batch,
        text_dropout=settings.text_dropout,
        position=position,
        rank=ranks.rank,
        world=ranks.world,
        agree=ranks.agree,
    )


def _tell(loader: Loader, console: Console) -> None:
    """What is read, and what is left out."""
    for stock in loader.plan.stocks:
        rows, dataset = stock.latest.rows, stock.latest.dataset
        told = f"{len(rows.clips)} clips" + (f", {len(rows.images)} images" if len(rows.images) else "")
        told += f", {rows.short} left out with too few frames" if rows.short else ""
        told += "".join(f", {count} left out: {reason}" for reason, count in dataset.left_out.items())
        console.print(f"{dataset.url}: {told}")
