"""A neighbour graph that the user made, from obsp."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from scclu.data.matrix import listed

logger = logging.getLogger(__name__)
_DEFAULT = "connectivities"


def select_neighbors(adata: AnnData, neighbors_key: str) -> tuple[Any, str]:
    """The matrix that ``adata.uns[neighbors_key]["connectivities_key"]`` names, as it is, and that name.

    Raises
    ------
    ValueError
        If there is no such key, or no such matrix.
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
    """A graph as an undirected one without weights.

    Two cells are joined if either has the other as a neighbour, with whatever positive weight; weights and loops are
    dropped, since the method normalises a binary graph (section 3.1 of the paper). Cells without neighbours may occur.

    Parameters
    ----------
    matrix
        ``(n_cells, n_cells)``, sparse or dense.
    n_cells
        Cells there must be.
    source
        The matrix's name for messages.

    Returns
    -------
    Symmetric CSR matrix of float32 ones with an empty diagonal.

    Raises
    ------
    ValueError
        If the size is wrong, if weights are negative or not finite, or if there is no edge.
    """
    if tuple(matrix.shape) != (n_cells, n_cells):
        raise ValueError(f"{source} must be {n_cells} x {n_cells}, one row a cell, but has shape {matrix.shape}.")
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
