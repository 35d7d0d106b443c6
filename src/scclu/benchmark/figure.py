"""The benchmark's figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scclu.pl import palette

from .panel import METHODS, MODES

_MARKERS = "osD^vP*Xph<>"
# of the room between two sets, what the methods' markers are spread over
_SPREAD = 0.7


def plot_ari(table: pd.DataFrame, path: Path) -> None:
    """Draw ARI of each set and method, a panel a mode, and save the figure.

    Parameters
    ----------
    table
        The long table of :func:`scclu.benchmark.run`.
    path
        A file name; its end says which format.
    """
    done = table[table["status"] == "ok"]
    modes = [mode for mode in MODES if mode in set(done["mode"])]
    methods = [method for method in METHODS if method in set(done["method"])]
    sets = list(done["data"].unique())
    height = max(3.0, 1.2 + (len(sets) + 1) * max(0.45, 0.07 * len(methods)))
    figure = Figure(figsize=(3.2 + 3.8 * len(modes), height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for ax, mode in zip(axes, modes, strict=True):
        _draw(ax, done[done["mode"] == mode], methods, sets)
        ax.set_title(MODES[mode][0].upper() + MODES[mode][1:], fontsize=10)
    axes[0].set_yticks(range(len(sets) + 1), [*sets, "mean of sets"])
    axes[0].set_ylim(len(sets) + 0.5, -0.5)
    handles = {text: mark for ax in axes for mark, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    titles = [METHODS[method].title for method in methods if METHODS[method].title in handles]
    n_columns = min(len(titles), 2 * len(modes) + 1)
    figure.legend(
        [handles[title] for title in titles],
        titles,
        loc="outside lower center",
        ncols=n_columns,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, dpi=150)


def _draw(ax: Axes, done: pd.DataFrame, methods: list[str], sets: list[str]) -> None:
    present = [method for method in methods if method in set(done["method"])]
    offsets = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(present)) if len(present) > 1 else [0.0]
    order = list(METHODS)
    colors = palette(len(order))
    scores = done.groupby(["method", "data"])["ari"]
    means, deviations = scores.mean(), scores.std().fillna(0)
    for method, offset in zip(present, offsets, strict=True):
        mean, deviation = (by_set.xs(method, level="method").reindex(sets) for by_set in (means, deviations))
        # a mean over fewer sets than the others' stands for something else
        overall = mean.mean() if mean.notna().all() else np.nan
        ax.errorbar(
            [*mean, overall],
            np.arange(len(sets) + 1) + offset,
            xerr=[*deviation, np.nan],
            fmt=_MARKERS[order.index(method) % len(_MARKERS)],
            color=colors[order.index(method)],
            markeredgecolor="black",
            markeredgewidth=0.4,
            markersize=5.5,
            elinewidth=1.2,
            label=METHODS[method].title,
        )
    for i in range(0, len(sets) + 1, 2):
        ax.axhspan(i - 0.5, i + 0.5, color="0.95", zorder=0, linewidth=0)
    ax.axhline(len(sets) - 0.5, color="0.3", linewidth=0.8)
    ax.set_xlim(min(0.0, float(means.min()) - 0.05), 1.02)
    ax.set_xlabel("ARI (mean, bars: SD over seeds)")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.85", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
