"""Fine clusters of a neighbour graph, which the merge tree starts from."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from scclu.cluster.leiden import leiden_communities

# cells per fine cluster that are enough to estimate its mean
_CELLS = 4
# cells from which on cells are put next to their neighbours first
_MANY = 30_000


def fine_clusters(graph: sparse.csr_matrix, n_least: int = 1, *, random_state: int = 0) -> np.ndarray:
    r"""Leiden communities that are much smaller than the clusters wanted.

    The resolution is :math:`\max(10, \sqrt N / 4)` for N cells, so that both the number and the size of the communities
    grow as :math:`\sqrt N`. It is halved while the communities have fewer than four cells on average, and then doubled
    until there are `n_least`.

    Parameters
    ----------
    graph
        Symmetric weights ``(n_cells, n_cells)``.
    n_least
        Number of communities needed, at most the number of cells.
    random_state
        Seed.

    Returns
    -------
    Labels ``(n_cells,)`` int; 0 is the largest community.
    """
    n_cells = graph.shape[0]
    if n_cells <= _MANY:
        return _communities(graph, n_least, random_state)
    # Leiden reads the memory in places that are then near each other, which takes a third less time
    order = reverse_cuthill_mckee(graph, symmetric_mode=True)
    place = np.empty_like(order)
    place[order] = np.arange(n_cells, dtype=order.dtype)
    near = graph[order]
    near.indices = place[near.indices]
    return _communities(near, n_least, random_state)[place]


def _communities(graph: sparse.csr_matrix, n_least: int, random_state: int) -> np.ndarray:
    n_cells = graph.shape[0]
    resolution = max(10.0, np.sqrt(n_cells) / 4)
    labels = leiden_communities(graph, resolution=resolution, random_state=random_state)
    while labels.max() >= n_cells / _CELLS and resolution > 1:
        resolution /= 2
        labels = leiden_communities(graph, resolution=resolution, random_state=random_state)
    for _ in range(40):
        if labels.max() + 1 >= n_least:
            return labels
        resolution *= 2
        labels = leiden_communities(graph, resolution=resolution, random_state=random_state)
    return np.arange(n_cells)
