from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scclu
from conftest import simulated_counts
from shared_checks import global_random_state, snapshot


@pytest.fixture(scope="module")
def cut_types():
    """Three types, each cut in two at random."""
    adata = simulated_counts(600, 200)
    halves = np.random.default_rng(0).integers(0, 2, adata.n_obs).astype(str)
    adata.obs["halves"] = pd.Categorical(adata.obs["type"].astype(str) + halves)
    return adata


def test_merges_what_is_one_type(cut_types, tmp_path):
    tool = scclu.tl.test_clusters  # imports other packages, which draw random numbers
    adata, before, state = cut_types.copy(), snapshot(cut_types), global_random_state()
    assert tool(adata, "halves", merge=True) is None
    assert global_random_state() == state
    merged = adata.obs["halves_merged"]
    assert pd.crosstab(merged, adata.obs["type"]).astype(bool).sum().sum() == 3
    largest = adata.obs.groupby("type", observed=True)["halves"].agg(lambda names: names.value_counts().index[0])
    assert merged.cat.categories.tolist() == sorted(largest)
    results = adata.uns["halves_tests"]
    table, after = results["table"], results["merged_table"]
    # all pairs of 6, and of 3 clusters
    assert (len(table), len(after)) == (15, 3) and (after["p_adjusted"] < 0.05).all()
    same = table["cluster_1"].str[0] == table["cluster_2"].str[0]
    np.testing.assert_array_equal(table["p_adjusted"] >= 0.05, same)
    sizes = adata.obs["halves"].value_counts()
    np.testing.assert_array_equal(table["n_cells_1"], sizes[table["cluster_1"]])
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    for name in ("table", "merged_table"):
        pd.testing.assert_frame_equal(read.uns["halves_tests"][name], results[name], check_dtype=False)
    del adata.obs["halves_merged"], adata.uns["halves_tests"]
    assert snapshot(adata) == before


def test_order_of_cells_and_names_do_not_matter(cut_types):
    first = scclu.tl.test_clusters(cut_types, "halves", key_added="mine", merge=True, copy=True)
    order = np.random.default_rng(1).permutation(cut_types.n_obs)
    second = cut_types[order].copy()
    scclu.tl.test_clusters(second, "halves", key_added="mine", merge=True)
    assert "mine" not in cut_types.uns
    pd.testing.assert_frame_equal(first.uns["mine"]["table"], second.uns["mine"]["table"])
    assert (first.obs["mine"].iloc[order] == second.obs["mine"]).all()


def test_cells_without_a_label_are_left_out(cut_types):
    adata = cut_types.copy()
    adata.obs["halves"] = adata.obs["halves"].where(adata.obs["type"] != "2")
    scclu.tl.test_clusters(adata, "halves", merge=True)
    assert adata.obs["halves_merged"].isna().equals(adata.obs["halves"].isna())
    alone = cut_types[cut_types.obs["type"] != "2"].copy()
    scclu.tl.test_clusters(alone, "halves")
    pd.testing.assert_frame_equal(adata.uns["halves_tests"]["table"], alone.uns["halves_tests"]["table"])


def test_representation_and_batches(cut_types):
    adata = cut_types.copy()
    rng = np.random.default_rng(0)
    adata.obsm["X_two"] = rng.standard_normal((adata.n_obs, 3)).astype(np.float32)
    adata.obsm["X_two"][:, 0] += 8 * (adata.obs["batch"] == "a")
    # labels are 90 % batch
    noise = rng.random(adata.n_obs) < 0.9
    adata.obs["guess"] = np.where(noise, adata.obs["batch"] == "a", adata.obs["batch"] == "b").astype(str)
    scclu.tl.test_clusters(adata, "guess", use_rep="X_two")
    assert adata.uns["guess_tests"]["table"]["p"][0] < 0.001
    scclu.tl.test_clusters(adata, "guess", use_rep="X_two", batch_key="batch")
    assert adata.uns["guess_tests"]["table"]["p"][0] > 0.05


def test_reads_what_was_clustered(cut_types):
    adata = cut_types.copy()
    adata.X = np.full(adata.shape, -1.5, dtype=np.float32)
    adata.obs["cicl"] = adata.obs["halves"]
    adata.uns["cicl"] = {"params": {"layer": "counts", "use_rep": "None"}}
    scclu.tl.test_clusters(adata, "cicl")
    expected = scclu.tl.test_clusters(cut_types, "halves", copy=True)
    pd.testing.assert_frame_equal(adata.uns["cicl_tests"]["table"], expected.uns["halves_tests"]["table"])


def test_clusters_of_single_cells():
    adata = simulated_counts(40)
    adata.obs["many"] = np.arange(40).astype(str)
    scclu.tl.test_clusters(adata, "many", merge=True)
    assert 1 <= adata.obs["many_merged"].nunique() <= 3
    table = adata.uns["many_tests"]["table"]
    assert (table["p"] == 1).all() and table["n_cells_1"].eq(1).all()


def test_one_cluster_is_a_result(tmp_path):
    adata = simulated_counts(200, 100, n_types=1)
    adata.obs["halves"] = np.random.default_rng(0).integers(0, 2, 200).astype(str)
    scclu.tl.test_clusters(adata, "halves", merge=True)
    assert adata.obs["halves_merged"].nunique() == 1 and len(adata.uns["halves_tests"]["merged_table"]) == 0
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert len(ad.read_h5ad(tmp_path / "cells.h5ad").uns["halves_tests"]["merged_table"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groupby": "leiden"}, "groupby must be a column.*'leiden'"),
        ({"groupby": "one"}, "at least two clusters"),
        ({"batch_key": "plate"}, "batch_key must be a column"),
        ({"use_rep": "X_pca"}, "use_rep must be a key"),
        ({"alpha": 2}, "alpha must be at least 0"),
        ({"key_added": "halves"}, "key_added"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_input(cut_types, arguments, message):
    adata = cut_types.copy()
    adata.obs["one"] = "a"
    before = snapshot(adata)
    with pytest.raises((TypeError, ValueError), match=message):
        scclu.tl.test_clusters(adata, **{"groupby": "halves", "merge": True, **arguments})
    assert snapshot(adata) == before
