from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scclu
from conftest import simulated_counts
from shared_checks import global_random_state, snapshot


@pytest.fixture(scope="module")
def mixed():
    """Three types; cells of the first are divided at random, as a clustering that is wrong would."""
    adata = simulated_counts(300, 200)
    halves = np.random.default_rng(0).integers(0, 2, adata.n_obs).astype(str)
    types = adata.obs["type"].astype(str)
    adata.obs["wrong"] = pd.Categorical(types.where(types != "0", "0-" + halves))
    return adata


def test_true_clusters_are_stable_and_wrong_ones_are_not(mixed, tmp_path, capsys):
    tool = scclu.tl.stability  # imports other packages, which draw random numbers
    adata, before, state = mixed.copy(), snapshot(mixed), global_random_state()
    assert tool(adata, "wrong", n_runs=5) is None
    assert global_random_state() == state and "Subsamples" in capsys.readouterr().err
    table = adata.uns["wrong_stability"]["table"]
    assert table["cluster"].tolist() == ["0-0", "0-1", "1", "2"]
    np.testing.assert_array_equal(table["n_cells"], adata.obs["wrong"].value_counts().sort_index())
    stable = table.set_index("cluster")["jaccard"]
    assert stable[["1", "2"]].min() > 0.9 and stable[["0-0", "0-1"]].max() < 0.7
    share = adata.obs["wrong_stability"]
    assert share.dtype == np.float32 and share.dropna().between(0, 1).all()
    assert share[adata.obs["wrong"] == "1"].mean() > share[adata.obs["wrong"] == "0-0"].mean() + 0.1
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad").uns["wrong_stability"]
    pd.testing.assert_frame_equal(read["table"], table, check_dtype=False)
    scclu.pl.stability(adata, "wrong", show=False)
    del adata.obs["wrong_stability"], adata.uns["wrong_stability"], adata.uns["wrong_colors"]
    assert snapshot(adata) == before


def test_same_seed_same_result_in_any_order_of_cells(mixed):
    order = np.random.default_rng(1).permutation(mixed.n_obs)
    runs = {"n_runs": 2, "key_added": "mine", "copy": True}
    first, second, other = (
        scclu.tl.stability(cells, "wrong", **runs, random_state=seed)
        for cells, seed in ((mixed, 1), (mixed[order], 1), (mixed, 42))
    )
    assert "mine" not in mixed.uns
    pd.testing.assert_frame_equal(first.uns["mine"]["table"], second.uns["mine"]["table"])
    assert not first.uns["mine"]["table"].equals(other.uns["mine"]["table"])
    np.testing.assert_array_equal(first.obs["mine"].iloc[order], second.obs["mine"])


def test_cells_without_a_cluster_or_a_run(mixed):
    adata = mixed.copy()
    adata.obs["wrong"] = adata.obs["wrong"].where(adata.obs["wrong"] != "2")
    scclu.tl.stability(adata, "wrong", n_runs=1, fraction=0.5)
    unknown = adata.obs["wrong_stability"].isna()
    n_known = int(adata.obs["wrong"].notna().sum())
    assert unknown[adata.obs["wrong"].isna()].all() and (~unknown).sum() == round(0.5 * n_known)
    assert adata.uns["wrong_stability"]["table"]["cluster"].tolist() == ["0-0", "0-1", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "cicl"}, "key must be a column.*'cicl'"),
        ({"key": "one"}, "at least two clusters"),
        ({"n_runs": 0}, "n_runs must be at least 1"),
        ({"fraction": 0}, "fraction must be"),
        ({"fraction": 1.5}, "fraction must be"),
        ({"fraction": 0.001}, "at least 4 cells, but has 0"),
        ({"use_rep": "X_pca"}, "use_rep must be a key"),
        ({"key_added": "wrong"}, "key_added"),
    ],
)
def test_bad_input(mixed, arguments, message):
    adata = mixed.copy()
    adata.obs["one"] = "a"
    before = snapshot(adata)
    with pytest.raises((TypeError, ValueError), match=message):
        scclu.tl.stability(adata, **{"key": "wrong", **arguments})
    assert snapshot(adata) == before


def test_few_cells():
    adata = simulated_counts(6)
    adata.obs["pairs"] = list("aabbcc")
    scclu.tl.stability(adata, "pairs", n_runs=3)
    assert adata.uns["pairs_stability"]["table"]["jaccard"].between(0, 1).all()


def test_batches_of_the_clustering_are_corrected():
    adata = simulated_counts(300, 120)
    batch = np.random.default_rng(0).integers(0, 2, adata.n_obs)
    factor = np.exp(2 * np.random.default_rng(1).standard_normal(adata.n_vars))
    adata.X = (adata.X.toarray() * np.where(batch[:, None] == 1, factor, 1.0)).round().astype(np.float32)
    adata.obs["donor"] = np.array(["a", "b"])[batch]
    scclu.tl.cicl(adata, 3, batch_key="donor", max_epochs=1, accelerator="cpu")
    other = adata.copy()
    del other.obs["donor"]  # nothing is known of the batches
    for cells in (adata, other):
        scclu.tl.stability(cells, "cicl", n_runs=3)
    known, unknown = (cells.uns["cicl_stability"]["table"]["jaccard"].mean() for cells in (adata, other))
    assert known > 0.9 and known > unknown + 0.1
