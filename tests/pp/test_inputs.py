"""Principal axes, counts and the user's graph."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from conftest import simulated_counts
from scclu.pp.components import principal_axes
from scclu.pp.counts import Counts, read_counts
from scclu.pp.neighbors import as_adjacency


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_principal_axes_equal_the_svd(n_blocks):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 40)) * np.linspace(5, 0.1, 40) + 3).astype(np.float32)
    mean, axes = principal_axes(lambda: [lambda b=b: b for b in np.array_split(x, n_blocks)], 40, 6)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-4)
    exact = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:6].T
    np.testing.assert_allclose(np.abs((axes * exact).sum(0)), 1, atol=1e-3)


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
    assert counts.matrix.shape == (120, 2) and counts.mean().shape == (2,)


def test_adjacency_by_hand():
    graph = np.array([[7, 0.5, 0], [0, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(as_adjacency(graph, 3, "graph").toarray(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    with pytest.raises(ValueError, match=r"graph must be 4 x 4.*shape \(3, 3\)"):
        as_adjacency(sparse.csr_matrix(graph), 4, "graph")
