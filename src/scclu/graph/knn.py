"""Symmetric k-nearest-neighbour graph by Pearson correlation (section 3.1)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from scclu.graph.inverted_lists import nearest_in_lists

__all__ = ["centered_unit_rows", "nearest_cells", "pearson_knn"]

# up to here an exact search takes seconds
EXACT_LIMIT = 30_000


def centered_unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows minus their mean, divided by their norm: the squared distance of two such rows is ``2 - 2 Pearson``.

    Parameters
    ----------
    features
        Array of shape (N, D). A constant row becomes zero.
    """
    centered = np.asarray(features, dtype=np.float32)
    centered = centered - centered.mean(axis=1, keepdims=True)
    return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-12)


def nearest_cells(
    reference: np.ndarray, query: np.ndarray, n_neighbors: int, *, exact_limit: int = EXACT_LIMIT, random_state: int = 0
) -> np.ndarray:
    """Indices of the nearest reference rows for each query row, nearest first.

    Parameters
    ----------
    reference
        Array of shape (N, D).
    query
        Array of shape (M, D).
    n_neighbors
        Neighbours per query row.
    exact_limit
        Up to this many reference rows the search is exact; above, :func:`nearest_in_lists` approximates it.
    random_state
        Seed of the approximate search.

    Returns
    -------
    Integer array of shape (M, n_neighbors).
    """
    if n_neighbors > len(reference):
        raise ValueError(f"n_neighbors is {n_neighbors}, but there are only {len(reference)} cells.")
    if len(reference) <= exact_limit:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(reference)
        return search.kneighbors(query, return_distance=False)
    return nearest_in_lists(reference, query, n_neighbors, random_state=random_state)


def pearson_knn(
    features: np.ndarray, n_neighbors: int = 15, *, exact_limit: int = EXACT_LIMIT, random_state: int = 0
) -> sparse.csr_matrix:
    """Undirected graph that joins two cells when either is among the other's nearest by Pearson correlation.

    Parameters
    ----------
    features
        Array of shape (N, D), say principal components.
    n_neighbors
        Neighbours per cell, itself not counted; lowered to N - 1 on tiny data.
    exact_limit, random_state
        See :func:`nearest_cells`.

    Returns
    -------
    Symmetric CSR matrix of shape (N, N), entries one, empty diagonal.
    """
    n_cells = len(features)
    n_neighbors = min(n_neighbors, n_cells - 1)
    if n_neighbors < 1:
        return sparse.csr_matrix((n_cells, n_cells), dtype=np.float32)
    unit = centered_unit_rows(features)
    index = nearest_cells(unit, unit, n_neighbors + 1, exact_limit=exact_limit, random_state=random_state)
    rows = np.repeat(np.arange(n_cells), n_neighbors)
    # Duplicates can push a cell out of first place: drop itself wherever it is, else the farthest.
    other = index != np.arange(n_cells)[:, None]
    other[other.all(axis=1), -1] = False
    graph = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows, index[other])), shape=(n_cells, n_cells))
    graph = sparse.csr_matrix(graph)
    return sparse.csr_matrix(graph.maximum(graph.T))
