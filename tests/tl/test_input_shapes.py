"""Numbers of cells, genes, clusters and cells in a batch: a result, or an error of scclu's own."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from input_checks import METHODS, PLACES, K, cells, extra, outcome


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("storage", "place"), [(sparse.csr_matrix, "X"), (np.asarray, "layer"), (np.asarray, "obsm")], ids=PLACES
)
@pytest.mark.parametrize("n_genes", [0, 1, 2, 40])
@pytest.mark.parametrize("n_cells", [0, 1, 2, K, K + 1, 9])
def test_shapes(n_cells, n_genes, storage, place, method):
    """From no cells and genes to more cells than clusters, in every place."""
    values = cells(30, 40).X[:n_cells, :n_genes]
    values[:, :1] += 1
    adata = AnnData(np.ones((n_cells, 3), dtype=np.float32))
    if place == "X":
        adata, arguments = AnnData(storage(values)), {}
    elif place == "layer":
        adata, arguments = AnnData(layers={"mine": storage(values)}), {"layer": "mine"}
    else:
        adata.obsm["mine"], arguments = storage(values), {"use_rep": "mine"}
    error = outcome(method, adata, **arguments, **extra(method, place))
    if n_cells == 0 or n_genes == 0:
        assert f"{n_cells} cells and {n_genes} features" in str(error)
    elif n_cells == 1:
        assert "1 cell" in str(error)
    elif n_cells < K:
        assert f"number of cells ({n_cells})" in str(error)
    else:
        assert error is None, error


SIZES = [(2, 1), (3, 2), (4, 3), (9, 8), (9, 9), (9, 100), (33, 32), (129, 128), (129, None)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_clusters", [2, K])
@pytest.mark.parametrize(("n_cells", "batch_size"), SIZES)
def test_batches(n_cells, batch_size, n_clusters, method):
    """Networks train on any number of cells in batches of any size, and on a last batch of one cell."""
    error = outcome(method, cells(n_cells), n_clusters=n_clusters, batch_size=batch_size)
    if n_cells < n_clusters:
        assert f"number of cells ({n_cells})" in str(error)
    else:
        assert error is None, error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n_cells", "batch_size"), [(2, 1), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in SIZES[1:])]
)
def test_batches_by_default(n_cells, batch_size, method):
    """The number of clusters is estimated, and the embedding clustered as by default."""
    error = outcome(method, cells(n_cells), n_clusters=None, batch_size=batch_size, cluster_method=None)
    assert error is None, error
