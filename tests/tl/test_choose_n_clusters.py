from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData

import scclu
from shared_checks import assert_nested_equal, global_random_state, snapshot


def blobs(n_cells=240, n_types=4, seed=0):
    """An embedding of well separated types."""
    rng = np.random.default_rng(seed)
    types = rng.integers(0, n_types, n_cells)
    centers = 10 * np.eye(max(n_types, 6))[:n_types]
    adata = AnnData(np.ones((n_cells, 2), dtype=np.float32))
    adata.obsm["X_rep"] = (centers[types] + rng.standard_normal((n_cells, centers.shape[1]))).astype(np.float32)
    return adata


@pytest.mark.parametrize("n_types", [3, 5])
def test_finds_separated_types_and_writes_the_evidence(n_types, tmp_path):
    adata = blobs(n_types=n_types)
    before, state = snapshot(adata), global_random_state()
    assert scclu.tl.choose_n_clusters(adata, use_rep="X_rep", k_range=(2, 8)) == n_types
    assert global_random_state() == state
    found = adata.uns["choose_n_clusters"]
    assert set(found) == {"k", "leiden_k", "table", "params"} and found["k"] == n_types
    assert found["table"].columns.tolist() == ["k", "stability", "stability_sd", "silhouette"]
    assert found["table"]["k"].tolist() == list(range(2, 9))
    assert found["table"].set_index("k")["stability"][n_types] > 0.95
    assert found["params"]["n_cells"] == adata.n_obs
    scclu.pl.choose_n_clusters(adata, show=False)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert_nested_equal(ad.read_h5ad(tmp_path / "cells.h5ad").uns["choose_n_clusters"]["params"], found["params"])
    del adata.uns["choose_n_clusters"]
    assert snapshot(adata) == before


def test_same_seed_same_table_in_any_order_of_cells():
    first, second = blobs(), blobs()[np.random.default_rng(1).permutation(240)].copy()
    for adata in (first, second):
        scclu.tl.choose_n_clusters(adata, use_rep="X_rep", k_range=(3, 5), random_state=1)
    tables = [adata.uns["choose_n_clusters"]["table"] for adata in (first, second)]
    assert tables[0].equals(tables[1])


def test_k_stays_in_the_range_and_copy():
    adata = blobs()
    before = snapshot(adata)
    k, copied = scclu.tl.choose_n_clusters(adata, use_rep="X_rep", k_range=(6, 7), key_added="mine", copy=True)
    assert 6 <= k <= 7 and copied.uns["mine"]["k"] == k
    assert snapshot(adata) == before
    view = adata[:100]
    scclu.tl.choose_n_clusters(view, use_rep="X_rep", k_range=(2, 3))
    assert "choose_n_clusters" in view.uns and "choose_n_clusters" not in adata.uns


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"use_rep": "X_pca"}, ValueError, "'X_pca'"),
        ({"use_rep": None}, TypeError, "use_rep must be a key"),
        ({"use_rep": "nan"}, ValueError, "1 values that are NaN"),
        ({"k_range": (1, 5)}, ValueError, r"2 <= low <= high, but \(1, 5\)"),
        ({"k_range": (5, 3)}, ValueError, r"\(5, 3\)"),
        ({"k_range": 5}, TypeError, "two whole numbers.*but 5 was"),
        ({"k_range": (2.0, 5)}, TypeError, "two whole numbers"),
        ({"k_range": (2, 300)}, ValueError, r"at 192 or below.*\(2, 300\) was passed"),
        ({"key_added": ""}, TypeError, "key_added"),
        ({"random_state": -1}, ValueError, "random_state"),
    ],
)
def test_bad_input(kwargs, error, message):
    adata = blobs()
    adata.obsm["nan"] = adata.obsm["X_rep"].copy()
    adata.obsm["nan"][0, 0] = np.nan
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        scclu.tl.choose_n_clusters(adata, **{"use_rep": "X_rep"} | kwargs)
    assert snapshot(adata) == before
