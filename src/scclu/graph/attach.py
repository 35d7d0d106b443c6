"""New cells hung on a trained graph, without changing what the training cells see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from scclu.graph.operator import SparseOperator

if TYPE_CHECKING:
    from torch import Tensor

    from scclu.graph.views import GraphViews

__all__ = ["AttachedViews"]


@dataclass(frozen=True)
class AttachedViews:
    r"""Operators of a graph of N cells and of M new cells that each take from k of them and give to none.

    All products are with the stacked rows of the N cells and the M new ones. The first N rows of a product are those of
    the graph alone; a new cell's row depends on no other new cell.

    Attributes
    ----------
    graph
        Operators among the N cells.
    symmetric, pruned, walk
        Weights of the neighbours of the new cells, ``(M, N)``: the entries that the new rows of :math:`S`,
        of its pruned copy and of :math:`\tilde A` would have.
    own
        Weight of a new cell itself in all three, 1 / (k + 1).
    """

    graph: GraphViews
    symmetric: SparseOperator
    pruned: SparseOperator
    walk: SparseOperator
    own: float

    @classmethod
    def from_neighbors(
        cls,
        graph: GraphViews,
        neighbors: np.ndarray,
        degree: np.ndarray,
        pruned_degree: np.ndarray,
        *,
        device: torch.device | str = "cpu",
    ) -> AttachedViews:
        """Build from the neighbours of each new cell.

        Parameters
        ----------
        graph
            Operators among the N cells.
        neighbors
            Indices of the neighbours, ``(M, k)``.
        degree, pruned_degree
            Neighbours of each of the N cells in the graph and in its pruned copy, ``(N,)``.
        """
        n_new, k = neighbors.shape

        def operator(weight: np.ndarray) -> SparseOperator:
            indptr = np.arange(0, n_new * k + 1, k)
            shape = (n_new, len(degree))
            matrix = sparse.csr_matrix((weight.ravel(), neighbors.ravel(), indptr), shape=shape)
            return SparseOperator.from_scipy(matrix, device=device)

        return cls(
            graph,
            operator(1 / np.sqrt((k + 1.0) * (degree[neighbors] + 1.0))),
            operator(1 / np.sqrt((k + 1.0) * (pruned_degree[neighbors] + 1.0))),
            operator(np.full(neighbors.shape, 1 / (k + 1.0))),
            1 / (k + 1.0),
        )

    @property
    def n_reference(self) -> int:
        """N: self-correlation (Eq. 7) runs over these cells."""
        return self.graph.n_reference

    def _split(self, dense: Tensor) -> tuple[Tensor, Tensor]:
        return dense[: self.n_reference], dense[self.n_reference :]

    def propagate_pruned(self, dense: Tensor) -> Tensor:
        """Product with the pruned graph of Eq. 2."""
        old, new = self._split(dense)
        return torch.cat([self.graph.propagate_pruned(old), self.pruned @ old + self.own * new])

    def propagate_diffused(self, dense: Tensor) -> Tensor:
        r"""Product with the diffused graph of Eq. 3.

        The new rows of :math:`(I - (1-\alpha) S) Y = \alpha H` are solved in closed form, given Y of the N cells.
        """
        old, new = self._split(dense)
        diffused = self.graph.propagate_diffused(old)
        teleport = self.graph.teleport
        new = (teleport * new + (1 - teleport) * (self.symmetric @ diffused)) / (1 - (1 - teleport) * self.own)
        return torch.cat([diffused, new])

    def average(self, dense: Tensor) -> Tensor:
        r"""Product with :math:`\tilde A`."""
        old, new = self._split(dense)
        return torch.cat([self.graph.average(old), self.walk @ old + self.own * new])
