"""Shared-nearest-neighbour graph of cells, from one or several representations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy import sparse

from scclu.graph.knn import nearest_cells


def shared_neighbor_graph(
    representations: Sequence[np.ndarray], *, n_neighbors: int = 15, random_state: int = 0
) -> sparse.csr_matrix:
    """Sum of the shared-nearest-neighbour graphs of several representations of the same cells.

    In the graph of one representation, two cells are connected when one is among the nearest neighbours of the other.
    The weight is the Jaccard index of their sets of neighbours, each cell being a neighbour of itself.

    Parameters
    ----------
    representations
        Arrays ``(n_cells, n_dims)`` with the same cells in the same order.
    n_neighbors
        Number of neighbours; fewer if there are fewer cells.
    random_state
        Seed for the approximate search.

    Returns
    -------
    Symmetric weights ``(n_cells, n_cells)`` float32, without self-loops.
    """
    n_cells = len(representations[0])
    n_neighbors = min(n_neighbors, n_cells - 1)
    total = sparse.csr_matrix((n_cells, n_cells), dtype=np.float32)
    for points in representations:
        neighbors = other_neighbors(points, n_neighbors, random_state=random_state).astype(np.int32)
        indptr = np.arange(0, n_neighbors * n_cells + 1, n_neighbors)
        weights = _jaccard(np.sort(np.column_stack((np.arange(n_cells, dtype=np.int32), neighbors))), neighbors)
        graph = sparse.csr_matrix((weights.ravel(), neighbors.ravel(), indptr), shape=(n_cells, n_cells))
        total = total + graph.maximum(graph.T)
    return sparse.csr_matrix(total)


def other_neighbors(points: np.ndarray, n_neighbors: int, *, random_state: int = 0) -> np.ndarray:
    """Indices of the nearest other cells of each cell, ``(n_cells, n_neighbors)`` (:func:`nearest_cells`)."""
    points = np.ascontiguousarray(points, dtype=np.float32)
    found = nearest_cells(points, points, n_neighbors + 1, random_state=random_state)
    # among equal cells, a cell need not be the first of its own neighbours, or one of them
    other = found != np.arange(len(points))[:, None]
    other[other.all(axis=1), -1] = False
    return found[other].reshape(len(points), n_neighbors)


@njit(cache=True)
def _jaccard(lists: np.ndarray, neighbors: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Jaccard index of the sorted lists of each cell and each of its neighbours."""
    n_cells, n_neighbors = neighbors.shape
    weights = np.empty((n_cells, n_neighbors), dtype=np.float32)
    width = lists.shape[1]
    for cell in range(n_cells):
        for position in range(n_neighbors):
            other = neighbors[cell, position]
            i = j = shared = 0
            while i < width and j < width:
                if lists[cell, i] == lists[other, j]:
                    shared += 1
                    i += 1
                    j += 1
                elif lists[cell, i] < lists[other, j]:
                    i += 1
                else:
                    j += 1
            weights[cell, position] = shared / (2 * width - shared)
    return weights
