"""Normalised adjacency matrices with self-loops, and their products with differentiable dense tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from scclu._process import known_warnings_ignored

if TYPE_CHECKING:
    from torch import Tensor


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


class _SparseDense(torch.autograd.Function):
    """Product ``S @ H`` with a constant sparse S, whose gradient uses a stored transpose.

    torch's own backward pass transposes S in each call, which takes longer than the product itself at small widths.
    """

    @staticmethod
    def forward(ctx, forward: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
        ctx.transpose = transpose
        return forward @ dense

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ grad.contiguous()


def _to_torch(matrix: sparse.csr_matrix, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """Convert to a CSR tensor, with 32-bit indices if they fit: the product is limited by memory traffic."""
    index = torch.int32 if max(matrix.nnz, *matrix.shape) < np.iinfo(np.int32).max else torch.int64
    with known_warnings_ignored.held():
        return torch.sparse_csr_tensor(
            torch.as_tensor(matrix.indptr).to(index),
            torch.as_tensor(matrix.indices).to(index),
            torch.as_tensor(matrix.data).to(dtype),
            size=matrix.shape,
            device=device,
        )


@dataclass(frozen=True)
class SparseOperator:
    """A constant sparse matrix that multiplies differentiable dense ones.

    Parameters
    ----------
    csr
        CSR tensor of shape (N, N).
    transpose
        CSR tensor of its transpose, the same object for a symmetric matrix.
    squared_norm
        Sum of the squared entries, the constant of the graph reconstruction loss.
    """

    csr: Tensor
    transpose: Tensor
    squared_norm: float

    @classmethod
    def from_scipy(
        cls,
        matrix: sparse.spmatrix | sparse.sparray,
        *,
        symmetric: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> SparseOperator:
        """Build from a scipy matrix of shape (N, N); ``symmetric`` avoids the transposed copy."""
        matrix = sparse.csr_matrix(matrix)
        forward = _to_torch(matrix, dtype, device)
        backward = forward if symmetric else _to_torch(sparse.csr_matrix(matrix.T), dtype, device)
        return cls(forward, backward, float(np.square(matrix.data).sum()))

    def to_scipy(self) -> sparse.csr_matrix:
        """Return the operator as a scipy matrix."""
        parts = (self.csr.values(), self.csr.col_indices(), self.csr.crow_indices())
        return sparse.csr_matrix(tuple(part.cpu().numpy() for part in parts), shape=tuple(self.csr.shape))

    @property
    def n_cells(self) -> int:
        """Number of rows N."""
        return self.csr.shape[0]

    @property
    def is_symmetric(self) -> bool:
        """Whether the operator is its own transpose."""
        return self.csr is self.transpose

    def to(self, device: torch.device) -> SparseOperator:
        """Return a copy on a device."""
        if self.csr.device == device:
            return self
        forward = self.csr.to(device)
        return SparseOperator(forward, forward if self.is_symmetric else self.transpose.to(device), self.squared_norm)

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Multiply a dense (N, d) tensor; the product is differentiable in it."""
        return _SparseDense.apply(self.csr, self.transpose, dense)
