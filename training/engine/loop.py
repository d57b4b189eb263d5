"""The training loop, on one page: data, model, resume, steps, export."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from curation.errors import UserError
from curation.validate import resolved
from training import diffusion
from training.engine import checkpoint, folder
from training.engine.ema import Ema
from training.engine.metrics import Metrics
from training.models.lavie.text_to_video import TextToVideo
from training.recipe import Recipe
from training.stream.loader import Batch, Loader, Position
from training.stream.opened import open_loader


def run(recipe: Recipe, console: Console) -> None:
    """Train to `train.steps`, from the newest checkpoint of `train.out` if there is one.

    Raises:
        UserError: the data, the recipe or the folder cannot be used, or the loss is not finite.
    """
    with folder.claimed(recipe.train.out) as out:
        found = checkpoint.newest(out)
        before = checkpoint.read_state(found) if found else None
        if before:
            folder.refuse_other_recipe(recipe, before, out)
            if before.step >= recipe.train.steps and folder.exported_step(out) == before.step:
                console.print(f"{out}: finished already, at step {before.step}")
                return
        _train(recipe, console, out, found, before)


def _train(recipe: Recipe, console: Console, out: Path, found: Path | None, before: checkpoint.State | None) -> None:
    data, settings = recipe.data, recipe.train
    if data.view != "base" or data.known != "none":
        raise UserError("data: only the base model is trained so far; look at other views with `reelmill peek`")
    state = before or checkpoint.State(0, Position(), resolved(recipe))
    device = _device(settings.device)
    loader = open_loader(
        data,
        seed=settings.seed,
        batch=settings.batch,
        text_dropout=settings.text_dropout,
        position=state.position,
        allocate=_pinned if device.type == "cuda" else None,
    )
    _tell(loader, console)

    torch.manual_seed(settings.seed)
    model = TextToVideo.build(recipe.model).to(device).train()
    for shape in data.shapes:
        model.check_size(shape.size, "data.size")
    parameters = model.trained()
    optimiser = torch.optim.AdamW(
        parameters.values(),
        lr=recipe.optimiser.lr,
        betas=recipe.optimiser.betas,
        weight_decay=recipe.optimiser.weight_decay,
    )
    ema = Ema(parameters, settings.ema)
    if found:
        checkpoint.load(found, parameters=parameters, ema=ema, optimiser=optimiser)
        console.print(f"resuming {out} at step {state.step}")

    batches = iter(loader)
    objective = Objective(model, recipe)
    metrics = Metrics(out / "metrics.jsonl", console, step=state.step, steps=settings.steps)
    with metrics, contextlib.closing(batches):
        while state.step < settings.steps:
            start = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - start

            for group in optimiser.param_groups:
                group["lr"] = recipe.optimiser.lr * min(1.0, (state.step + 1) / max(1, recipe.optimiser.warmup))
            loss = objective(batch)
            loss.total.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters.values(), recipe.optimiser.clip)
            optimiser.step()
            optimiser.zero_grad()
            ema.update(parameters, state.step)
            state.step += 1

            values = torch.stack([*loss, norm]).detach()
            pictures = batch.pixels.shape[0] * batch.pixels.shape[1]
            metrics.add(values, keys=batch.keys, samples=len(batch.draws), pictures=pictures, waited=waited)
            metrics.replaced(batch.failures)
            save = state.step % settings.checkpoint_every == 0 or state.step >= settings.steps
            if save or state.step % settings.log_every == 0:
                metrics.write(state.step, replaced=state.position.replaced, report=loader.report())
            if save:
                state.recipe = resolved(recipe)
                checkpoint.save(out, state, parameters=parameters, ema=ema, optimiser=optimiser, keep=settings.keep)
    ema.copy_to(parameters)
    folder.export(model, recipe, state, out)
    console.print(f"wrote {out / 'model'}")


class Objective:
    """The loss of a batch; every random number comes from the samples' own draws."""

    def __init__(self, model: TextToVideo, recipe: Recipe):
        self.model = model
        self.recipe = recipe
        self.schedule = diffusion.training_schedule(recipe.diffusion)

    def __call__(self, batch: Batch) -> diffusion.Losses:
        """Noise the batch, predict, compare."""
        device = next(self.model.parameters()).device
        pixels = torch.from_numpy(batch.pixels).to(device, non_blocking=True)
        video = pixels.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        clean = self.model.space.encode(video, lambda shape: diffusion.normal(batch.draws, "posterior", shape))
        noise = diffusion.normal(batch.draws, "noise", tuple(clean.shape)).to(device)
        timesteps = diffusion.timesteps(batch.draws, self.recipe.diffusion.steps).to(device)
        noisy = self.schedule.add_noise(clean, noise, timesteps)
        text = self.model.embed(batch.captions)
        frames = batch.frames
        prediction = self.model(noisy, timesteps, text, frames=frames)
        wanted = diffusion.target(self.schedule, clean, noise, timesteps)
        return diffusion.losses(prediction, wanted, frames=frames, image_weight=self.recipe.train.image_weight)


def _tell(loader: Loader, console: Console) -> None:
    """What is read, and what is left out."""
    for stock in loader.plan.stocks:
        rows, dataset = stock.latest.rows, stock.latest.dataset
        told = f"{len(rows.clips)} clips" + (f", {len(rows.images)} images" if len(rows.images) else "")
        told += f", {rows.short} left out with too few frames" if rows.short else ""
        told += "".join(f", {count} left out: {reason}" for reason, count in dataset.left_out.items())
        console.print(f"{dataset.url}: {told}")


def _pinned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory that the GPU copies from by itself, while the processor goes on."""
    pictures: NDArray[np.uint8] = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
    return pictures


def _device(choice: str) -> torch.device:
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: no GPU that this torch can use; set it to cpu or auto")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")
