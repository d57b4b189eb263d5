"""How long a training step of each model takes, beside diffusers' UNet3DConditionModel of the same shape, in one run.

    python -m benchmarks.train_step [--models base,vsr] [--turns 3] [--steps 5] [--no-cascade] [--json FILE]
    python -m benchmarks.train_step --tiny          a few CPU seconds a step: of it only ratios mean anything

Both sides get the same noisy latents, captions, timesteps and targets, the same loss (mean squared error) and
optimiser (AdamW), and on a GPU bf16 where products are made. Sides take turns, and none is on the GPU while another has
its turn. Ours runs as a recipe would: blocks compiled, with and without computing them again on the way back.
UNet3DConditionModel has no such checkpointing in diffusers; it runs as it is and, for fairness, with its blocks
compiled too. It has more parameters than LaVie's networks of the same widths (temporal convolutions, one more
transformer), which is part of what is compared. Operations are counted on tensors without content, and MFU leaves out
what is computed again. Weights are random: they change no time. Then the whole cascade makes one video
(`benchmarks.cascade_time`).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet3DConditionModel
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import cascade_time, cost
from training.engine.flops import named
from training.models.lavie.form import Form
from training.models.lavie.unet import VideoUNet, image_unet
from training.recipe import Model
from training.recipe_model import View

SD = Model()
UPSCALER = Model(widths=(256, 512, 512, 1024), attention=(False, True, True, True), text_width=1024, layout="released")
TINY = Model(widths=(32, 64, 64, 64), heads=2, text_width=64)
TINY_UPSCALER = TINY.model_copy(update={"attention": (False, True, True, True), "layout": "released"})


@dataclass(frozen=True)
class Case:
    """A model with the shape of its training clips."""

    view: View
    model: Model
    frames: int
    grid: tuple[int, int]
    """Height and width of the latents."""

    @property
    def pixels(self) -> str:
        """For people."""
        factor = 4 if self.view == "vsr" else 8
        return f"{self.frames} frames, {self.grid[0] * factor}x{self.grid[1] * factor}"


PUBLISHED = (
    Case("base", SD, 16, (40, 64)),
    Case("interpolation", SD, 61, (32, 32)),
    Case("vsr", UPSCALER, 8, (80, 80)),
)
SMALL = (
    Case("base", TINY, 8, (16, 16)),
    Case("interpolation", TINY, 13, (16, 16)),
    Case("vsr", TINY_UPSCALER, 4, (16, 16)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--tiny", action="store_true", help="small networks, on a CPU too")
    parser.add_argument("--models", default="base,interpolation,vsr", help="which of the three")
    parser.add_argument("--turns", type=int, default=3, help="of each side")
    parser.add_argument("--steps", type=int, default=5, help="that are timed in a turn")
    parser.add_argument("--batch", type=int, default=1, help="clips of a step")
    parser.add_argument("--no-cascade", action="store_true", help="leave sampling out")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not chosen.tiny:
        parser.error("no GPU that this torch can use; the published size needs one, --tiny does not")
    cases = [case for case in (SMALL if chosen.tiny else PUBLISHED) if case.view in chosen.models.split(",")]
    figures: dict[str, Any] = {"machine": cost.machine(), "device": _name(device), "torch": torch.__version__}
    figures |= {"tiny": chosen.tiny, "batch": chosen.batch, "turns": chosen.turns, "steps": chosen.steps}
    figures |= _before(chosen.json, figures)
    for case in cases:
        figures["models"][case.view] = measured(case, device, chosen)
    if not chosen.no_cascade:
        figures["cascade"] = cascade_time.measured(device, tiny=chosen.tiny)
    print(json.dumps(figures, indent=1))
    print("\n".join(table(figures)))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


def _before(path: Path | None, now: dict[str, Any]) -> dict[str, Any]:
    """Figures that the file has already, of the same machine and settings: models can be measured one by one."""
    if path is not None and path.is_file():
        found = json.loads(path.read_text())
        if all(found.get(name) == value for name, value in now.items()):
            return found
    return {"models": {}}


@dataclass
class Side:
    """One network in training; on the device only while it has its turn."""

    network: nn.Module
    predict: Callable[[Tensor, Tensor, Tensor], Tensor]
    optimiser: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)
    """A step, the median of each turn; none where memory did not suffice."""
    bytes: int = 0
    """On the device at the most."""

    def away(self, device: torch.device) -> None:
        """Off the GPU, so that the others have all of it."""
        if device.type == "cuda":
            self.to(torch.device("cpu"))
            torch.cuda.empty_cache()

    def to(self, device: torch.device) -> None:
        """Parameters and the optimiser's state to a device."""
        self.network.to(device)
        for state in self.optimiser.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim:
                    state[name] = value.to(device)


def measured(case: Case, device: torch.device, chosen: argparse.Namespace) -> dict[str, Any]:
    """All sides of a model, turn by turn."""
    batch = example(case, chosen.batch, device)
    sides = {}
    for name, make in _sides(case, device).items():
        with torch.device(device):  # where random numbers cost nothing
            sides[name] = make()
        sides[name].away(device)
    counts = {
        "diffusers": operations(case, theirs, chosen.batch),
        "ours": operations(case, ours, chosen.batch),
        "ours, frozen in space": operations(case, functools.partial(ours, frozen=True), chosen.batch),
    }
    for turn in range(chosen.turns):
        for name, side in sides.items():
            try:
                side.seconds.append(_turn(side, batch, device, chosen.steps, warm=3 if turn == 0 else 1))
            except torch.OutOfMemoryError:
                side.optimiser.zero_grad()
            side.away(device)
            print(
                json.dumps({"model": case.view, "side": name, "turn": turn, "seconds": side.seconds[-1:]}), flush=True
            )
    peak = named(_name(device)) if device.type == "cuda" else None
    told: dict[str, Any] = {"clip": case.pixels, "sides": {}}
    for name, side in sides.items():
        step = statistics.median(side.seconds or [math.inf])
        own = counts.get(name) or counts[name.split(",")[0]]
        told["sides"][name] = {
            "parameters": sum(value.numel() for value in side.network.parameters()),
            "trained": sum(value.numel() for value in side.network.parameters() if value.requires_grad),
            "tflop_a_step": round(own / 1e12, 4),
        }
        if device.type == "cuda" and side.seconds:
            told["sides"][name] |= {
                "step_s": round(step, 4),
                "frames_a_s": round(chosen.batch * case.frames / step, 2),
                "gb": round(side.bytes / 1e9, 2),
                "mfu": round(own / step / peak, 4) if peak else None,
            }
        told["sides"][name]["times_faster_than_diffusers"] = [
            round(theirs / ours, 3) for theirs, ours in zip(sides["diffusers"].seconds, side.seconds)
        ]
    return told


def example(case: Case, batch: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy latents with the condition's channels, timesteps, the caption, and what is wanted."""
    torch.manual_seed(0)
    channels = 4 + Form.of(case.model, case.view).condition_channels(4)
    shape = (case.frames, *case.grid)
    x, wanted = torch.randn(batch, channels, *shape), torch.randn(batch, 4, *shape)
    text = torch.randn(batch, 77, case.model.text_width)
    return x.to(device), torch.randint(0, 1000, (batch,)).to(device), text.to(device), wanted.to(device)


Network = tuple[Any, Callable[[Tensor, Tensor, Tensor], Tensor]]
"""A network, and how it is called with noisy latents, timesteps and the caption."""


def ours(case: Case, *, frozen: bool = False) -> Network:
    """The network of the trainer."""
    flat = image_unet(case.model, channels=4, text_width=case.model.text_width, view=case.view)
    unet = VideoUNet(flat, Form.of(case.model, case.view))
    if frozen:
        unet.freeze_spatial()

    def predict(x: Tensor, steps: Tensor, text: Tensor) -> Tensor:
        level = torch.full_like(steps, 50) if case.view == "vsr" else None
        return unet(x, steps, text[:, None], frames=case.frames, noise_level=level)

    return unet, predict


def theirs(case: Case) -> Network:
    """UNet3DConditionModel of the same widths. It takes one width for the heads of all layers."""
    attention = case.model.attention
    unet = UNet3DConditionModel(
        in_channels=4 + Form.of(case.model, case.view).condition_channels(4),
        out_channels=4,
        block_out_channels=case.model.widths,
        down_block_types=tuple("CrossAttnDownBlock3D" if there else "DownBlock3D" for there in attention),
        up_block_types=tuple("CrossAttnUpBlock3D" if there else "UpBlock3D" for there in reversed(attention)),
        cross_attention_dim=case.model.text_width,
        attention_head_dim=min(64, case.model.widths[0] // 2),
    )
    return unet, lambda x, steps, text: unet(x, steps, encoder_hidden_states=text, return_dict=False)[0]


def operations(case: Case, make: Callable[[Case], Network], batch: int) -> float:
    """Products and sums of a step, counted on tensors without content."""
    with torch.device("meta"):
        network, predict = make(case)
    # The counter knows the products that attention is made of, but not every kernel that computes it in one go.
    with FakeTensorMode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for module in network.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(torch.empty(value.shape), requires_grad=value.requires_grad))
        channels = 4 + Form.of(case.model, case.view).condition_channels(4)
        x, text = torch.empty(batch, channels, case.frames, *case.grid), torch.empty(batch, 77, case.model.text_width)
        predict(x, torch.zeros(batch, dtype=torch.int64), text).sum().backward()
    return float(counter.get_total_flops())


def _sides(case: Case, device: torch.device) -> dict[str, Callable[[], Side]]:
    compiled = device.type == "cuda"

    def own(*, compile: bool = compiled, again: bool = False, frozen: bool = False) -> Side:
        network, predict = ours(case, frozen=frozen)
        for block in network.blocks():
            if again:
                block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
            if compile:
                torch._dynamo.config.recompile_limit = 64
                block.forward = torch.compile(block.forward, dynamic=False)
        return _side(network, predict, device)

    def peer(*, compile: bool = False) -> Side:
        network, predict = theirs(case)
        if compile:
            for block in (*network.down_blocks, network.mid_block, *network.up_blocks):
                block.forward = torch.compile(block.forward, dynamic=False)
        return _side(network, predict, device)

    sides = {"diffusers": peer, "ours": own, "ours, blocks computed again": functools.partial(own, again=True)}
    if compiled:
        sides["ours, not compiled"] = functools.partial(own, compile=False)
        sides["diffusers, compiled"] = functools.partial(peer, compile=True)
    if case.view == "vsr":
        sides["ours, frozen in space"] = functools.partial(own, frozen=True)
    return sides


def _side(network: nn.Module, predict: Callable[[Tensor, Tensor, Tensor], Tensor], device: torch.device) -> Side:
    network.train()
    learn = [value for value in network.parameters() if value.requires_grad]
    return Side(network, predict, torch.optim.AdamW(learn, lr=1e-5, fused=device.type == "cuda"))


def _turn(side: Side, batch: tuple[Tensor, ...], device: torch.device, steps: int, *, warm: int) -> float:
    """The median of some steps: seconds on the clock, on a CPU those of the process."""
    side.to(device)
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for number in range(warm + steps):
        start = clock()
        _step(side, batch, device)
        if on_gpu:
            torch.cuda.synchronize()
        if number >= warm:
            taken.append(clock() - start)
    if on_gpu:
        side.bytes = max(side.bytes, torch.cuda.max_memory_allocated())
    return statistics.median(taken)


def _step(side: Side, batch: tuple[Tensor, ...], device: torch.device) -> None:
    x, steps, text, wanted = batch
    half = torch.autocast(device.type, torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()
    with half:
        prediction = side.predict(x, steps, text)
    F.mse_loss(prediction.float(), wanted).backward()
    side.optimiser.step()
    side.optimiser.zero_grad()


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as rows of docs/benchmarks.md."""
    lines = ["| | step, s | frames/s | MFU | GB | times faster (turns) |", "|---|---|---|---|---|---|"]
    for view, case in figures["models"].items():
        for name, side in case["sides"].items():
            ratios = side["times_faster_than_diffusers"] or [math.nan]
            cells = [str(side.get(key) or "–") for key in ("step_s", "frames_a_s", "mfu", "gb")]
            shown = f"**{statistics.median(ratios):.2f}** ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
            lines.append(f"| {view}, {case['clip']}: {name} | {' | '.join(cells)} | {shown} |")
    return lines


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
