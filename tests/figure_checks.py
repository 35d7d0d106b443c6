"""What the tests of figures share: results without training, and what must hold of every figure."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.text import Text
from scipy.cluster.hierarchy import average
from scipy.spatial.distance import pdist

from conftest import simulated_counts
from scclu.tl._batch_table import batch_table

N_CELLS = 240


def clustered(n_clusters: int = 3, *, n_types: int | None = None, key: str = "cicl"):
    """Cells with all that the tools write, made up; types follow the clusters with errors."""
    rng = np.random.default_rng(0)
    adata = simulated_counts(N_CELLS)
    sizes = np.arange(n_clusters, 0, -1) + n_clusters
    # every cluster has two cells at least, so that all are ranked
    first = np.repeat(np.arange(n_clusters), 2)
    codes = np.concatenate([first, rng.choice(n_clusters, N_CELLS - len(first), p=sizes / sizes.sum())])
    centers = rng.standard_normal((n_clusters, 8)) * 3
    adata.obsm[f"X_{key}"] = (centers[codes] + rng.standard_normal((N_CELLS, 8))).astype(np.float32)
    names = [str(k) for k in range(n_clusters)]
    adata.obs[key] = pd.Categorical(codes.astype(str), categories=names)
    adata.obs[f"{key}_confidence"] = rng.beta(5, 2, N_CELLS).astype(np.float32)
    types = np.where(rng.random(N_CELLS) < 0.8, codes, rng.permutation(codes)) % (n_types or n_clusters)
    adata.obs["cell_type"] = pd.Categorical([f"CD{t}+ naive T cell" for t in types])
    history = {
        f"joint_{name}": np.exp(-np.arange(6) / (i + 1)) for i, name in enumerate(("loss", "edges", "transport"))
    }
    history["expression_loss"] = np.linspace(2, 1, 6)
    history["joint_changed_cells"] = np.array([0.5, 0.1])
    history["joint_transport"][:2] = np.nan
    noise = rng.standard_normal((3, N_CELLS, 8)) * np.array([4, 1, 0])[:, None, None]
    adata.uns[key] = {
        "history": history,
        "snapshots": {
            "epoch": np.array([0, 3, 6]),
            "embedding": (adata.obsm[f"X_{key}"] + noise).astype(np.float32),
            "clusters": np.stack([rng.permutation(codes), codes, codes]).astype(np.int32),
        },
    }
    n_types = adata.obs["cell_type"].nunique()
    scores = rng.beta(1, 5, (n_clusters, n_types)).round(2)
    scores[np.arange(n_clusters), np.arange(n_clusters) % n_types] = 0.9
    adata.uns["annotation"] = {
        "scores": scores,
        "clusters": np.array(names),
        "types": np.array(adata.obs["cell_type"].cat.categories),
    }
    n_cells = np.bincount(codes, minlength=n_clusters)
    stable = pd.DataFrame({"cluster": names, "n_cells": n_cells, "jaccard": rng.beta(5, 2, n_clusters)})
    adata.uns[f"{key}_stability"] = {"table": stable.assign(jaccard_sd=0.1)}
    names = ["first donor", "second donor", "third donor"]
    adata.uns[key]["batches"] = batch_table(codes, rng.integers(0, 3, N_CELLS), n_clusters, names)
    k = np.arange(2, n_clusters + 3)
    table = pd.DataFrame({"k": k, "stability": 1 / k, "stability_sd": 0.1, "silhouette": 0.3 - k / 200})
    adata.uns["choose_n_clusters"] = {
        "k": n_clusters,
        "leiden_k": 3,
        "table": table,
        "params": {"leiden_range": np.array([3, n_clusters + 1])},
    }
    _add_tree(adata, key, codes, centers)
    return adata


def _add_tree(adata, key: str, codes: np.ndarray, centers: np.ndarray) -> None:
    """A tree of two fine clusters in each cluster, and of the clusters by the distance of their centers."""
    n_clusters = len(centers)
    rank = np.argsort(np.argsort(codes, kind="stable"))
    first = np.searchsorted(np.sort(codes), codes)
    fine = 2 * codes + (rank - first) % 2
    merges = average(pdist(centers))
    below = 2 * np.arange(n_clusters)[:, None] + np.arange(2)
    children = np.vstack((below, merges[:, :2].astype(int) + 2 * n_clusters))
    size = np.concatenate((np.bincount(codes), merges[:, 3])).astype(int)
    height = np.concatenate((np.linspace(0.5, 1, n_clusters), 1 + merges[:, 2] / merges[-1, 2]))
    # the number of cells of a merge of clusters, instead of the number of clusters
    for step in range(n_clusters, len(children)):
        size[step] = size[children[step] - 2 * n_clusters].sum()
    p = np.where(np.arange(len(children)) % 4 == 0, 0.4, 1e-9)
    adata.obs[f"{key}_fine"] = pd.Categorical(fine.astype(str))
    adata.uns[key]["tree"] = {
        "children": children,
        "height": height,
        "size": size,
        "p": p,
        "neighbors": np.eye(2 * n_clusters, dtype=np.float32),
    }


def texts(figure):
    """Every text that is drawn in a figure, with its bounding box in pixels."""
    figure.canvas.draw()
    found = []
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if not (ax.axison and axis.get_visible()):
                continue
            found += [tick.label1 for tick in axis._update_ticks()] + [axis.label]
        found += [*ax.texts, ax.title, ax._left_title, ax._right_title]
        if ax.get_legend() is not None:
            found += ax.get_legend().get_texts()
    found += [text for legend in figure.legends for text in legend.get_texts()]
    shown = [text for text in found if text.get_visible() and text.get_text().strip()]
    # an annotation's box has its arrow in it; the text alone is what must be read
    return [(text.get_text(), Text.get_window_extent(text)) for text in shown]


def overlapping(figure):
    """Pairs of texts that cover each other, and texts that leave the figure."""
    boxes = texts(figure)
    wrong = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    frame = figure.bbox
    for name, box in boxes:
        if box.x0 < -2 or box.y0 < -2 or box.x1 > frame.x1 + 2 or box.y1 > frame.y1 + 2:
            wrong.append((name, "outside"))
    return wrong
