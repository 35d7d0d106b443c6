from __future__ import annotations

import anndata
import numpy as np
import pytest

import scclu
from shared_checks import simulated_counts


@pytest.fixture(scope="module")
def clustered():
    adata = simulated_counts(400, 200)
    scclu.tl.cicl(adata, max_epochs=3, accelerator="cpu")
    return adata


@pytest.mark.parametrize("n_clusters", [2, 5, 8])
def test_equals_the_call_with_that_number(clustered, n_clusters):
    adata = clustered.copy()
    scclu.tl.cut_tree(adata, n_clusters=n_clusters)
    scclu.tl.cicl(adata, n_clusters, max_epochs=3, accelerator="cpu")
    assert (adata.obs[f"cicl_{n_clusters}"] == adata.obs["cicl"]).all()
    np.testing.assert_allclose(adata.obs[f"cicl_{n_clusters}_confidence"], adata.obs["cicl_confidence"], atol=1e-5)


def test_resolution_one_gives_the_distinct_clusters(clustered):
    adata = clustered.copy()
    scclu.tl.cut_tree(adata, resolution=1, key_added="distinct")
    assert (adata.obs["distinct"] == adata.obs["cicl"]).all()
    scclu.tl.cut_tree(adata, resolution=2)
    assert adata.obs["cicl_r2"].nunique() == 1
    scclu.tl.cut_tree(adata, resolution=0.2)
    assert adata.obs["cicl_r0.2"].nunique() >= adata.obs["cicl"].nunique()


def test_from_a_file(clustered, tmp_path):
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    adata = anndata.read_h5ad(tmp_path / "cells.h5ad")
    scclu.tl.cut_tree(adata, n_clusters=4)
    expected = scclu.tl.cut_tree(clustered, n_clusters=4, copy=True)
    assert (adata.obs["cicl_4"] == expected.obs["cicl_4"]).all() and "cicl_4" not in clustered.obs
    adata.write_h5ad(tmp_path / "again.h5ad")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of them"),
        ({"n_clusters": 3, "resolution": 1.0}, "one of them"),
        ({"n_clusters": 0}, "n_clusters must be"),
        ({"n_clusters": 10_000}, "n_clusters must be"),
        ({"resolution": -1}, "resolution must be"),
        ({"key": "leiden", "n_clusters": 3}, "has no tree"),
        ({"n_clusters": 3, "key_added": "cicl"}, "key_added"),
    ],
)
def test_bad_input(clustered, arguments, message):
    before = clustered.copy()
    with pytest.raises((TypeError, ValueError), match=message):
        scclu.tl.cut_tree(clustered, **arguments)
    assert set(clustered.obs) == set(before.obs) and set(clustered.uns) == set(before.uns)


def test_removed_cells_and_results(clustered):
    first = clustered[clustered.obs["cicl_fine"] != "0"].copy()
    with pytest.raises(ValueError, match="cells were removed"):
        scclu.tl.cut_tree(first, n_clusters=2)
    without = clustered.copy()
    del without.obsm["X_cicl"]
    with pytest.raises(ValueError, match="needs"):
        scclu.tl.cut_tree(without, n_clusters=2)
