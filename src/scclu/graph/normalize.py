"""Normalised adjacency matrices with self-loops."""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["add_self_loops", "row_normalize", "symmetric_normalize"]


def add_self_loops(adjacency: sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    """Return ``A + I`` as CSR, with the diagonal exactly one.

    Parameters
    ----------
    adjacency
        Symmetric adjacency of shape (N, N); its own diagonal is ignored.
    """
    adjacency = sparse.csr_matrix(adjacency, dtype=np.float64, copy=True)
    if adjacency.shape[0] != adjacency.shape[1]:
        raise ValueError(f"adjacency must be square, but has shape {adjacency.shape}.")
    adjacency.setdiag(0)
    adjacency.eliminate_zeros()
    return sparse.csr_matrix(adjacency + sparse.identity(adjacency.shape[0], format="csr"))


def row_normalize(adjacency: sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    r"""Random-walk matrix :math:`\tilde A = D^{-1}(A + I)` of section 3.1.

    D holds the row sums of ``A + I``, so every row sums to one and a cell without neighbours keeps its own value
    (with the degree of A alone, as printed, such a cell would divide by zero).

    Parameters
    ----------
    adjacency
        Adjacency of shape (N, N).

    Returns
    -------
    CSR matrix of shape (N, N).
    """
    looped = add_self_loops(adjacency)
    return sparse.csr_matrix(sparse.diags(1.0 / np.asarray(looped.sum(axis=1)).ravel()) @ looped)


def symmetric_normalize(adjacency: sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    r"""Symmetric matrix :math:`D^{-1/2}(A + I)D^{-1/2}` of Eq. 2 and Eq. 3, with eigenvalues in [-1, 1].

    Parameters
    ----------
    adjacency
        Symmetric adjacency of shape (N, N).

    Returns
    -------
    CSR matrix of shape (N, N).
    """
    looped = add_self_loops(adjacency)
    scale = sparse.diags(1.0 / np.sqrt(np.asarray(looped.sum(axis=1)).ravel()))
    return sparse.csr_matrix(scale @ looped @ scale)
