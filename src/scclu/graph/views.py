"""The normalised operators of one (sub)graph that a training step needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scclu.graph.diffusion import diffuse
from scclu.graph.normalize import row_normalize, symmetric_normalize
from scclu.graph.operator import SparseOperator

if TYPE_CHECKING:
    import torch
    from scipy import sparse
    from torch import Tensor

__all__ = ["GraphViews"]


@dataclass(frozen=True)
class GraphViews:
    r"""Operators of a graph and of its pruned copy.

    Parameters
    ----------
    walk
        :math:`\tilde A = D^{-1}(A + I)`.
    symmetric
        :math:`S = D^{-1/2}(A + I)D^{-1/2}`, whose diffusion is :math:`A^d` of Eq. 3.
    pruned
        :math:`A^r`, the same with the weakest edges removed (Eq. 2).
    teleport
        :math:`\alpha` of Eq. 3.
    tolerance
        Relative error of the diffusion.
    """

    walk: SparseOperator
    symmetric: SparseOperator
    pruned: SparseOperator
    teleport: float = 0.2
    tolerance: float = 1e-2

    @classmethod
    def from_adjacency(
        cls,
        adjacency: sparse.csr_matrix,
        pruned: sparse.csr_matrix | None = None,
        *,
        teleport: float = 0.2,
        tolerance: float = 1e-2,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> GraphViews:
        """Build from a symmetric adjacency (N, N) and its pruned copy (default: nothing pruned)."""
        options = {"device": device} if dtype is None else {"device": device, "dtype": dtype}
        symmetric = SparseOperator.from_scipy(symmetric_normalize(adjacency), symmetric=True, **options)
        removed = symmetric
        if pruned is not None:
            removed = SparseOperator.from_scipy(symmetric_normalize(pruned), symmetric=True, **options)
        walk = SparseOperator.from_scipy(row_normalize(adjacency), **options)
        return cls(walk, symmetric, removed, teleport, tolerance)

    @property
    def n_reference(self) -> int:
        """N: self-correlation (Eq. 7) runs over these cells."""
        return self.walk.n_cells

    def to(self, device: torch.device) -> GraphViews:
        """A copy on a device."""
        symmetric = self.symmetric.to(device)
        pruned = symmetric if self.pruned is self.symmetric else self.pruned.to(device)
        return replace(self, walk=self.walk.to(device), symmetric=symmetric, pruned=pruned)

    def average(self, dense: Tensor) -> Tensor:
        r"""Product with :math:`\tilde A` (N, N)."""
        return self.walk @ dense

    def propagate_pruned(self, dense: Tensor) -> Tensor:
        """Product with the pruned graph (N, N) of Eq. 2."""
        return self.pruned @ dense

    def propagate_diffused(self, dense: Tensor) -> Tensor:
        """Product with the diffused graph (N, N) of Eq. 3."""
        return diffuse(self.symmetric, dense, teleport=self.teleport, tolerance=self.tolerance)

    def propagate(self, dense: Tensor) -> Tensor:
        """Product with the unpruned symmetric operator (N, N)."""
        return self.symmetric @ dense
