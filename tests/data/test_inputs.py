"""Counts and the user's graph."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from conftest import simulated_counts
from scclu.data.counts import Counts, read_counts
from scclu.data.neighbors import as_adjacency


def test_size_factors_are_of_all_genes():
    adata = simulated_counts()
    empty = adata.X.toarray()
    empty[5] = 0
    adata.X = sparse.csr_matrix(empty)
    _, _, source = read_counts(adata, None)
    assert source == "adata.layers['counts']"
    del adata.layers["counts"]
    matrix, _, source = read_counts(adata, None)
    assert source == "adata.X"
    counts = Counts.of(matrix, [0, 3])
    library = np.asarray(matrix.sum(axis=1)).ravel()
    assert counts.size_factors[5] == 1
    np.testing.assert_allclose(counts.size_factors[0], library[0] / np.median(library[library > 0]), rtol=1e-6)
    assert counts.matrix.shape == (120, 2) and counts.mean.shape == (2,)


def test_adjacency_by_hand():
    graph = np.array([[7, 0.5, 0], [0, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(as_adjacency(graph, 3, "graph").toarray(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    with pytest.raises(ValueError, match=r"graph must be 4 x 4.*shape \(3, 3\)"):
        as_adjacency(sparse.csr_matrix(graph), 4, "graph")
