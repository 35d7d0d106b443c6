"""Demonstration: three methods on 700 real cells, with a table of scores, an h5ad file and a figure."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu import datasets, metrics, tl
from scclu.benchmark.peers import leiden_clusters, pca_kmeans
from scclu.pl import palette


def _row(method: str, labels: np.ndarray | pd.Series, truth: pd.Series, seconds: float) -> dict[str, str | float | int]:
    """Scores of one method, a row of the table."""
    return {
        "method": method,
        "clusters": len(np.unique(labels)),
        "ARI": metrics.ari(truth, labels),
        "NMI": metrics.nmi(truth, labels),
        "ACC": metrics.accuracy(truth, labels),
        "seconds": seconds,
    }


def run_demo(out: Path, *, seed: int = 0) -> pd.DataFrame:
    """Cluster the PBMC data of :mod:`scclu.datasets` with CICL, PCA + K-means and Leiden.

    Parameters
    ----------
    out
        Directory for ``pbmc68k_reduced.h5ad`` and ``cicl.png``; it is created if it does not exist.
    seed
        Seed for all methods.

    Returns
    -------
    Data frame with one row per method: number of clusters; ARI, NMI (arithmetic) and ACC with the ten labelled types;
    run time in seconds.
    """
    adata = datasets.pbmc68k_reduced()
    truth = adata.obs["cell_type"]
    n_types = truth.nunique()

    def cicl() -> pd.Series:
        tl.cicl(adata, n_types, random_state=seed)
        return adata.obs["cicl"]

    methods: dict[str, Callable[[], np.ndarray | pd.Series]] = {
        "CICL": cicl,
        "PCA + K-means": lambda: pca_kmeans(adata, n_types, seed=seed),
        "PCA + Leiden (resolution 1)": lambda: leiden_clusters(adata, seed=seed),
    }
    # exclude compilation and imports from the times
    leiden_clusters(adata[:50].copy())
    rows = []
    for name, method in methods.items():
        start = time.perf_counter()
        labels = method()
        rows.append(_row(name, labels, truth, time.perf_counter() - start))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns about threads and seeds
        sc.pp.neighbors(adata, use_rep="X_cicl", random_state=seed)
        sc.tl.umap(adata, random_state=seed)
    out.mkdir(parents=True, exist_ok=True)
    adata.write_h5ad(out / "pbmc68k_reduced.h5ad", compression="gzip")
    plot_embedding(adata, out / "cicl.png")
    return pd.DataFrame(rows).set_index("method")


def plot_embedding(adata: AnnData, path: Path) -> None:
    """Plot the UMAP of the CICL embedding, coloured by cluster, confidence and label, and save the figure to `path`."""
    import matplotlib

    matplotlib.use("Agg")
    figure = sc.pl.umap(
        adata,
        color=["cicl", "cicl_confidence", "cell_type"],
        title=["CICL clusters", "Confidence", "Labelled cell types"],
        palette=palette(adata.obs["cell_type"].nunique()),
        color_map="viridis",
        frameon=False,
        ncols=3,
        wspace=0.15,
        show=False,
        return_fig=True,
    )
    figure.savefig(path, dpi=90, bbox_inches="tight")
