"""Leiden and Louvain on the neighbours in an embedding, by scanpy."""

from __future__ import annotations

import warnings

import numpy as np
import scanpy as sc
from anndata import AnnData

# Resolutions between which the one that gives K communities is sought, halving their ratio each time. Below the lowest,
# few communities come from joining whatever the neighbour graph left apart, which helps no comparison.
_LOWEST, _HIGHEST, _N_HALVINGS = 0.02, 10.0, 25


def _neighbors(embedding: np.ndarray, n_neighbors: int, seed: int) -> AnnData:
    graph = AnnData(embedding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of umap, about threads and seeds
        sc.pp.neighbors(graph, n_neighbors=min(n_neighbors, len(embedding) - 1), use_rep="X", random_state=seed)
    return graph


def leiden_at_k(embedding: np.ndarray, n_clusters: int, *, n_neighbors: int = 15, seed: int = 0) -> np.ndarray:
    """Leiden at the resolution that gives K communities, found by bisection.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``, at least 3 cells.
    n_clusters
        K.
    n_neighbors, seed
        As in :func:`scclu.cluster.leiden`.

    Returns
    -------
    Labels ``(n_cells,)`` int. Where no resolution that was tried gives K, the number nearest to it.
    """
    graph = _neighbors(embedding, n_neighbors, seed)
    low, high = _LOWEST, _HIGHEST
    best, gap = np.zeros(len(embedding), dtype=int), np.inf
    for _ in range(_N_HALVINGS):
        resolution = float(np.sqrt(low * high))
        sc.tl.leiden(graph, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
        labels = graph.obs["leiden"].astype(int).to_numpy()
        found = int(labels.max()) + 1
        if abs(found - n_clusters) < gap:
            best, gap = labels, abs(found - n_clusters)
        if found == n_clusters:
            break
        low, high = (resolution, high) if found < n_clusters else (low, resolution)
    return best


def louvain(embedding: np.ndarray, *, resolution: float = 1.0, n_neighbors: int = 15, seed: int = 0) -> np.ndarray:
    """Louvain communities at a resolution; needs the package of that name.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``, at least 3 cells.
    resolution, n_neighbors, seed
        As in :func:`scanpy.tl.louvain` and :func:`scanpy.pp.neighbors`.

    Returns
    -------
    Labels ``(n_cells,)`` int.
    """
    graph = _neighbors(embedding, n_neighbors, seed)
    sc.tl.louvain(graph, resolution=resolution, random_state=seed)
    return graph.obs["louvain"].astype(int).to_numpy()
