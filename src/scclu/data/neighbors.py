"""Neighbour graphs in ``adata.obsp`` that the user computed."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from scclu._checks import listed

logger = logging.getLogger(__name__)
_DEFAULT = "connectivities"


def select_neighbors(adata: AnnData, neighbors_key: str) -> tuple[Any, str]:
    """Select the graph that ``adata.uns[neighbors_key]["connectivities_key"]`` names.

    Returns
    -------
    The graph as it is stored in ``adata.obsp``, and its key there.

    Raises
    ------
    ValueError
        If `neighbors_key` is not in ``adata.uns``, or the graph is not in ``adata.obsp``.
    """
    if neighbors_key not in adata.uns:
        raise ValueError(
            f"neighbors_key must be a key of adata.uns, as scanpy.pp.neighbors writes, but {neighbors_key!r} was "
            f"passed. There are: {listed(adata.uns.keys())}."
        )
    entry = adata.uns[neighbors_key]
    name = entry.get("connectivities_key", _DEFAULT) if hasattr(entry, "get") else _DEFAULT
    if name not in adata.obsp:
        raise ValueError(
            f"adata.uns[{neighbors_key!r}] points to adata.obsp[{name!r}], which is missing. "
            f"There are: {listed(adata.obsp.keys())}."
        )
    return adata.obsp[name], name


def as_adjacency(matrix: Any, n_cells: int, source: str) -> sparse.csr_matrix:
    """Convert a graph to an undirected, unweighted adjacency matrix.

    Two cells are joined if either has the other as a neighbour with a positive weight. Weights and loops are dropped
    because scSiameseClu normalises a binary graph (section 3.1 of the paper). Cells without neighbours may occur.

    Parameters
    ----------
    matrix
        Weights, ``(n_cells, n_cells)``, sparse or dense.
    n_cells
        Expected number of cells.
    source
        Name of the matrix in messages.

    Returns
    -------
    Symmetric CSR matrix of float32 ones with an empty diagonal, ``(n_cells, n_cells)``.

    Raises
    ------
    ValueError
        If the shape is wrong, weights are negative or not finite, or there are no edges.
    """
    if tuple(matrix.shape) != (n_cells, n_cells):
        raise ValueError(f"{source} must be {n_cells} x {n_cells} (cells x cells), but has shape {matrix.shape}.")
    graph = sparse.csr_matrix(matrix, copy=True)
    if not np.isfinite(graph.data).all() or (graph.data < 0).any():
        raise ValueError(f"{source} holds weights that are negative or not finite; neighbours have positive weights.")
    weighted = bool(((graph.data != 0) & (graph.data != 1)).any())
    graph = sparse.csr_matrix(graph != 0, dtype=np.float32)
    graph.setdiag(0)
    graph.eliminate_zeros()
    union = sparse.csr_matrix(graph.maximum(graph.T))
    if union.nnz == 0:
        raise ValueError(f"{source} joins no two cells.")
    directed = (union != graph).nnz
    if weighted or directed:
        logger.info("%s: weights dropped: %s; edges made undirected: %d.", source, weighted, directed)
    union.sort_indices()
    return union
