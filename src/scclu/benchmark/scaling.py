"""Run time and memory against the number of cells, on simulated counts, with a process for each run.

``python -m scclu benchmark scale`` starts all runs; ``python -m scclu.benchmark.scaling FILE METHOD`` is one of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
from anndata import AnnData

from scclu import metrics
from scclu._checks import check_choices, check_number
from scclu.benchmark.memory import peak_memory, resident_memory
from scclu.benchmark.simulation import write_counts

logger = logging.getLogger(__name__)

CELLS = (10_000, 50_000, 100_000)
PHASES = ("prepare_s", "train_s", "cluster_s")


def _deep(tool: str) -> Callable[[AnnData, int, int], tuple[Any, list[float]]]:
    """Make a function that clusters with a model of scclu and takes the times between its phases."""

    def run(adata: AnnData, n_clusters: int, seed: int) -> tuple[Any, list[float]]:
        import lightning.pytorch as pl

        from scclu import model

        class Ended(pl.Callback):
            at = 0.0

            def on_train_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
                self.at = time.perf_counter()

        cls, ended = getattr(model, tool), Ended()
        times = [time.perf_counter()]
        cls.setup_anndata(adata)
        fitted = cls(adata, n_clusters, random_state=seed)
        times.append(time.perf_counter())
        fitted.train(accelerator="cpu", enable_progress_bar=False, callbacks=[ended])
        times += [ended.at, time.perf_counter()]
        return fitted.predict(), times

    return run


def _leiden(adata: AnnData, n_clusters: int, seed: int) -> tuple[Any, list[float]]:
    """Cluster with scanpy's standard pipeline on sparse counts, without the number of types."""
    import scanpy as sc

    times = [time.perf_counter()]
    work = AnnData(adata.X.copy())
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    sc.pp.pca(work, random_state=seed)
    times.append(time.perf_counter())
    sc.pp.neighbors(work, random_state=seed)
    times.append(time.perf_counter())
    sc.tl.leiden(work, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    times.append(time.perf_counter())
    return work.obs["leiden"].to_numpy(), times


# Title of each method, and its function, which returns labels and the four times that separate the three phases.
METHODS: dict[str, tuple[str, Callable[[AnnData, int, int], tuple[Any, list[float]]]]] = {
    "cicl": ("CICL", _deep("CICL")),
    "scsiameseclu": ("scSiameseClu", _deep("ScSiameseClu")),
    "leiden": ("PCA, neighbours, Leiden", _leiden),
}


def measure(path: Path, method: str, *, on_disk: bool = False, seed: int = 0) -> dict[str, Any]:
    """Cluster the cells of a file, and measure run time and memory.

    Call this function once per process, because the peak memory is that of the process.

    Parameters
    ----------
    path
        File of :func:`~scclu.benchmark.simulation.write_counts`.
    method
        Key of :data:`METHODS`.
    on_disk
        Leave the counts on disk.
    seed
        Seed for the method.

    Returns
    -------
    Dictionary with ``"cells"``, ``"method"``, ``"on_disk"``; seconds of each phase and in total, and of processor time;
    ``"peak_gb"``, the peak memory, and ``"above_data_gb"``, its excess over the memory after reading the data and
    importing all modules (NaN except on Linux); ``"n_clusters"``; and ``"ari"`` with the simulated types.
    """
    import scclu.model  # noqa: F401 (exclude imports from the measurements)

    adata = ad.read_h5ad(path, backed="r" if on_disk else None)
    types = adata.obs.pop("type")
    before, cpu = resident_memory(), time.process_time()
    labels, times = METHODS[method][1](adata, types.nunique(), seed)
    peak = peak_memory()
    return {
        "cells": adata.n_obs,
        "method": method,
        "on_disk": on_disk,
        **{name: end - start for name, start, end in zip(PHASES, times[:-1], times[1:], strict=True)},
        "seconds": times[-1] - times[0],
        "cpu_s": time.process_time() - cpu,
        "peak_gb": peak,
        "above_data_gb": peak - before,
        "n_clusters": len(set(labels)),
        "ari": metrics.ari(types, labels),
    }


def run_scaling(
    out: Path,
    *,
    cells: Sequence[int] = CELLS,
    methods: Sequence[str] | None = None,
    n_genes: int = 2000,
    on_disk: bool = False,
    timeout: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure all methods on simulated data of several sizes, and write ``scaling.csv`` and ``scaling.png``.

    Parameters
    ----------
    out
        Directory for the results and, during the runs, for the simulated counts; it is created if it does not exist.
    cells
        Numbers of cells.
    n_genes
        Number of genes.
    methods
        Keys of :data:`METHODS`; all if None.
    on_disk
        Leave the counts on disk; ``"leiden"`` does not support it, and is left out if `methods` is None.
    timeout
        Time limit for a run in seconds; no limit if None.
    seed
        Seed for the data and the methods.

    Returns
    -------
    Data frame with the result of :func:`measure` for each successful run; failed runs are logged.

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, or a method does not support data on disk.
    """
    from_disk = [name for name in METHODS if name != "leiden"]
    every = from_disk if on_disk else list(METHODS)
    methods = check_choices("methods", every if methods is None else methods, METHODS)
    if on_disk and "leiden" in methods:
        raise ValueError(
            f"'leiden' needs its data in memory, but on_disk=True was passed. Pass methods from {', '.join(from_disk)}."
        )
    for number in cells:
        check_number("Each of cells", number, integer=True, low=100)
    out.mkdir(parents=True, exist_ok=True)
    path, rows = out / "counts.h5ad", []
    try:
        for number in cells:
            write_counts(path, number, n_genes, seed=seed)
            for method in methods:
                row = _in_process(path, method, on_disk=on_disk, seed=seed, timeout=timeout)
                logger.info("%d cells, %s: %s", number, METHODS[method][0], _describe(row))
                if "error" not in row:
                    rows.append(row)
    finally:
        path.unlink(missing_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(out / "scaling.csv", index=False, float_format="%.4g")
    if rows:
        plot_scaling(table, out / "scaling.png")
    return table


def _in_process(path: Path, method: str, *, on_disk: bool, seed: int, timeout: float | None) -> dict[str, Any]:
    """Call :func:`measure` in a new process; return its result, or an ``"error"``."""
    command = [sys.executable, "-m", "scclu.benchmark.scaling", str(path), method, "--seed", str(seed)]
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
        for (method, (title, _)), color, marker in zip(METHODS.items(), colors, "osD", strict=True):
            rows = table[table["method"] == method].sort_values("cells")
            if len(rows):
                ax.plot(rows["cells"], rows[column], marker=marker, color=color, label=title)
        ax.set(xscale="log", yscale="log", xlabel="cells", ylabel=label)
        ax.grid(color="0.85", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> int:
    """Call :func:`measure` and print its result as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad file with simulated counts")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--on-disk", action="store_true", help="leave the counts on disk")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    print(json.dumps(measure(arguments.file, arguments.method, on_disk=arguments.on_disk, seed=arguments.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
