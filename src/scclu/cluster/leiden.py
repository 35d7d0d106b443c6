"""Leiden communities of an embedding's neighbour graph, by scanpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

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
    return leiden_scan(embedding, [resolution], n_neighbors=n_neighbors, random_state=random_state)[0]


def leiden_scan(
    embedding: np.ndarray, resolutions: Sequence[float], *, n_neighbors: int = 15, random_state: int = 0
) -> list[np.ndarray]:
    """:func:`leiden` at each of several resolutions, on one graph."""
    graph = AnnData(embedding)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of umap and igraph, about their own defaults
        sc.pp.neighbors(graph, n_neighbors=min(n_neighbors, len(embedding) - 1), use_rep="X", random_state=random_state)
        for resolution in resolutions:
            sc.tl.leiden(graph, resolution=resolution, flavor="igraph", n_iterations=2, random_state=random_state)
            found.append(graph.obs["leiden"].astype(int).to_numpy())
    return found
