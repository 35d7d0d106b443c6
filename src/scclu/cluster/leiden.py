"""Neighbour graph of an embedding and its Leiden communities, computed by scanpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scclu._process import known_warnings_ignored, one_at_a_time, scanpy_is_quiet


def neighbor_graph(embedding: np.ndarray, *, n_neighbors: int = 15, random_state: int = 0) -> sparse.csr_matrix:
    """Connectivities of an embedding by :func:`scanpy.pp.neighbors`.

    Parameters
    ----------
    embedding
        Coordinates, ``(n_cells, n_dims)``, of at least 3 cells.
    n_neighbors
        Number of neighbours; fewer if there are fewer cells.
    random_state
        Seed for the approximate search.

    Returns
    -------
    Symmetric weights ``(n_cells, n_cells)``.
    """
    adata = AnnData(embedding)
    n_neighbors = min(n_neighbors, len(embedding) - 1)
    with known_warnings_ignored.held(), scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns about threads and seeds
        sc.pp.neighbors(adata, n_neighbors=n_neighbors, use_rep="X", random_state=random_state)
    return adata.obsp["connectivities"]


@one_at_a_time
def leiden_communities(graph: sparse.csr_matrix, *, resolution: float = 1.0, random_state: int = 0) -> np.ndarray:
    """Leiden communities by :func:`scanpy.tl.leiden`, with two iterations of igraph's implementation.

    Parameters
    ----------
    graph
        Symmetric weights ``(n_cells, n_cells)``.
    resolution
        Resolution of the modularity; larger values give more communities.
    random_state
        Seed.

    Returns
    -------
    Labels, ``(n_cells,)`` int; 0 is the largest community.
    """
    adata = AnnData(obs=pd.DataFrame(index=pd.RangeIndex(graph.shape[0]).astype(str)))
    with known_warnings_ignored.held(), scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy warns about its own defaults
        sc.tl.leiden(
            adata,
            resolution=resolution,
            adjacency=graph,
            flavor="igraph",
            n_iterations=2,
            directed=False,
            random_state=random_state,
        )
    return adata.obs["leiden"].astype(int).to_numpy()


def leiden_scan(
    embedding: np.ndarray, resolutions: Sequence[float], *, n_neighbors: int = 15, random_state: int = 0
) -> list[np.ndarray]:
    """Leiden communities at several resolutions of one graph.

    Parameters
    ----------
    embedding, n_neighbors, random_state
        As in :func:`neighbor_graph`.
    resolutions
        Resolutions, as in :func:`leiden_communities`.

    Returns
    -------
    Labels, ``(n_cells,)`` int, for each resolution.
    """
    graph = neighbor_graph(embedding, n_neighbors=n_neighbors, random_state=random_state)
    return [leiden_communities(graph, resolution=value, random_state=random_state) for value in resolutions]
