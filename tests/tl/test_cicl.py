from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import scclu
import shared_checks
from conftest import QUICK, simulated_counts
from scclu.methods.cicl.model import CICL

cicl = partial(scclu.tl.cicl, **QUICK)


@pytest.mark.parametrize(
    "check",
    [
        shared_checks.check_contract,
        shared_checks.check_seeds,
        shared_checks.check_no_label_is_read,
        shared_checks.check_shuffled_cells,
        shared_checks.check_storage,
    ],
)
def test_shared(check):
    check(cicl, "cicl")


@pytest.mark.parametrize("check", [shared_checks.check_round_trip, shared_checks.check_copy_view_and_backed])
def test_shared_with_files(check, tmp_path):
    check(cicl, "cicl", tmp_path / "cells.h5ad")


# names that are not unique are what is tested; AnnData warns of them
@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
@pytest.mark.parametrize("name", shared_checks.BAD_INPUT)
def test_bad_input(name):
    shared_checks.check_bad_input(cicl, name, pytest.raises)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("mask_rate", 1.0, "mask_rate must be at least 0 and below 1, but 1.0"),
        ("temperature", 0, "temperature must be above 0, but 0"),
        ("temperature", float("nan"), "temperature must be above 0, but nan"),
        ("cluster_weight", -0.1, "cluster_weight must be at least 0"),
        ("attention", "gene", "'cell', 'batch', but 'gene'"),
        ("cluster_method", "magic", "cluster_method must be one of .*'kmeans'.*but 'magic'"),
        ("centroid_refresh", "never", "'epoch', 'minibatch', but 'never'"),
        ("n_layers", 0, "n_layers must be at least 1"),
    ],
)
def test_bad_settings(adata, argument, value, message):
    with pytest.raises(ValueError, match=message):
        cicl(adata, 3, **{argument: value})


def test_equals_the_lines_a_user_would_write(adata):
    CICL.setup_anndata(adata)
    model = CICL(adata, 3, n_hidden=16, cluster_method="kmeans", random_state=5)
    model.train(max_epochs=3, accelerator="cpu")
    other = simulated_counts()
    cicl(other, 3, random_state=5)
    np.testing.assert_array_equal(other.obs["cicl"].astype(int), model.predict())
    np.testing.assert_array_equal(other.obsm["X_cicl"], model.get_latent_representation())


def test_finds_separated_types():
    adata = simulated_counts(300, 200)
    scclu.tl.cicl(adata, 3, max_epochs=40, n_hidden=64, accelerator="cpu")
    assert scclu.metrics.ari(adata.obs["type"], adata.obs["cicl"]) > 0.9


def test_unknown_number_of_clusters(adata):
    cicl(adata)
    assert adata.uns["cicl"]["n_clusters_source"] == "tree"
    assert adata.uns["cicl"]["n_clusters"] == adata.obs["cicl"].nunique() >= 1


def test_use_rep(adata):
    adata.obsm["X_rep"] = np.random.default_rng(0).standard_normal((adata.n_obs, 10)).astype(np.float32)
    cicl(adata, 3, use_rep="X_rep", n_components=0)
    first = adata.obsm["X_cicl"]
    adata.obsm["X_rep"] = adata.obsm["X_rep"] + 100  # a shift is taken out
    cicl(adata, 3, use_rep="X_rep", n_components=0)
    np.testing.assert_allclose(adata.obsm["X_cicl"], first, atol=0.05)
    cicl(adata, 3, n_components=0)
    assert not np.allclose(first, adata.obsm["X_cicl"], atol=0.5)


def test_running_again_replaces_the_results(adata):
    cicl(adata, 4)
    adata.obs["cicl"] = "old"
    cicl(adata, 3)
    assert adata.obs["cicl"].cat.categories.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize("n_cells", [2, 3, 4, 10])
def test_few_cells(n_cells):
    adata = simulated_counts(n_cells)
    cicl(adata, 2)
    assert adata.obs["cicl"].nunique() == 2


def test_minibatch_of_one_cell(adata):
    cicl(adata, 3, batch_size=1)
    assert np.isfinite(adata.obsm["X_cicl"]).all()


def test_identical_cells_warn_of_empty_clusters(adata):
    adata.X = np.tile(adata.X[:1].toarray(), (adata.n_obs, 1))
    with pytest.warns(UserWarning, match="2 of 3 clusters are empty"):
        cicl(adata, 3)
    assert adata.uns["cicl"]["n_clusters"] == 1


@pytest.mark.parametrize("real", [pytest.param("pollen", marks=pytest.mark.slow), "yan"])
def test_real_data(data_dir, real):
    """Counts and RPKM; a bound that PCA + K-means on 500 genes does not reach by chance."""
    import anndata as ad

    adata = ad.read_h5ad(data_dir / f"{real}.h5ad")
    scclu.tl.cicl(adata, adata.obs["cell_type"].nunique(), accelerator="cpu")
    assert scclu.metrics.ari(adata.obs["cell_type"], adata.obs["cicl"]) > 0.5


def test_tree(adata, tmp_path):
    """The tree in a file, its cut, and clusters of training cells that are passed as new ones"""
    from anndata import read_h5ad

    from scclu.cluster.tree import MergeTree

    model = scclu.tl.cicl(adata, max_epochs=1, accelerator="cpu", return_model=True)
    labels = adata.obs["cicl"].astype(int).to_numpy()
    soft = model.predict(soft=True)
    np.testing.assert_array_equal(model.predict(adata), labels)
    np.testing.assert_array_equal(soft.argmax(1), labels)
    np.testing.assert_array_equal(adata.obs["cicl_confidence"], soft.max(1))
    adata.write_h5ad(tmp_path / "a.h5ad")
    written = read_h5ad(tmp_path / "a.h5ad")
    for name, values in adata.uns["cicl"]["tree"].items():
        np.testing.assert_array_equal(written.uns["cicl"]["tree"][name], values)
    tree = MergeTree(**written.uns["cicl"]["tree"])
    cut = tree.cut(tree.n_distinct)[written.obs["cicl_fine"].astype(int)]
    assert tree.n_distinct == adata.uns["cicl"]["n_clusters"] and scclu.metrics.ari(cut, labels) > 0.8
