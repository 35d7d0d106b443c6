"""Personalised-PageRank diffusion (Eq. 3) by Chebyshev iteration, without an inverse.

The iteration reaches the default tolerance of 1e-2 in 10 sparse products, where the plain one of
:class:`torch_geometric.nn.APPNP` needs 21, and its backward pass stores no intermediate result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from scclu.graph.operator import SparseOperator

__all__ = ["Diffusion", "diffuse", "n_diffusion_steps"]

# largest number of values in one of the four arrays of the iteration, so that they stay in the processor's cache
# (measured on 100,000 cells: a third of the time)
_BLOCK_VALUES = 2**20
# float32 values in a cache line
_CACHE_LINE = 16


def n_diffusion_steps(teleport: float, tolerance: float) -> int:
    r"""Number of Chebyshev steps after which the relative error of :func:`diffuse` is below ``tolerance``.

    With :math:`c = 1-\alpha` and :math:`r = c / (1 + \sqrt{1 - c^2})` the error in the Euclidean norm is at most
    :math:`2 r^t \sqrt{(1+c)/(1-c)}`: 13 steps for 1e-3 at :math:`\alpha = 0.2`, where plain iteration, shrinking as
    :math:`c^t`, needs 31.
    """
    if not 0.0 < teleport <= 1.0:
        raise ValueError(f"teleport must be in (0, 1], but {teleport} was passed.")
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"tolerance must be in (0, 1), but {tolerance} was passed.")
    rest = 1.0 - teleport
    if rest == 0.0:
        return 0
    rate = rest / (1.0 + math.sqrt(1.0 - rest * rest))
    # The residual bound is divided by the smallest eigenvalue of I - (1-a)S, relative to the largest.
    condition = (1.0 + rest) / (1.0 - rest)
    return max(1, math.ceil(math.log(tolerance / (2.0 * math.sqrt(condition))) / math.log(rate)))


def _chebyshev(matrix: Tensor, dense: Tensor, teleport: float, n_steps: int) -> Tensor:
    """Chebyshev semi-iteration for ``(I - (1-a) S) Y = a H`` with the spectrum of S in [-1, 1]."""
    if n_steps == 0:  # a is 1
        return dense
    rest = 1.0 - teleport
    source = teleport * dense
    previous = dense
    current = rest * (matrix @ dense) + source
    omega = 2.0
    for _ in range(1, n_steps):
        omega = 1.0 / (1.0 - 0.25 * rest * rest * omega)
        current, previous = omega * (rest * (matrix @ current) + source - previous) + previous, current
    return current


def _by_columns(matrix: Tensor, dense: Tensor, teleport: float, n_steps: int) -> Tensor:
    """Run :func:`_chebyshev` on blocks of columns that fit into the processor's cache."""
    width = max(_CACHE_LINE, _BLOCK_VALUES // len(dense))
    if dense.shape[1] <= width:
        return _chebyshev(matrix, dense, teleport, n_steps)
    blocks = [_chebyshev(matrix, block.contiguous(), teleport, n_steps) for block in dense.split(width, dim=1)]
    return torch.cat(blocks, dim=1)


class _Diffuse(torch.autograd.Function):
    """Differentiable iteration: a polynomial in a symmetric matrix is its own backward pass, so no step is stored."""

    @staticmethod
    def forward(ctx, matrix: Tensor, dense: Tensor, teleport: float, n_steps: int) -> Tensor:
        ctx.matrix, ctx.teleport, ctx.n_steps = matrix, teleport, n_steps
        return _by_columns(matrix, dense, teleport, n_steps)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, Tensor, None, None]:
        return None, _by_columns(ctx.matrix, grad.contiguous(), ctx.teleport, ctx.n_steps), None, None


def diffuse(operator: SparseOperator, dense: Tensor, *, teleport: float = 0.2, tolerance: float = 1e-3) -> Tensor:
    r"""Product :math:`A^d H` with :math:`A^d = \alpha (I - (1-\alpha) S)^{-1}` (Eq. 3), by iteration.

    Parameters
    ----------
    operator
        Symmetric operator :math:`S = D^{-1/2}(A+I)D^{-1/2}` of shape (N, N).
    dense
        H of shape (N, d).
    teleport
        Teleport probability :math:`\alpha`.
    tolerance
        Bound on the Euclidean norm of the error of a column, relative to the column of H.

    Returns
    -------
    Tensor of shape (N, d), differentiable in ``dense``; memory is O(N d).
    """
    if not operator.is_symmetric:
        raise ValueError("diffuse needs a symmetric operator, D^-1/2 (A + I) D^-1/2.")
    return _Diffuse.apply(operator.csr, dense, float(teleport), n_diffusion_steps(teleport, tolerance))


@dataclass(frozen=True)
class Diffusion:
    r"""The diffusion :math:`A^d` of Eq. 3 as an operator that multiplies dense tensors by :func:`diffuse`.

    Parameters
    ----------
    operator
        Symmetric operator :math:`S` of shape (N, N).
    teleport, tolerance
        See :func:`diffuse`.
    """

    operator: SparseOperator
    teleport: float
    tolerance: float

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Multiply a dense (N, d) tensor; the product is differentiable in it."""
        return diffuse(self.operator, dense, teleport=self.teleport, tolerance=self.tolerance)
