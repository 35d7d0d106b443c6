"""Edge removal by latent similarity (Eq. 2)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["drop_weak_edges", "edge_cosine"]


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
