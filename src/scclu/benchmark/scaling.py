"""Memory and time of scSiameseClu on simulated counts: ``python -m scclu.benchmark.scaling 10000``."""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse


def simulate_counts(
    n_cells: int, n_genes: int = 2000, n_types: int = 10, *, depth: float = 0.25, seed: int = 0
) -> AnnData:
    """Poisson-gamma counts of types that differ in a tenth of their genes, made in blocks of rows.

    Parameters
    ----------
    n_cells, n_genes, n_types
        Sizes.
    depth
        Mean count of a gene in a cell.
    seed
        Of everything random.

    Returns
    -------
    Counts in ``X``, CSR float32 ``(n_cells, n_genes)``; ``obs["type"]``.
    """
    rng = np.random.default_rng(seed)
    base = rng.gamma(0.3, 1.0, n_genes)
    profiles = np.tile(base, (n_types, 1))
    changed = rng.random(profiles.shape) < 0.1
    profiles[changed] *= rng.lognormal(0, 1.5, int(changed.sum()))
    profiles *= depth * n_genes / profiles.sum(axis=1, keepdims=True)
    types = rng.integers(0, n_types, n_cells)
    blocks = []
    for part in np.array_split(types, max(1, n_cells // 2000)):
        mean = profiles[part] * rng.lognormal(0, 0.3, (len(part), 1))
        blocks.append(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    obs = pd.DataFrame({"type": pd.Categorical(types.astype(str))}, index=[f"cell{i}" for i in range(n_cells)])
    return AnnData(sparse.vstack(blocks, format="csr"), obs=obs)


def peak_memory() -> float:
    """Largest resident memory of this process so far, in GB."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        # ru_maxrss starts at what the process that started this one held
        return int(found[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def measure(n_cells: int, n_genes: int = 2000, *, seed: int = 0) -> dict[str, float]:
    """Run the default preset once; a process of its own gives an honest peak.

    Returns
    -------
    Cells; seconds to prepare and to train; seconds of one pass of joint steps over all cells, with the refreshes that
    fall into it, and of the steps alone; milliseconds of such a pass, and of the processor's time in it, per cell; peak
    memory in GB; ARI with the simulated types.
    """
    from scclu.metrics import ari
    from scclu.model import ScSiameseClu

    adata = simulate_counts(n_cells, n_genes, seed=seed)
    start = time.perf_counter()
    ScSiameseClu.setup_anndata(adata)
    model = ScSiameseClu(adata, adata.obs["type"].nunique(), random_state=seed)
    prepared = time.perf_counter()
    model.train(accelerator="cpu", enable_progress_bar=False)
    trained = time.perf_counter()
    steps, refreshes = _time_pass(model)
    return {
        "cells": n_cells,
        "prepare_s": prepared - start,
        "train_s": trained - prepared,
        "pass_s": (steps + refreshes)[0],
        "steps_s": steps[0],
        "pass_ms_per_cell": 1000 * (steps + refreshes)[0] / n_cells,
        "pass_cpu_ms_per_cell": 1000 * (steps + refreshes)[1] / n_cells,
        "steps_cpu_ms_per_cell": 1000 * steps[1] / n_cells,
        "peak_gb": peak_memory(),
        "ari": ari(adata.obs["type"], model.predict()),
    }


def _now() -> np.ndarray:
    """Clock and processor time in seconds: the second does not grow while other work has the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def _time_pass(model) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of one pass of joint steps (batches, losses, gradients, Adam) and of its refreshes, as :func:`_now`.

    The partition of the graph is made before.
    """
    import torch

    from scclu.train.graph_batches import EPOCH_STEPS

    batches = model._make_batches(model.settings.batch_size)
    refresh = model._make_refresh(model.module, batches, n_epochs=1)
    batches.with_counts = True
    with torch.no_grad():
        refresh(0)
    batches.next_batch()
    optimizer = torch.optim.Adam(model.module.parameters(), lr=1e-6)
    start = _now()
    for _ in range(batches.n_batches):
        batch = batches.next_batch()
        optimizer.zero_grad()
        torch.stack(list(model.module.joint_loss(batch).values())).sum().backward()
        optimizer.step()
    stepped = _now()
    with torch.no_grad():
        refresh(0)
    n_refreshes = batches.n_batches / (refresh.every * EPOCH_STEPS)
    return stepped - start, n_refreshes * (_now() - stepped)


def main() -> None:
    """Print one line for the number of cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=int)
    parser.add_argument("--genes", type=int, default=2000)
    arguments = parser.parse_args()
    for name, value in measure(arguments.cells, arguments.genes).items():
        print(f"{name} {value:.4g}", flush=True)


if __name__ == "__main__":
    main()
