"""Weak edges (Eq. 2), and parts of a graph and their unions (the Cluster-GCN idea on CSR slices)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator


def edge_cosine(embedding: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, chunk: int = 1 << 18) -> np.ndarray:
    """Cosine similarity of the two ends of each edge.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    rows, columns
        Ends of the E edges.
    chunk
        Edges handled at once; bounds the memory to O(chunk d).

    Returns
    -------
    Array of shape (E,).
    """
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    out = np.empty(len(rows), dtype=unit.dtype)
    for start in range(0, len(rows), chunk):
        part = slice(start, start + chunk)
        out[part] = np.einsum("ij,ij->i", unit[rows[part]], unit[columns[part]])
    return out


def drop_weak_edges(
    adjacency: sparse.spmatrix | sparse.sparray, embedding: np.ndarray, fraction: float = 0.1
) -> sparse.csr_matrix:
    r"""Remove the share of edges whose ends are least alike in latent space: :math:`A \odot M` of Eq. 2.

    An undirected edge is judged once, so the result stays symmetric.

    Parameters
    ----------
    adjacency
        Symmetric adjacency of shape (N, N), without self-loops.
    embedding
        Latent embedding of shape (N, d).
    fraction
        Share of undirected edges to remove, in [0, 1).

    Returns
    -------
    Symmetric CSR adjacency with ``floor(fraction * E)`` undirected edges fewer.
    """
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"fraction must be in [0, 1), but {fraction} was passed.")
    upper = sparse.triu(adjacency, k=1, format="coo")
    n_drop = int(fraction * upper.nnz)
    if n_drop == 0:
        return sparse.csr_matrix(adjacency)
    similarity = edge_cosine(np.asarray(embedding), upper.row, upper.col)
    keep = np.ones(upper.nnz, dtype=bool)
    keep[np.argpartition(similarity, n_drop - 1)[:n_drop]] = False
    kept = sparse.coo_matrix((upper.data[keep], (upper.row[keep], upper.col[keep])), shape=upper.shape)
    return sparse.csr_matrix(kept + kept.T)


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
