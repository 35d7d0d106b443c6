"""Leiden communities of an embedding's neighbour graph, by scanpy."""

from __future__ import annotations

import warnings

import numpy as np
import scanpy as sc
from anndata import AnnData


def leiden(
    embedding: np.ndarray, *, resolution: float = 1.0, n_neighbors: int = 15, random_state: int = 0
) -> np.ndarray:
    """Leiden communities at a resolution.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``, at least 3 cells.
    resolution, n_neighbors, random_state
        As in :func:`scanpy.tl.leiden` and :func:`scanpy.pp.neighbors`.

    Returns
    -------
    Labels, ``(n_cells,)`` int; 0 is the largest community.
    """
    graph = AnnData(embedding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of umap and igraph, about their own defaults
        sc.pp.neighbors(graph, n_neighbors=min(n_neighbors, len(embedding) - 1), use_rep="X", random_state=random_state)
        sc.tl.leiden(graph, resolution=resolution, flavor="igraph", n_iterations=2, random_state=random_state)
    return graph.obs["leiden"].astype(int).to_numpy()
