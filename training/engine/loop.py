"""The training loop, on one page: data, model, resume, steps, export."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path

import torch
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
from training.stream.plan import Plan
from training.stream.shards import Dataset
from training.stream.views import base_view


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
    if data != data.model_copy(update={"datasets": (), "view": "base", "fps": None, "buckets": (), "known": "none"}):
        raise UserError("data: the trainer takes one dataset, the view base and a stride so far")
    dataset = Dataset(data.url or "", span=data.span, cache_dir=data.cache_dir, cache_bytes=data.cache_bytes)
    state = before or checkpoint.State(0, Position(), dataset.manifest.dataset_hash, resolved(recipe))
    if state.dataset_hash != dataset.manifest.dataset_hash:
        raise UserError(f"{out} was trained on another dataset than {dataset.url}; use another train.out")
    left_out = f", {dataset.short} left out with fewer than {data.span} frames" if dataset.short else ""
    left_out += f", {dataset.images} images left out" if dataset.images else ""
    console.print(f"{dataset.url}: {len(dataset)} clips{left_out}")

    torch.manual_seed(settings.seed)
    device = _device(settings.device)
    model = TextToVideo.build(recipe.model).to(device).train()
    model.check_size(data.size, "data.size")
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

    plan = Plan(settings.seed, dataset.manifest.dataset_hash, len(dataset))
    view = functools.partial(base_view, dataset, data, text_dropout=settings.text_dropout)
    batches = iter(
        Loader(plan, view, batch=settings.batch, threads=data.threads, prefetch=data.prefetch, position=state.position)
    )
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
                metrics.write(state.step, replaced=state.position.replaced)
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
        frames = self.recipe.data.frames
        prediction = self.model(noisy, timesteps, text, frames=frames)
        wanted = diffusion.target(self.schedule, clean, noise, timesteps)
        return diffusion.losses(prediction, wanted, frames=frames, image_weight=self.recipe.train.image_weight)


def _device(choice: str) -> torch.device:
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: no GPU that this torch can use; set it to cpu or auto")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")
