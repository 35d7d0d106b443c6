"""Run time and memory against the number of cells, on simulated counts, with a process for each run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scclu._checks import check_choices, check_number
from scclu.benchmark.scaling_run import METHODS, MODES, PHASES, SIZES
from scclu.benchmark.simulation import write_counts
from scclu.benchmark.tables import markdown

logger = logging.getLogger(__name__)

CELLS = (10_000, 50_000, 200_000)


def run_scaling(
    out: Path,
    *,
    cells: Sequence[int] = CELLS,
    methods: Sequence[str] | None = None,
    modes: Sequence[str] = MODES,
    n_genes: int = 2000,
    n_batches: int = 1,
    on_disk: bool = False,
    timeout: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure methods on simulated data of several sizes; write ``scaling.csv``, ``scaling.md`` and ``scaling.png``.

    Parameters
    ----------
    out
        Directory for the results and, during the runs, for the simulated counts; it is created if it does not exist.
    cells
        Numbers of cells.
    methods
        Keys of :data:`~scclu.benchmark.scaling_run.METHODS`; all if None.
    modes
        ``"free"``, ``"given"`` (the number of types is given to methods that use it), or both.
    n_genes
        Number of genes.
    n_batches
        Number of batches, for which CICL and scSiameseClu correct.
    on_disk
        Leave the counts on disk; ``"scanpy"`` does not support it, and is left out if `methods` is None.
    timeout
        Time limit for a run in seconds; no limit if None.
    seed
        Seed for the data and the methods.

    Returns
    -------
    Data frame with the result of :func:`~scclu.benchmark.scaling_run.measure` for each successful run, and
    ``"vs_scanpy"``, its seconds divided by those of scanpy for the same cells; failed runs are logged.

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, or scanpy's pipeline is asked for with data on disk.
    """
    if methods is None:
        methods = [name for name in METHODS if not (on_disk and name == "scanpy")]
    methods = check_choices("methods", methods, METHODS)
    modes = check_choices("modes", modes, MODES)
    if on_disk and "scanpy" in methods:
        raise ValueError(
            f"scanpy's pipeline needs its data in memory, but on_disk is true and methods are {', '.join(methods)}. "
            "Leave 'scanpy' out."
        )
    for number in cells:
        check_number("Each of cells", number, integer=True, low=100)
    check_number("n_batches", n_batches, integer=True, low=1)
    out.mkdir(parents=True, exist_ok=True)
    path, rows = out / "counts.h5ad", []
    try:
        for number in cells:
            write_counts(path, number, n_genes, n_batches=n_batches, seed=seed)
            for method, mode in ((method, mode) for method in methods for mode in modes if mode in METHODS[method][1]):
                row = _in_process(path, method, mode, on_disk=on_disk, seed=seed, timeout=timeout)
                logger.info("%d cells, %s, K %s: %s", number, METHODS[method][0], mode, _describe(row))
                if "error" not in row:
                    rows.append(row)
    finally:
        path.unlink(missing_ok=True)
    table = with_ratios(pd.DataFrame(rows)) if rows else pd.DataFrame()
    write_scaling(table, out)
    return table


def _in_process(
    path: Path, method: str, mode: str, *, on_disk: bool, seed: int, timeout: float | None
) -> dict[str, Any]:
    """Call :func:`~scclu.benchmark.scaling_run.measure` in a new process; return its result, or an ``"error"``."""
    command = [sys.executable, "-m", "scclu.benchmark.scaling_run", str(path), method, mode, "--seed", str(seed)]
    try:
        ended = subprocess.run(
            command + ["--on-disk"] * on_disk, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return {"error": f"stopped after {timeout:g} s"}
    if ended.returncode:
        return {"error": (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]}
    return json.loads(ended.stdout.strip().splitlines()[-1])


def _describe(row: dict[str, Any]) -> str:
    """Summarise a result for the log."""
    if "error" in row:
        return f"failed ({row['error']})"
    return f"{row['seconds']:.1f} s, {row['above_data_gb']:.2f} GB above the data, ARI {row['ari']:.3f}"


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``"vs_scanpy"``: seconds divided by those of scanpy for the same cells, NaN without a run of scanpy."""
    of_scanpy = table[table["method"] == "scanpy"].set_index("cells")["seconds"]
    return table.assign(vs_scanpy=table["seconds"] / table["cells"].map(of_scanpy))


def write_scaling(table: pd.DataFrame, out: Path) -> None:
    """Write a table of :func:`run_scaling` as CSV and Markdown, and its figure, to a directory."""
    table.to_csv(out / "scaling.csv", index=False, float_format="%.4g")
    if len(table):
        (out / "scaling.md").write_text(scaling_markdown(table), encoding="utf-8")
        plot_scaling(table, out / "scaling.png")


def scaling_markdown(table: pd.DataFrame) -> str:
    """Table of :func:`run_scaling` as Markdown."""
    columns = {
        "Cells": table["cells"].map("{:,}".format),
        "Method": [METHODS[method][0] for method in table["method"]],
        "K": table["mode"],
        **{phase.removesuffix("_s").capitalize() + " (s)": table[phase].map("{:.3g}".format) for phase in PHASES},
        "Total (s)": table["seconds"].map("{:.0f}".format),
        "Processor time (s)": table["cpu_s"].map("{:.0f}".format),
        "Total / scanpy": table["vs_scanpy"].map("{:.2f}".format),
        "Memory above the data (GB)": table["above_data_gb"].map("{:.2f}".format),
        "Clusters": table["n_clusters"],
        "ARI": table["ari"].map("{:.3f}".format),
        **{name.replace("_", " ").capitalize(): table[name] for name in SIZES},
    }
    return markdown(pd.DataFrame(columns)) + "\n"


def plot_scaling(table: pd.DataFrame, path: Path) -> None:
    """Plot run time and memory against the number of cells in log-log axes, and save the figure.

    Parameters
    ----------
    table
        Result of :func:`run_scaling`.
    path
        File to write; its extension determines the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scclu.pl import palette

    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    colors = palette(len(METHODS))
    panels = {"seconds": "seconds", "above_data_gb": "memory above the data (GB)"}
    for ax, (column, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for (method, (title, _, _)), color, marker in zip(METHODS.items(), colors, "osD", strict=True):
            for mode, style in zip(MODES, ("-", ":"), strict=True):
                rows = table[(table["method"] == method) & (table["mode"] == mode)].sort_values("cells")
                if len(rows):
                    name = title if mode == "free" else f"{title}, K given"
                    ax.plot(rows["cells"], rows[column], marker=marker, color=color, linestyle=style, label=name)
        ax.set(xscale="log", yscale="log", xlabel="cells", ylabel=label)
        ax.grid(color="0.85", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
