"""Tables and the figure of benchmark results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scclu.benchmark.batch_methods import panel
from scclu.benchmark.panel import MODES, Method
from scclu.pl import palette

COLUMNS = (
    *("data", "method", "mode", "seed", "status", "n_cells", "n_types", "n_clusters", "ari", "nmi", "nmi_max", "acc"),
    *("call_s", "cpu_s", "process_s", "peak_mb", "error"),
)
BATCH_COLUMNS = ("batch_key", "n_batches", "scib_bio", "scib_batch", "scib_total")
_SCORES = {"ari": "ARI", "nmi": "NMI (arithmetic)", "nmi_max": "NMI (max)", "acc": "ACC", "n_clusters": "Clusters"}
_BATCH_SCORES = {
    "scib_total": "scIB, total",
    "scib_bio": "scIB, bio conservation",
    "scib_batch": "scIB, batch correction",
}
_COSTS = {
    "call_s": "Run time of the method (s)",
    "cpu_s": "Processor time of the method (s)",
    "process_s": "Run time of the process (s)",
    "peak_mb": "Peak memory (MB)",
}
_DECIMALS = {"n_clusters": 1, "call_s": 1, "cpu_s": 1, "process_s": 1, "peak_mb": 0}
_MARKERS = "osD^vP*Xph<>"
# Share of the distance between two datasets over which the markers of the methods are spread.
_SPREAD = 0.7
_HEAD = """# Benchmark

Seeds: {seeds}. Entries are the mean ± standard deviation over seeds, which the row "mean" averages over datasets. A
number of datasets in brackets marks a method that did not finish all {n_sets}; compare such methods only in the row
over the common datasets, which were finished by all methods with results. NMI is given with both averages of the
entropies in its denominator. The run time of the method includes compilation, but not imports and the reading of files.
Memory is that of the whole process.
"""


def as_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Make the long table, with one row per run."""
    table = pd.DataFrame(list(rows))
    with_batches = "batch_key" in table and table["batch_key"].notna().any()
    table = table.reindex(columns=[*COLUMNS, *(BATCH_COLUMNS if with_batches else ())])
    whole = table.columns[table.columns.str.startswith("n_")]
    table[whole] = table[whole].astype("Int64")
    return table


def _methods(table: pd.DataFrame) -> dict[str, Method]:
    """The panel from which the methods of a table are."""
    return panel(batches="batch_key" in table)


def write_tables(table: pd.DataFrame, out: Path) -> None:
    """Write ``results.csv``, ``summary.md`` and, if any run succeeded, ``ari.png`` to a directory."""
    table.to_csv(out / "results.csv", index=False)
    (out / "summary.md").write_text(summary(table), encoding="utf-8")
    if (table["status"] == "ok").any():
        plot_ari(table, out / "ari.png")


def summary(table: pd.DataFrame) -> str:
    """Format the scores and costs as Markdown tables, with a row for each dataset and a column for each method."""
    seeds = ", ".join(str(seed) for seed in sorted(table["seed"].unique()))
    parts = [_HEAD.format(seeds=seeds, n_sets=table["data"].nunique())]
    for mode, title in MODES.items():
        part = table[table["mode"] == mode]
        if part.empty:
            continue
        parts.append(f"## {title[0].upper()}{title[1:]}\n")
        for value, name in (_SCORES | (_BATCH_SCORES if "batch_key" in table else {}) | _COSTS).items():
            parts.append(f"### {name}\n\n{_pivot(part, value)}\n")
    failed = table[table["status"] == "failed"]
    if len(failed):
        parts.append("## Failed\n\n" + markdown(failed[["data", "method", "mode", "seed", "error"]].astype(str)) + "\n")
    return "\n".join(parts)


def _pivot(part: pd.DataFrame, value: str) -> str:
    """Format one value in one mode: mean and deviation for each dataset and method, and their means."""
    methods, sets = list(part["method"].unique()), list(part["data"].unique())
    done = part[part["status"] == "ok"].groupby(["data", "method"])[value]
    means = done.mean().astype(float).unstack("method").reindex(index=sets, columns=methods)
    deviations = done.std().astype(float).unstack("method").reindex(index=sets, columns=methods)
    decimals = _DECIMALS.get(value, 3)
    body = pd.DataFrame("", index=sets, columns=methods)
    for (data, method), runs in part.groupby(["data", "method"], sort=False):
        n_done = int((runs["status"] == "ok").sum())
        if n_done == 0:
            body.loc[data, method] = runs["status"].iloc[0]
            continue
        row = sets.index(data)
        cell = _number(means[method].iloc[row], deviations[method].iloc[row], decimals)
        body.loc[data, method] = cell if n_done == len(runs) else f"{cell} ({n_done} of {len(runs)} runs)"
    body.loc["**mean**"] = [_mean(means[m].dropna(), deviations[m], decimals, len(sets)) for m in methods]
    finished = means.dropna(axis=1, how="all")
    common = finished.dropna().index
    if 0 < len(common) < len(sets):
        body.loc[f"**mean of {len(common)} common**"] = [
            _mean(means.loc[common, m].dropna(), deviations.loc[common, m], decimals, len(common)) for m in methods
        ]
    titles = [_methods(part)[method].title for method in methods]
    return markdown(body.set_axis(titles, axis=1).rename_axis("dataset").reset_index())


def _mean(means: pd.Series, deviations: pd.Series, decimals: int, n_sets: int) -> str:
    if means.empty:
        return "-"
    said = _number(means.mean(), deviations.mean(), decimals)
    return said if len(means) == n_sets else f"{said} ({len(means)} of {n_sets} datasets)"


def _number(mean: float, deviation: float, decimals: int) -> str:
    return f"{mean:.{decimals}f}" + ("" if np.isnan(deviation) else f" ± {deviation:.{decimals}f}")


def markdown(table: pd.DataFrame) -> str:
    """Format a table of strings as a Markdown table."""
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def plot_ari(table: pd.DataFrame, path: Path) -> None:
    """Plot the ARI of each dataset and method, with a panel for each mode, and save the figure.

    Parameters
    ----------
    table
        Result of :func:`scclu.benchmark.run`.
    path
        File to write; its extension determines the format.
    """
    done = table[table["status"] == "ok"]
    modes = [mode for mode in MODES if mode in set(done["mode"])]
    known = _methods(table)
    methods = [method for method in known if method in set(done["method"])]
    sets = list(done["data"].unique())
    height = max(3.0, 1.2 + (len(sets) + 1) * max(0.45, 0.07 * len(methods)))
    figure = Figure(figsize=(3.2 + 3.8 * len(modes), height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for ax, mode in zip(axes, modes, strict=True):
        _draw(ax, done[done["mode"] == mode], methods, sets)
        ax.set_title(MODES[mode][0].upper() + MODES[mode][1:], fontsize=10)
    axes[0].set_yticks(range(len(sets) + 1), [*sets, "mean of datasets"])
    axes[0].set_ylim(len(sets) + 0.5, -0.5)
    handles = {text: mark for ax in axes for mark, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    titles = [known[method].title for method in methods if known[method].title in handles]
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
    """Draw the successful runs of one mode, with means and deviations over seeds."""
    present = [method for method in methods if method in set(done["method"])]
    offsets = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(present)) if len(present) > 1 else [0.0]
    known = _methods(done)
    order = list(known)
    colors = palette(len(order))
    scores = done.groupby(["method", "data"])["ari"]
    means, deviations = scores.mean(), scores.std().fillna(0)
    for method, offset in zip(present, offsets, strict=True):
        mean, deviation = (by_set.xs(method, level="method").reindex(sets) for by_set in (means, deviations))
        # a mean over fewer datasets is not comparable
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
            label=known[method].title,
        )
    for i in range(0, len(sets) + 1, 2):
        ax.axhspan(i - 0.5, i + 0.5, color="0.95", zorder=0, linewidth=0)
    ax.axhline(len(sets) - 0.5, color="0.3", linewidth=0.8)
    ax.set_xlim(min(0.0, float(means.min()) - 0.05), 1.02)
    ax.set_xlabel("ARI (mean and SD over seeds)")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.85", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
