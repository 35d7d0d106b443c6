"""Demonstration on 700 real cells: clusters and the evidence for them, with scores, an h5ad file and figures."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu import datasets, metrics, pl, tl
from scclu.benchmark.peers import leiden_clusters, pca_kmeans
from scclu.cluster.forks import branches_of, forks_between, stored_tree
from scclu.cluster.kmeans import kmeans

_TRUTH = "cell_type"
_ALPHA = 0.05
# resolution at which Leiden divides types
_HIGH_RESOLUTION = 3.0
_RUNS = 10


class Demo(NamedTuple):
    """Results of the demonstration.

    Attributes
    ----------
    scores
        One row for each clustering: number of cells and clusters; ARI, NMI (arithmetic) and ACC with the labelled
        types; run time in seconds.
    findings
        What the figures show, a sentence or two each.
    files
        What was written.
    """

    scores: pd.DataFrame
    findings: list[str]
    files: list[Path]


class _Scores:
    """Rows of the table of scores."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, method: str, compute: Callable[[], Any], cells: AnnData, key: str | None = None) -> float:
        """Time a clustering and score its result, or the column `key` that it writes; return the ARI."""
        start = time.perf_counter()
        labels = compute()
        seconds = time.perf_counter() - start
        labels, truth = labels if key is None else cells.obs[key], cells.obs[_TRUTH]
        row = {"method": method, "cells": len(truth), "clusters": len(np.unique(labels))}
        scores = {"ARI": metrics.ari(truth, labels), "NMI": metrics.nmi(truth, labels)}
        self.rows.append(row | scores | {"ACC": metrics.accuracy(truth, labels), "seconds": seconds})
        return scores["ARI"]


def run_demo(out: Path, *, seed: int = 0) -> Demo:
    """Cluster the PBMC data of :mod:`scclu.datasets`, examine the clusters, and compare with standard pipelines.

    Parameters
    ----------
    out
        Directory for ``pbmc68k_reduced.h5ad`` and the figures; it is created if it does not exist.
    seed
        Seed for all methods.
    """
    matplotlib.use("Agg")
    adata = datasets.pbmc68k_reduced()
    halves = _halves(adata, seed)
    out.mkdir(parents=True, exist_ok=True)
    scores = _Scores()
    leiden_clusters(adata[:50].copy())  # exclude compilation and imports from the times
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns about threads and seeds
        findings = [
            _clusters(adata, scores, out, seed),
            _merge(adata, scores, out, seed),
            _stability(adata, out, seed),
            _new_cells(*halves, scores, out, seed),
        ]
        sc.pp.neighbors(adata, use_rep="X_cicl", random_state=seed)
        sc.tl.umap(adata, random_state=seed)
        plot_embedding(adata, out / "cicl.png")
    adata.write_h5ad(out / "pbmc68k_reduced.h5ad", compression="gzip")
    names = ["pbmc68k_reduced.h5ad", "cicl.png", "tree.png", "merge.png", "stability.png", "mapped.png"]
    return Demo(pd.DataFrame(scores.rows).set_index("method"), findings, [out / name for name in names])


def _clusters(adata: AnnData, scores: _Scores, out: Path, seed: int) -> str:
    """Find the number of clusters by tests; get another number from the tree; run the standard pipelines."""
    n_types = adata.obs[_TRUTH].nunique()
    after = scores.add("CICL, K found", lambda: tl.cicl(adata, random_state=seed, n_snapshots=2), adata, "cicl")
    cut = f"cicl_{n_types}"
    scores.add(
        f"CICL, tree cut at {n_types}", lambda: tl.cut_tree(adata, n_clusters=n_types, key_added=cut), adata, cut
    )
    components = adata.obsm["X_cicl"]
    scores.add("CICL embedding + K-means", lambda: kmeans(components, n_types, random_state=seed)[0], adata)
    scores.add("PCA + K-means", lambda: pca_kmeans(adata, n_types, seed=seed), adata)
    scores.add("PCA + Leiden, resolution 1", lambda: leiden_clusters(adata, seed=seed), adata)
    tl.rank_splits(adata)
    _save(pl.tree(adata, splits_key="cicl_splits", show=False, return_fig=True), out / "tree.png")
    tree, fine = stored_tree(adata, "cicl")
    forks = forks_between(tree, branches_of(tree, fine, adata.obs["cicl"].cat.codes.to_numpy().astype(int)))
    distinct = sum(fork.p < _ALPHA for fork in forks)
    before = metrics.ari(adata.obs[_TRUTH], adata.uns["cicl"]["snapshots"]["clusters"][0])
    return (
        f"tree.png: {len(forks) + 1} clusters were found; the two sides differ (p < {_ALPHA:g}) at {distinct} of the "
        f"{len(forks)} forks between them. ARI before training {before:.3f}, after {after:.3f}."
    )


def _merge(adata: AnnData, scores: _Scores, out: Path, seed: int) -> str:
    """Divide types by Leiden at a high resolution, and merge what tests do not separate."""
    name = f"PCA + Leiden, resolution {_HIGH_RESOLUTION:g}"

    def leiden() -> None:
        labels = leiden_clusters(adata, resolution=_HIGH_RESOLUTION, seed=seed)
        adata.obs["leiden"] = pd.Categorical(labels.astype(str), categories=[str(k) for k in range(labels.max() + 1)])

    before = scores.add(name, leiden, adata, "leiden")
    after = scores.add(
        "  merged by test_clusters",
        lambda: tl.test_clusters(adata, "leiden", alpha=_ALPHA, merge=True, random_state=seed),
        adata,
        "leiden_merged",
    )
    figure, ax = plt.subplots(figsize=(8, 5.5), layout="constrained")
    pl.resolutions(adata, ["leiden", "leiden_merged", _TRUTH], ax=ax, show=False)
    _save(figure, out / "merge.png")
    counts = [adata.obs[key].nunique() for key in ("leiden", "leiden_merged")]
    return (
        f"merge.png: Leiden at resolution {_HIGH_RESOLUTION:g} has {counts[0]} clusters, of which tests leave "
        f"{counts[1]}. ARI before {before:.3f}, after {after:.3f}."
    )


def _stability(adata: AnnData, out: Path, seed: int) -> str:
    """Find clusters again in subsamples."""
    keys = {"cicl": "CICL", "leiden": f"Leiden at resolution {_HIGH_RESOLUTION:g}", "leiden_merged": "merged Leiden"}
    figure, axes = plt.subplots(1, len(keys), figsize=(4.2 * len(keys), 3.8), layout="constrained")
    figure.get_layout_engine().set(wspace=0.1)
    means = []
    for key, ax in zip(keys, axes, strict=True):
        tl.stability(adata, key, n_runs=_RUNS, random_state=seed)
        pl.stability(adata, key, ax=ax, show=False)
        ax.set(title=keys[key], ylabel="cluster")
        means.append(f"{adata.uns[f'{key}_stability']['table']['jaccard'].mean():.2f} for {keys[key]}")
    _save(figure, out / "stability.png")
    return f"stability.png: mean Jaccard index of the clusters in {_RUNS} subsamples: {', '.join(means)}."


def _halves(adata: AnnData, seed: int) -> tuple[AnnData, AnnData]:
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    first, second = np.array_split(order, 2)
    return adata[np.sort(first)].copy(), adata[np.sort(second)].copy()


def _new_cells(old: AnnData, new: AnnData, scores: _Scores, out: Path, seed: int) -> str:
    """Train on one half of the cells and map the other."""
    models: list[Any] = []
    trained = scores.add(
        "CICL trained on a half",
        lambda: models.append(tl.cicl(old, random_state=seed, return_model=True)),
        old,
        "cicl",
    )
    mapped = scores.add("  other half mapped", lambda: tl.map_cells(new, models[0]), new, "cicl")
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    clusters, types = (pl.palette(cells.obs[key].cat.categories.size) for cells, key in ((old, "cicl"), (new, _TRUTH)))
    parts = [
        (old, "cicl", f"{old.n_obs} cells that were clustered", clusters),
        (new, "cicl", f"{new.n_obs} new cells, mapped", clusters),
        (new, _TRUTH, "New cells, labelled types", types),
    ]
    for ax, (cells, key, title, colors) in zip(axes, parts, strict=True):
        sc.pl.embedding(
            cells, "X_umap", color=key, title=title, palette=colors, size=60, frameon=False, ax=ax, show=False
        )
    _save(figure, out / "mapped.png")
    return (
        f"mapped.png: {new.n_obs} cells that took no part in training get the clusters of {old.n_obs} others. "
        f"ARI of the training cells {trained:.3f}, of the new cells {mapped:.3f}."
    )


def plot_embedding(adata: AnnData, path: Path) -> None:
    """Plot the UMAP of the CICL embedding, coloured by cluster, confidence and label, and save the figure to `path`."""
    n_types = adata.obs[_TRUTH].nunique()
    figure = sc.pl.umap(
        adata,
        color=[f"cicl_{n_types}", f"cicl_{n_types}_confidence", _TRUTH],
        title=["CICL clusters", "Confidence", "Labelled cell types"],
        palette=pl.palette(n_types),
        color_map="viridis",
        frameon=False,
        ncols=3,
        wspace=0.15,
        show=False,
        return_fig=True,
    )
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)
