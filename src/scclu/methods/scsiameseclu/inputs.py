"""Reading of a user's neighbour graph and of the counts for ZINB from AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from scclu.data.counts import Counts, read_counts
from scclu.data.matrix import Matrix, reordered
from scclu.data.neighbors import as_adjacency, select_neighbors
from scclu.data.recipe import Recipe


def read_graph(adata: AnnData, neighbors_key: str, order: np.ndarray) -> sparse.csr_matrix:
    """Read the user's graph, with its cells in `order`, as a binary symmetric matrix."""
    matrix, name = select_neighbors(adata, neighbors_key)
    graph = as_adjacency(matrix, adata.n_obs, f"adata.obsp[{name!r}]")
    graph = sparse.csr_matrix(graph[order][:, order])
    graph.sort_indices()
    return graph


def read_training_counts(
    adata: AnnData,
    counts_layer: str | None,
    order: np.ndarray,
    genes: np.ndarray,
    setup: Mapping[str, Any],
    n_top_genes: int,
    read: tuple[Matrix, np.ndarray, str] | None,
) -> Counts:
    """Read the counts that ZINB models.

    Parameters
    ----------
    adata, counts_layer
        As passed to the model.
    order
        Order of the cells in training.
    genes
        Genes that the model uses. If it uses a representation instead, highly variable genes are selected here.
    setup
        Arguments of ``setup_anndata``.
    n_top_genes
        Number of highly variable genes.
    read
        What :func:`~scclu.data.matrix.read_matrix` returned for the layer of `setup`, if it was read before.
    """
    matrix, names, source = read_counts(adata, counts_layer, layer=setup["layer"], read=read)
    matrix = reordered(matrix, order)
    if setup["use_rep"] is not None:
        genes = Recipe.fit(matrix, names, source, n_top_genes=n_top_genes)[0].genes
    position = {gene: i for i, gene in enumerate(names)}
    return Counts.of(matrix, [position[gene] for gene in genes])
