"""How thresholds move what is kept, drawn: one along a line, two as a table of colours."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from curation.phases.report.drawn.palette import LIGHT
from curation.phases.select.what_if import Grid, Sweep

_SIGN = {"min": "≥", "max": "≤"}


def swept(found: Sweep) -> Figure:
    """The share of clips that each value keeps; the manifest's own value marked."""
    rows = [row for row in found.rows.to_pylist() if row["bound"] != "none"]
    free = next((row for row in found.rows.to_pylist() if row["bound"] == "none"), None)
    of_groups = any(row["value"] is None for row in rows)
    at = list(range(len(rows))) if of_groups else [row["value"] for row in rows]
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    shares = [100 * row["share"] for row in rows]
    axes.plot(at, shares, color=LIGHT.kept, marker="o", markersize=4)
    axes.fill_between(at, shares, color=LIGHT.kept, alpha=0.12)
    if free:
        axes.axhline(100 * free["share"], color=LIGHT.rest, linewidth=1)
        axes.annotate("without", (1, 100 * free["share"]), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    for place, row in zip(at, rows):
        if row["now"]:
            axes.axvline(place, color=LIGHT.rule, linestyle=(0, (4, 3)))
            axes.annotate(
                f"now {_SIGN[found.end]} {row['bound']}",
                (place, 0.04),
                xycoords=("data", "axes fraction"),
                xytext=(5, 0),
                textcoords="offset points",
                color=LIGHT.rule,
            )
    if of_groups:
        axes.set_xticks(at, [row["bound"] for row in rows])
    else:
        every = axes.secondary_xaxis("top")
        some = _apart([(row["value"], row["bound"]) for row in rows if row["bound"].startswith("p")])
        every.set_xticks([value for value, _ in some], [text for _, text in some], fontsize=7, color=LIGHT.soft)
    axes.set_xlabel(f"{found.field} {_SIGN[found.end]}")
    axes.set_ylabel("clips kept, %")
    axes.set_ylim(bottom=0)
    axes.spines[["right"]].set_visible(False)
    return figure


def _apart(marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Marks that do not lie on each other."""
    if not marks:
        return []
    least = (max(value for value, _ in marks) - min(value for value, _ in marks)) / 24
    shown = [marks[0]]
    for value, text in marks[1:]:
        if value - shown[-1][0] >= least:
            shown.append((value, text))
    return shown


def gridded(found: Grid) -> Figure:
    """The share of clips that each pair of values keeps, and beside "none" what each does alone."""
    rows = found.rows.to_pylist()
    first = list(dict.fromkeys(row["first"] for row in rows))
    second = list(dict.fromkeys(row["second"] for row in rows))
    shares = np.array([row["share"] for row in rows]).reshape(len(first), len(second))
    figure = Figure(figsize=(1.6 + 0.9 * len(second), 1.2 + 0.45 * len(first)), layout="constrained")
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("kept", [LIGHT.card, LIGHT.kept])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=max(float(shares.max()), 1e-9), aspect="auto")
    for row in rows:
        y, x = first.index(row["first"]), second.index(row["second"])
        weight = "bold" if row["now"] else "normal"
        dark = shares[y, x] > 0.6 * shares.max()
        axes.text(
            x, y, f"{row['share']:.1%}", ha="center", va="center", weight=weight, color="white" if dark else LIGHT.ink
        )
    axes.set_yticks(range(len(first)), first)
    axes.set_xticks(range(len(second)), second)
    axes.set_ylabel(f"{found.fields[0]} {_SIGN[found.ends[0]]}")
    axes.set_xlabel(f"{found.fields[1]} {_SIGN[found.ends[1]]}")
    axes.set_title("clips kept; bold as the manifest has it", fontsize=9, color=LIGHT.soft)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure
