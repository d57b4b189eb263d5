"""Whether columns say the same: rank correlations as a table of colours."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from curation.phases.report.drawn.palette import LIGHT


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """The rank correlation of two columns over the rows that both have; NaN where it is not defined."""
    known = np.isfinite(first) & np.isfinite(second)
    one, other = _ranks(first[known]), _ranks(second[known])
    if known.sum() < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def correlated(columns: dict[str, np.ndarray]) -> Figure:
    """Every pair of columns."""
    names = list(columns)
    table = np.array([[spearman(columns[a], columns[b]) for b in names] for a in names])
    figure = Figure(figsize=(1.8 + 0.62 * len(names), 1.4 + 0.42 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("signed", [LIGHT.dropped, LIGHT.card, LIGHT.kept])
    axes.imshow(table, cmap=colours, vmin=-1, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(table):
        ink = LIGHT.card if abs(value) > 0.6 else LIGHT.ink
        axes.text(x, y, "–" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("rank correlation, kept clips", fontsize=9, color=LIGHT.soft)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure
