"""Partition a neighbour graph and draw shuffled unions of its parts (the Cluster-GCN idea on CSR slices)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["induced_subgraph", "partition_graph", "shuffled_unions"]


def partition_graph(
    adjacency: sparse.spmatrix | sparse.sparray, part_size: int, *, random_state: int | np.random.Generator = 0
) -> list[np.ndarray]:
    """Cut a graph into parts of about ``part_size`` neighbouring cells in O(cells + edges).

    Cells are visited breadth first from random seeds, each sweep stopping at ``part_size``; what a sweep has reached
    but not taken is left to later sweeps. Leftovers smaller than a quarter of a part join the next sweep's part, so
    isolated cells do not become parts of one.

    Parameters
    ----------
    adjacency
        Symmetric adjacency of shape (N, N).
    part_size
        Wanted number of cells a part.
    random_state
        Seed or generator.

    Returns
    -------
    List of sorted index arrays that together hold every cell once.
    """
    if part_size < 1:
        raise ValueError(f"part_size must be at least 1, but {part_size} was passed.")
    graph = sparse.csr_matrix(adjacency)
    rng = np.random.default_rng(random_state)
    free = np.ones(graph.shape[0], dtype=bool)
    parts: list[np.ndarray] = []
    open_part: list[np.ndarray] = []
    open_size = 0
    for seed in rng.permutation(graph.shape[0]):
        if not free[seed]:
            continue
        taken = _sweep(graph, int(seed), part_size - open_size, free)
        open_part.append(taken)
        open_size += len(taken)
        if open_size >= 0.75 * part_size:
            parts.append(np.sort(np.concatenate(open_part)))
            open_part, open_size = [], 0
    if open_part:
        parts.append(np.sort(np.concatenate(open_part)))
    return parts


def _sweep(graph: sparse.csr_matrix, seed: int, size: int, free: np.ndarray) -> np.ndarray:
    """Take up to ``size`` free cells breadth first from ``seed``; marks them as taken in ``free``."""
    frontier = np.array([seed])
    free[seed] = False
    taken = [frontier]
    n_taken = 1
    while n_taken < size and len(frontier):
        reached = np.unique(graph[frontier].indices)
        frontier = reached[free[reached]][: size - n_taken]
        free[frontier] = False
        taken.append(frontier)
        n_taken += len(frontier)
    return np.concatenate(taken)


def shuffled_unions(
    parts: list[np.ndarray], batch_size: int, *, random_state: int | np.random.Generator = 0
) -> Iterator[np.ndarray]:
    """Yield sorted unions of randomly drawn parts, each of about ``batch_size`` cells; one pass covers every cell once.

    Several far-apart parts in one batch keep the batch's mix of cells near that of the data.

    Parameters
    ----------
    parts
        Output of :func:`partition_graph`.
    batch_size
        Wanted number of cells a batch.
    random_state
        Seed or generator.
    """
    rng = np.random.default_rng(random_state)
    n_cells = sum(map(len, parts))
    n_batches = min(len(parts), max(1, round(n_cells / batch_size)))
    for group in np.array_split(rng.permutation(len(parts)), n_batches):
        yield np.sort(np.concatenate([parts[i] for i in group]))


def induced_subgraph(adjacency: sparse.csr_matrix, cells: np.ndarray) -> sparse.csr_matrix:
    """Adjacency of shape (n, n) among the given cells."""
    return sparse.csr_matrix(adjacency[cells][:, cells])
