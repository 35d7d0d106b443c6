"""Removal of weak edges (Eq. 2), and partition of a graph into batches as in Cluster-GCN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator


def edge_cosine(embedding: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cosine similarity of the two ends of each edge.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    rows, columns
        Ends of the E edges.

    Returns
    -------
    Array of shape (E,).
    """
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    return _row_products(np.ascontiguousarray(unit), rows, columns)


@njit(cache=True)
def _row_products(unit: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Inner product of the two rows of each pair, without copies of the rows."""
    out = np.empty(len(rows), dtype=unit.dtype)
    for edge in range(len(rows)):
        total = 0.0
        for d in range(unit.shape[1]):
            total += unit[rows[edge], d] * unit[columns[edge], d]
        out[edge] = total
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

    Cells are visited breadth first from random seeds, and each sweep stops at ``part_size`` cells. A sweep that ends
    with less than three quarters of a part is continued from the next seed, so that isolated cells do not form parts of
    one cell.

    Parameters
    ----------
    adjacency
        Symmetric adjacency of shape (N, N).
    part_size
        Target number of cells per part.
    random_state
        Seed or generator.

    Returns
    -------
    List of sorted index arrays that together contain every cell once.
    """
    if part_size < 1:
        raise ValueError(f"part_size must be at least 1, but {part_size} was passed.")
    graph = sparse.csr_matrix(adjacency)
    rng = np.random.default_rng(random_state)
    order, part_of = rng.permutation(graph.shape[0]), np.empty(graph.shape[0], dtype=np.int64)
    n_parts = _assign_parts(graph.indptr, graph.indices, order, part_size, part_of)
    by_part = np.argsort(part_of, kind="stable")
    return np.split(by_part, np.searchsorted(part_of[by_part], np.arange(1, n_parts)))


@njit(cache=True)
def _assign_parts(
    indptr: np.ndarray, indices: np.ndarray, order: np.ndarray, part_size: int, part_of: np.ndarray
) -> int:  # pragma: no cover
    """Write the number of each cell's part to `part_of`, and return the number of parts (:func:`partition_graph`)."""
    part_of[:] = -1
    queue = np.empty(part_size, dtype=np.int64)
    part = open_size = 0
    for seed in order:
        if part_of[seed] >= 0:
            continue
        part_of[seed] = part
        queue[0] = seed
        head, tail, room = 0, 1, part_size - open_size
        while head < tail and tail < room:
            cell = queue[head]
            head += 1
            for neighbor in indices[indptr[cell] : indptr[cell + 1]]:
                if part_of[neighbor] < 0 and tail < room:
                    part_of[neighbor] = part
                    queue[tail] = neighbor
                    tail += 1
        open_size += tail
        if open_size >= 0.75 * part_size:
            part += 1
            open_size = 0
    return part + (open_size > 0)


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
        Target number of cells per batch.
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
