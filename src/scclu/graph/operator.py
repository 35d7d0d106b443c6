"""Sparse operators that multiply dense embeddings, with a cheap backward pass."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SparseOperator"]


class _SparseDense(torch.autograd.Function):
    """``S @ H`` for a constant sparse S; the gradient is ``S' @ grad`` with S' given, so nothing is transposed."""

    @staticmethod
    def forward(ctx, forward: Tensor, transpose: Tensor, dense: Tensor) -> Tensor:
        ctx.transpose = transpose
        return forward @ dense

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ grad.contiguous()


def _to_torch(matrix: sparse.csr_matrix, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """CSR tensor; 32-bit indices where they fit, since the product is bound by memory traffic."""
    index = torch.int32 if max(matrix.nnz, *matrix.shape) < np.iinfo(np.int32).max else torch.int64
    with warnings.catch_warnings():
        # torch says that CSR is young, and that it does not check what scipy has made
        warnings.simplefilter("ignore", UserWarning)
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
        """Build from a scipy matrix of shape (N, N); ``symmetric`` spares the transposed copy."""
        matrix = sparse.csr_matrix(matrix)
        forward = _to_torch(matrix, dtype, device)
        backward = forward if symmetric else _to_torch(sparse.csr_matrix(matrix.T), dtype, device)
        return cls(forward, backward, float(np.square(matrix.data).sum()))

    @property
    def n_cells(self) -> int:
        """Number of rows N."""
        return self.csr.shape[0]

    @property
    def is_symmetric(self) -> bool:
        """Whether the operator is its own transpose."""
        return self.csr is self.transpose

    def to(self, device: torch.device) -> SparseOperator:
        """A copy on a device."""
        if self.csr.device == device:
            return self
        forward = self.csr.to(device)
        return SparseOperator(forward, forward if self.is_symmetric else self.transpose.to(device), self.squared_norm)

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Product with a dense (N, d) tensor, differentiable in the dense factor."""
        return _SparseDense.apply(self.csr, self.transpose, dense)
