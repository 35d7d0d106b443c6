"""Fine clusters of the graph: Leiden at a resolution far above the types'."""

from __future__ import annotations

import random

import igraph
import numpy as np
from scipy import sparse

__all__ = ["fine_clusters", "leiden_communities"]


def leiden_communities(graph: sparse.csr_matrix, resolution: float, *, random_state: int = 0) -> np.ndarray:
    """Communities of a weighted graph by Leiden (modularity, two iterations).

    Neither :mod:`random`'s nor numpy's global state is read or changed. igraph has one generator for the process: it
    is set for the call and given back to :mod:`random`, igraph's default, after it.

    Parameters
    ----------
    graph
        Symmetric matrix of shape (N, N).
    resolution
        Of the modularity; the higher, the smaller the communities.
    random_state
        Seed.

    Returns
    -------
    Integer labels of shape (N,).
    """
    upper = sparse.triu(graph, 1).tocoo()
    network = igraph.Graph(n=graph.shape[0], edges=np.column_stack((upper.row, upper.col)))
    igraph.set_random_number_generator(random.Random(random_state))
    try:
        found = network.community_leiden(
            "modularity", weights=upper.data.astype(np.float64), resolution=resolution, n_iterations=2
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.membership)


def fine_clusters(graph: sparse.csr_matrix, n_least: int = 1, *, random_state: int = 0) -> np.ndarray:
    r"""Communities much smaller than the clusters sought.

    The resolution is :math:`\max(10, \sqrt N / 4)`, so that their number grows as :math:`\sqrt N` and so does their
    size. It is halved while they have fewer than four cells on average, and then doubled until there are ``n_least``.

    Parameters
    ----------
    graph
        Symmetric matrix of shape (N, N).
    n_least
        Fine clusters needed, at most N.
    random_state
        Seed.

    Returns
    -------
    Integer labels of shape (N,).
    """
    n_cells = graph.shape[0]
    if n_least > n_cells:
        raise ValueError(f"{n_least} clusters were asked for, but there are only {n_cells} cells.")
    resolution = max(10.0, np.sqrt(n_cells) / 4)
    labels = leiden_communities(graph, resolution, random_state=random_state)
    while labels.max() + 1 > n_cells / 4 and resolution > 1:
        resolution /= 2
        labels = leiden_communities(graph, resolution, random_state=random_state)
    for _ in range(40):
        if labels.max() + 1 >= n_least:
            return labels
        resolution *= 2
        labels = leiden_communities(graph, resolution, random_state=random_state)
    return np.arange(n_cells)
