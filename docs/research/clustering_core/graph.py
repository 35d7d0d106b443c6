"""Shared-neighbour graph of all cells, summed over several representations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

__all__ = ["nearest_neighbors", "shared_neighbor_graph"]

# edges whose neighbour lists are compared at a time
_CHUNK = 100_000


def nearest_neighbors(
    points: np.ndarray, n_neighbors: int, *, exact_limit: int = 100_000, random_state: int = 0
) -> np.ndarray:
    """Indices of each row's nearest other rows.

    Parameters
    ----------
    points
        Array of shape (N, d).
    n_neighbors
        Neighbours per row, at most N - 1.
    exact_limit
        Up to this many rows the search is exact; above, pynndescent approximates it.
    random_state
        Seed of the approximate search.

    Returns
    -------
    Integer array of shape (N, n_neighbors); no row is its own neighbour.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    if len(points) <= exact_limit:
        search = NearestNeighbors(n_neighbors=n_neighbors + 1, algorithm="brute").fit(points)
        found = search.kneighbors(points, return_distance=False)
    else:
        from pynndescent import NNDescent

        found = NNDescent(points, n_neighbors=n_neighbors + 1, random_state=random_state).neighbor_graph[0]
    # among equal rows, a row need not come first in its own list, or at all
    other = found != np.arange(len(points))[:, None]
    other[other.all(axis=1), -1] = False
    return found[other].reshape(len(points), n_neighbors)


def shared_neighbor_graph(
    representations: Sequence[np.ndarray], n_neighbors: int = 15, *, random_state: int = 0
) -> sparse.csr_matrix:
    """Sum over the representations of their graphs, each edge weighted by the neighbours that its ends share.

    An edge joins two cells when either is among the other's nearest. Its weight is the Jaccard index of the two lists
    of neighbours, each cell counted as its own neighbour.

    Parameters
    ----------
    representations
        Arrays of shape (N, d), the same cells in the same order.
    n_neighbors
        Neighbours per cell; lowered to N - 1 on tiny data.
    random_state
        Seed of the approximate search.

    Returns
    -------
    Symmetric CSR matrix of shape (N, N) with an empty diagonal.
    """
    n_cells = len(representations[0])
    n_neighbors = min(n_neighbors, n_cells - 1)
    total = sparse.csr_matrix((n_cells, n_cells), dtype=np.float32)
    for points in representations:
        neighbors = nearest_neighbors(points, n_neighbors, random_state=random_state)
        total = total + _jaccard_graph(neighbors)
    return total


def _jaccard_graph(neighbors: np.ndarray) -> sparse.csr_matrix:
    """Symmetric graph of neighbour lists, weighted by the Jaccard index of the ends' lists."""
    n_cells, n_neighbors = neighbors.shape
    lists = np.hstack((np.arange(n_cells)[:, None], neighbors)).astype(np.int32)
    source = np.repeat(np.arange(n_cells, dtype=np.int32), n_neighbors)
    target = lists[:, 1:].ravel()
    shared = np.empty(len(source), dtype=np.float32)
    for start in range(0, len(source), _CHUNK):
        part = slice(start, start + _CHUNK)
        shared[part] = (lists[source[part]][:, :, None] == lists[target[part]][:, None, :]).sum(axis=(1, 2))
    weight = shared / (2 * (n_neighbors + 1) - shared)
    graph = sparse.csr_matrix((weight, (source, target)), shape=(n_cells, n_cells))
    return graph.maximum(graph.T).tocsr()
