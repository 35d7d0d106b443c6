"""Figure of the benchmark: the score of each dataset and the mean of each method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scclu.benchmark.panel import MODES
from scclu.pl import palette

_GREY = "0.45"


def draw(panels: dict[str, list[tuple[str, pd.Series, bool]]], path: Path, *, description: str) -> None:
    """Draw a panel for each mode, with a row for each method: a point per dataset, and a line at their mean.

    Parameters
    ----------
    panels
        For each mode, the methods: title, ARI of each dataset (NaN if missing), and whether the method is one of scclu.
    path
        File to write.
    description
        Stored in the metadata of the file.
    """
    heights = [len(rows) for rows in panels.values()]
    figure = Figure(figsize=(8.4, 1.3 + 0.42 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for ax, (mode, rows) in zip(axes, panels.items(), strict=True):
        _draw_mode(ax, rows)
        text = "Number of clusters given" if mode == next(iter(MODES)) else "Number of clusters not given"
        ax.set_title(text, fontsize=12, loc="left", fontweight="bold")
        ax.text(1.03, -0.6, "mean", fontsize=11, color=_GREY)
    axes[-1].set_xlabel("Adjusted Rand index with cell types (point: a dataset; line: the mean)", fontsize=11)
    figure.savefig(path, dpi=150, metadata={"Description": description})


def _draw_mode(ax: Axes, rows: list[tuple[str, pd.Series, bool]]) -> None:
    colors = palette(3)
    rng = np.random.default_rng(0)
    labels = []
    for row, (title, scores, is_ours) in enumerate(rows):
        color = colors[row] if is_ours else _GREY
        done = scores.dropna()
        height = row + rng.uniform(-0.2, 0.2, len(done))
        ax.scatter(done, height, s=26, color=color, alpha=0.45, linewidths=0)
        labels.append(title if len(done) == len(scores) else f"{title} ({len(done)} of {len(scores)})")
        if len(done) == len(scores):  # a mean over fewer datasets is not comparable
            ax.plot([done.mean()] * 2, [row - 0.36, row + 0.36], color=color, linewidth=4, solid_capstyle="butt")
            weight = "bold" if is_ours else "normal"
            ax.text(1.03, row, f"{done.mean():.2f}", color=color, fontsize=12, fontweight=weight, va="center")
    ax.set_yticks(range(len(rows)), labels, fontsize=11)
    for label, (_, _, is_ours) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if is_ours else "normal")
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.set_xlim(0, 1.01)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.88", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
