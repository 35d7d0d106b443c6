from __future__ import annotations

import numpy as np
import scanpy as sc

import scclu


def test_pbmc68k_reduced_has_counts_that_give_the_file_back():
    adata = scclu.datasets.pbmc68k_reduced()
    assert adata.shape == (700, 765)
    assert adata.obs["cell_type"].nunique() == 10
    counts = adata.X.toarray()
    assert np.array_equal(counts, np.round(counts)) and counts.min() == 0
    source = sc.datasets.pbmc68k_reduced()
    logged = np.log1p(counts / source.obs["n_counts"].to_numpy()[:, None] * 1e4)
    # the file has three decimals
    np.testing.assert_allclose(logged, source.raw.X.toarray(), atol=6e-4, rtol=0)
