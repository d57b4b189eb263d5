"""A prediction as a person reads it, alone and beside what came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from curation.phases.report.numbers import amounts
from curation.prediction import Line

Range = dict[str, float]


def show(told: dict[str, Any], console: Console) -> None:
    """Print a prediction."""
    predicted, sample, population = told["predicted"], told["sample"], told["population"]
    pieces = f", {sample['pieces']} of them by a piece" if sample["pieces"] else ""
    console.print(
        f"[bold]{escape(told['name'])}[/]: {amounts.plural(population['sources'], 'source')}, "
        f"{sample['probed']} headers read, {sample['measured']} measured{pieces}, in {sample['seconds']:.0f} s",
        highlight=False,
    )
    table = Table("", "expected", "from", "to", box=None, pad_edge=False)
    for what, range_, unit in (
        ("sources that can be read", predicted["sources"]["ok"], count),
        ("their hours", predicted["sources"]["hours"], hours),
        ("their bytes", predicted["sources"]["bytes"], amounts.size),
        ("clips", predicted["clips"]["all"], count),
        ("  kept", predicted["clips"]["kept"], count),
        ("  hours kept", predicted["clips"]["kept_hours"], hours),
        ("samples", predicted["samples"]["in shards"], count),
        ("  bytes", predicted["samples"]["bytes"], amounts.size),
        ("  shards", predicted["samples"]["shards"], count),
    ):
        table.add_row(what, *_range(range_, unit))
    console.print(table)
    _phases(predicted, console)
    _whole(told["cluster"], predicted, console)
    for note in told["notes"]:
        console.print(f"[yellow]{escape(note)}", highlight=False)


def _phases(predicted: dict[str, Any], console: Console) -> None:
    gpus = any(phase["gpu_s"]["mid"] for phase in predicted["phases"].values())
    heads = ["phase", "CPU", "from", "to", *(["GPU"] if gpus else []), "on the clock", "then in the output"]
    table = Table(*heads, box=None, pad_edge=False)
    for name, phase in predicted["phases"].items():
        cells = [*_range(phase["cpu_s"], time), *([time(phase["gpu_s"]["mid"])] if gpus else [])]
        table.add_row(name, *cells, time(phase["wall_s"]["mid"]), amounts.size(phase["bytes"]["mid"]))
    console.print()
    console.print(table)


def _whole(cluster: dict[str, Any], predicted: dict[str, Any], console: Console) -> None:
    shape = f"{cluster['cpus']:g} CPUs" + (f" and {cluster['gpus']:g} GPUs" if cluster["gpus"] else "")
    table = Table(f"on {shape}", "expected", "from", "to", box=None, pad_edge=False)
    table.add_row("CPU", *_range(predicted["cpu_s"], time))
    if predicted["gpu_s"]["mid"]:
        table.add_row("GPU", *_range(predicted["gpu_s"], time))
    table.add_row("on the clock", *_range(predicted["wall_s"], time))
    table.add_row("most in the output", *_range(predicted["peak_bytes"], amounts.size))
    table.add_row("in TMPDIR of a worker", amounts.size(predicted["scratch_bytes"]), "", "")
    if predicted["dollars"]:
        table.add_row("price", *_range(predicted["dollars"], lambda value: f"${value:,.2f}"))
    console.print()
    console.print(table)


def beside(lines: Sequence[Line], console: Console) -> None:
    """Print a prediction beside what came."""
    units = {"clips": count, "hours": hours, "bytes": amounts.size, "seconds": time}
    table = Table("", "predicted", "from", "to", "actual", "", box=None, pad_edge=False)
    for line in lines:
        unit = units[line.unit]
        cells = [unit(value) for value in (line.mid, line.low, line.high, line.actual)]
        table.add_row(line.what, *cells, "" if line.ratio is None else f"× {line.ratio:.2f}")
    console.print(table)


def count(value: float) -> str:
    return f"{value:,.0f}"


def hours(value: float) -> str:
    return amounts.span(value * 3600)


def time(seconds: float) -> str:
    return amounts.span(seconds)


def _range(range_: Range, unit: Callable[[float], str]) -> list[str]:
    return [unit(range_[name]) for name in ("mid", "low", "high")]
