"""Operators of the graph that a training step needs, and the attachment of new cells to the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from scclu.graph.diffusion import Diffusion
from scclu.graph.knn import centered_unit_rows, nearest_cells
from scclu.graph.operator import SparseOperator, row_normalize, symmetric_normalize

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GraphOperators:
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
    ) -> GraphOperators:
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

    def to(self, device: torch.device) -> GraphOperators:
        """Return a copy on a device."""
        symmetric = self.symmetric.to(device)
        pruned = symmetric if self.pruned is self.symmetric else self.pruned.to(device)
        return replace(self, walk=self.walk.to(device), symmetric=symmetric, pruned=pruned)

    @property
    def diffused(self) -> Diffusion:
        """The diffused graph (N, N) of Eq. 3."""
        return Diffusion(self.symmetric, self.teleport, self.tolerance)


@dataclass(frozen=True)
class AttachedDiffusion(Diffusion):
    r"""The diffused graph of N cells and M new ones.

    The new rows of :math:`(I - (1-\alpha) S) Y = \alpha H` are solved in closed form, given Y of the N cells.

    Attributes
    ----------
    neighbors
        Weights of the neighbours of the new cells in :math:`S`, ``(M, N)``.
    own
        Weight of a new cell itself.
    """

    neighbors: SparseOperator
    own: float

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Multiply a dense (N + M, d) tensor."""
        n_reference = self.operator.n_cells
        diffused = super().__matmul__(dense[:n_reference])
        rest = 1 - self.teleport
        new = (self.teleport * dense[n_reference:] + rest * (self.neighbors @ diffused)) / (1 - rest * self.own)
        return torch.cat([diffused, new])


@dataclass(frozen=True)
class AttachedOperators:
    r"""Operators of a graph of N cells and of M new cells, each of which averages over k of them.

    All operators are of shape (N + M, N + M). Their first N rows are those of the graph alone, since nothing flows from
    a new cell to another cell.

    Attributes
    ----------
    walk, pruned, diffused
        :math:`\tilde A`, :math:`A^r` and :math:`A^d`, as in :class:`GraphOperators`.
    n_reference
        N: self-correlation (Eq. 7) runs over these cells.
    """

    walk: SparseOperator
    pruned: SparseOperator
    diffused: AttachedDiffusion
    n_reference: int

    @classmethod
    def from_neighbors(
        cls,
        graph: GraphOperators,
        neighbors: np.ndarray,
        degree: np.ndarray,
        pruned_degree: np.ndarray,
        *,
        device: torch.device | str = "cpu",
    ) -> AttachedOperators:
        """Build from the neighbours of each new cell.

        Parameters
        ----------
        graph
            Operators among the N cells.
        neighbors
            Indices of the neighbours, ``(M, k)``.
        degree, pruned_degree
            Number of neighbours of each of the N cells in the graph and in its pruned copy, ``(N,)``.
        device
            Device of the operators.
        """
        n_new, k = neighbors.shape
        own = 1 / (k + 1.0)

        def rows(weight: np.ndarray) -> sparse.csr_matrix:
            indptr = np.arange(0, n_new * k + 1, k)
            return sparse.csr_matrix((weight.ravel(), neighbors.ravel(), indptr), shape=(n_new, len(degree)))

        def enlarged(operator: SparseOperator, weight: np.ndarray) -> SparseOperator:
            blocks = [[operator.to_scipy(), None], [rows(weight), own * sparse.identity(n_new)]]
            return SparseOperator.from_scipy(sparse.bmat(blocks, format="csr"), device=device)

        smooth = SparseOperator.from_scipy(rows(np.sqrt(own / (degree[neighbors] + 1.0))), device=device)
        symmetric = graph.symmetric.to(torch.device(device))
        return cls(
            enlarged(graph.walk, np.full(neighbors.shape, own)),
            enlarged(graph.pruned, np.sqrt(own / (pruned_degree[neighbors] + 1.0))),
            AttachedDiffusion(symmetric, graph.teleport, graph.tolerance, smooth, own),
            graph.n_reference,
        )


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
        self, new: torch.Tensor, n_neighbors: int, operators: GraphOperators, *, random_state: int, device: torch.device
    ) -> AttachedOperators:
        """Build the operators of the graph and of new cells, joined to their nearest cells by Pearson correlation.

        Parameters
        ----------
        new
            Principal components of the new cells, ``(n_new, n_features)``.
        n_neighbors
            Number of cells that a new cell averages over.
        operators
            Operators of the graph among the N cells.
        random_state
            Random seed of the approximate search.
        device
            Device of the operators.
        """
        neighbors = nearest_cells(
            centered_unit_rows(self.components.numpy()),
            centered_unit_rows(new.numpy()),
            min(n_neighbors, len(self.components)),
            random_state=random_state,
        )
        degrees = np.diff(self.adjacency.indptr), np.diff(self.pruned.indptr)
        return AttachedOperators.from_neighbors(operators, neighbors, *degrees, device=device)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by name, to be saved in a file."""
        parts = {"components": self.components}
        for name, graph in (("graph", self.adjacency), ("pruned", self.pruned)):
            parts[f"{name}_indptr"] = torch.from_numpy(graph.indptr.astype(np.int64))
            parts[f"{name}_indices"] = torch.from_numpy(graph.indices.astype(np.int64))
        return parts

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> ReferenceGraph:
        """Build from what :meth:`tensors` returned; raises KeyError or ValueError if `tensors` are not valid."""

        def graph(name: str) -> sparse.csr_matrix:
            indptr, indices = (tensors[f"{name}_{part}"].numpy() for part in ("indptr", "indices"))
            n_cells = len(indptr) - 1
            matrix = sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(n_cells, n_cells))
            matrix.check_format(full_check=True)
            if len(indices) != indptr[-1]:
                raise ValueError(f"{name} has more indices than its indptr says")
            return matrix

        if tensors["components"].dtype != torch.float32:
            raise ValueError("components are not float32")

        return cls(tensors["components"], graph("graph"), graph("pruned"))


def restore_cells(tensors: Mapping[str, torch.Tensor], n_cells: int, n_dims: int) -> tuple[ReferenceGraph, np.ndarray]:
    """Return the graph and the embedding of the training cells of a saved model; ValueError if they do not fit."""
    reference, embedding = ReferenceGraph.from_tensors(tensors), tensors["embedding"].numpy()
    if embedding.shape[1:] != (n_dims,) or embedding.dtype != np.float32:
        raise ValueError(f"the embedding is not {n_dims} float32 a cell")
    shapes = [graph.shape for graph in (reference.adjacency, reference.pruned)]
    if not n_cells == len(reference.components) == len(embedding) or shapes != [(n_cells,) * 2] * 2:
        raise ValueError(f"components, graph and embedding are not of {n_cells} cells")
    return reference, embedding
