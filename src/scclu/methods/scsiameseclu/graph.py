"""The operators of a graph that a training step needs, and new cells hung on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from scclu.graph.diffusion import diffuse
from scclu.graph.knn import centered_unit_rows, nearest_cells
from scclu.graph.operator import SparseOperator, row_normalize, symmetric_normalize

if TYPE_CHECKING:
    from torch import Tensor


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


@dataclass
class ReferenceGraph:
    """Principal components of N cells, the graph among them, and the graph without its weakest edges.

    Attributes
    ----------
    components
        ``(n_cells, n_features)``.
    adjacency, pruned
        Symmetric binary graphs, ``(n_cells, n_cells)``.
    """

    components: torch.Tensor
    adjacency: sparse.csr_matrix
    pruned: sparse.csr_matrix

    def attach(
        self, new: torch.Tensor, n_neighbors: int, views: GraphViews, *, random_state: int, device: torch.device
    ) -> AttachedViews:
        """Operators of the graph and of new cells at their nearest cells by Pearson correlation.

        Parameters
        ----------
        new
            Principal components of the new cells, ``(n_new, n_features)``.
        n_neighbors
            Cells that a new cell takes from.
        views
            Operators of the graph among the N cells.
        random_state
            Of the approximate search.
        device
            Where the operators are put.
        """
        neighbors = nearest_cells(
            centered_unit_rows(self.components.numpy()),
            centered_unit_rows(new.numpy()),
            min(n_neighbors, len(self.components)),
            random_state=random_state,
        )
        degrees = np.diff(self.adjacency.indptr), np.diff(self.pruned.indptr)
        return AttachedViews.from_neighbors(views.to(device), neighbors, *degrees, device=device)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All of it, by names, for a file."""
        parts = {"components": self.components}
        for name, graph in (("graph", self.adjacency), ("pruned", self.pruned)):
            parts[f"{name}_indptr"] = torch.from_numpy(graph.indptr.astype(np.int64))
            parts[f"{name}_indices"] = torch.from_numpy(graph.indices.astype(np.int64))
        return parts

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> ReferenceGraph:
        """What :meth:`tensors` gave; KeyError or ValueError where it is not that."""

        def graph(name: str) -> sparse.csr_matrix:
            indptr, indices = (tensors[f"{name}_{part}"].numpy() for part in ("indptr", "indices"))
            n_cells = len(indptr) - 1
            matrix = sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(n_cells, n_cells))
            matrix.check_format(full_check=True)
            if len(indices) != indptr[-1]:
                raise ValueError(f"{name} has more edges than it says")
            return matrix

        if tensors["components"].dtype != torch.float32:
            raise ValueError("components are not float32")

        return cls(tensors["components"], graph("graph"), graph("pruned"))
