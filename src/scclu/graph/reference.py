"""The training cells and their graph, which new cells are hung on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from .attach import AttachedViews
from .knn import centered_unit_rows, nearest_cells
from .views import GraphViews


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
