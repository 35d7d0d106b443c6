"""Time and memory against the number of cells, on simulated counts; each run is a process of its own.

One run: ``python -m scclu.benchmark.scaling FILE METHOD``; all: ``python -m scclu benchmark scale``.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import resource
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
from scclu.benchmark.simulation import write_counts

logger = logging.getLogger(__name__)

CELLS = (10_000, 50_000, 100_000)
PHASES = ("prepare_s", "train_s", "cluster_s")


def peak_memory() -> float:
    """Largest resident memory of this process so far, in GB."""
    # ru_maxrss starts at what the process that started this one held
    if (high := _status("VmHWM")) is not None:
        return high
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def _status(name: str) -> float | None:
    """A size that Linux tells of this process, in GB."""
    status = Path("/proc/self/status")
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e9 if found else None


def _deep(tool: str) -> Callable[[AnnData, int, int], tuple[Any, list[float]]]:
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
    """The usual pipeline on sparse counts: it is told nothing of K."""
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


# title, and what makes labels and the four times between which the three phases lie
METHODS: dict[str, tuple[str, Callable[[AnnData, int, int], tuple[Any, list[float]]]]] = {
    "cicl": ("CICL", _deep("CICL")),
    "scsiameseclu": ("scSiameseClu", _deep("ScSiameseClu")),
    "leiden": ("PCA, neighbours, Leiden", _leiden),
}


def measure(path: Path, method: str, *, on_disk: bool = False, seed: int = 0) -> dict[str, Any]:
    """Cluster the cells of a file once; a process of its own gives an honest peak.

    Parameters
    ----------
    path
        An h5ad of :func:`~scclu.benchmark.simulation.write_counts`.
    method
        A key of :data:`METHODS`.
    on_disk
        Leave the counts on disk.
    seed
        Of the method.

    Returns
    -------
    Cells; seconds by phase and in all, and seconds of the processor; the largest memory, and by how much it exceeds
    what the process held with the data and what it had imported, in GB; clusters, and ARI with the simulated types.
    """
    import scclu.model  # noqa: F401 (what is imported is not measured)

    adata = ad.read_h5ad(path, backed="r" if on_disk else None)
    types = adata.obs.pop("type")
    before, cpu = _status("VmRSS"), time.process_time()
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
        "above_data_gb": float("nan") if before is None else peak - before,
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
    """Measure each method on each number of cells, and write ``scaling.csv`` and ``scaling.png``.

    Parameters
    ----------
    out
        Folder; counts are written to it too, and removed when they are no longer needed.
    cells, n_genes
        Sizes.
    methods
        Keys of :data:`METHODS`; ``None`` is all.
    on_disk
        Leave the counts on disk; for ``"cicl"`` only.
    timeout
        Seconds that a run may take.
    seed
        Of data and methods.

    Returns
    -------
    What :func:`measure` returns, a row a run that ended well; what did not is logged.

    Raises
    ------
    ValueError
        If a method is unknown, or cannot leave its data on disk.
    """
    methods = list(METHODS) if methods is None else list(methods)
    if unknown := [name for name in methods if name not in METHODS]:
        raise ValueError(f"methods must be of {', '.join(METHODS)}, but {unknown[0]!r} was passed.")
    if on_disk and methods != ["cicl"]:
        raise ValueError(f"Only 'cicl' leaves its data on disk, but methods are {', '.join(methods)}.")
    if any(number < 100 for number in cells):
        raise ValueError(f"cells must be at least 100, but {min(cells)} was passed.")
    out.mkdir(parents=True, exist_ok=True)
    path, rows = out / "counts.h5ad", []
    try:
        for number in cells:
            write_counts(path, number, n_genes, seed=seed)
            for method in methods:
                row = _in_process(path, method, on_disk=on_disk, seed=seed, timeout=timeout)
                logger.info("%d cells, %s: %s", number, METHODS[method][0], _said(row))
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


def _said(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"failed ({row['error']})"
    return f"{row['seconds']:.1f} s, {row['above_data_gb']:.2f} GB above the data, ARI {row['ari']:.3f}"


def plot_scaling(table: pd.DataFrame, path: Path) -> None:
    """Draw seconds and memory above the data against cells, in log-log axes, and save the figure.

    Parameters
    ----------
    table
        As :func:`run_scaling` returns.
    path
        A file name; its end says which format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from scclu.pl._palette import palette

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
    """Print a row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad with simulated counts")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--on-disk", action="store_true", help="leave the counts on disk")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    print(json.dumps(measure(arguments.file, arguments.method, on_disk=arguments.on_disk, seed=arguments.seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
