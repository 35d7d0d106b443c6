from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scclu
from shared_checks import check_seeds, simulated_counts, snapshot

QUICK = {"max_epochs": 2, "accelerator": "cpu", "progress_bar": False}
METHODS = ["cicl", "scsiameseclu"]


def groups(names=("a", "b", "3")) -> ad.AnnData:
    """Cells of three types, each of which is a group."""
    adata = simulated_counts()
    kinds = adata.obs["type"].astype(str)
    adata.obs["group"] = pd.Categorical(kinds.map(dict(zip(sorted(set(kinds)), names, strict=True))))
    return adata


@pytest.fixture(scope="module")
def clustered():
    adata = simulated_counts(300, 100)
    scclu.tl.cicl(adata, 3, **QUICK)
    scclu.tl.cicl(adata, 2, restrict_to=("cicl", ["2", "0"]), **QUICK)
    return adata


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_call_with_these_cells(method):
    adata = groups()
    before = snapshot(adata)
    model = getattr(scclu.tl, method)(adata, 2, restrict_to=("group", ["3"]), return_model=True, **QUICK)
    key, chosen = f"{method}_R", (adata.obs["group"] == "3").to_numpy()
    alone = adata[chosen].copy()
    getattr(scclu.tl, method)(alone, 2, **QUICK)
    assert adata.obs[key].cat.categories.tolist() == ["3,0", "3,1", "a", "b"]
    assert (adata.obs.loc[chosen, key].astype(str) == "3," + alone.obs[method].astype(str)).all()
    assert (adata.obs.loc[~chosen, key].astype(str) == adata.obs.loc[~chosen, "group"].astype(str)).all()
    for column in ("confidence", "fine"):
        written = adata.obs[f"{key}_{column}"]
        assert written[~chosen].isna().all()
        assert written[chosen].tolist() == alone.obs[f"{method}_{column}"].tolist()
    np.testing.assert_array_equal(adata.obsm[f"X_{key}"][chosen], alone.obsm[f"X_{method}"])
    assert np.isnan(adata.obsm[f"X_{key}"][~chosen]).all() and adata.obsm[f"X_{key}"].dtype == np.float32
    np.testing.assert_array_equal(adata.uns[key]["tree"]["children"], alone.uns[method]["tree"]["children"])
    assert adata.uns[key]["n_clusters"] == 2 and model.adata.n_obs == chosen.sum()
    assert adata.uns[key]["params"]["key_added"] == key and alone.uns[method]["params"]["restrict_to"] is None
    for name in (key, f"{key}_confidence", f"{key}_fine"):
        del adata.obs[name]
    del adata.obsm[f"X_{key}"], adata.uns[key]
    assert snapshot(adata) == before


def test_batches_of_these_cells():
    """Batches that the other cells have play no part, and the table has the names in obs."""
    adata = groups()
    chosen = (adata.obs["group"] == "3").to_numpy()
    adata.obs["batch"] = np.where(chosen, adata.obs["batch"].astype(str), "elsewhere")
    scclu.tl.cicl(adata, 2, restrict_to=("group", ["3"]), batch_key="batch", **QUICK)
    alone = adata[chosen].copy()
    scclu.tl.cicl(alone, 2, batch_key="batch", **QUICK)
    np.testing.assert_array_equal(adata.obsm["X_cicl_R"][chosen], alone.obsm["X_cicl"])
    ours, theirs = (cells.uns[key]["batches"] for cells, key in ((adata, "cicl_R"), (alone, "cicl")))
    np.testing.assert_array_equal(ours["counts"], theirs["counts"])
    assert ours["table"]["cluster"].tolist() == ["3,0", "3,1"] and theirs["table"]["cluster"].tolist() == ["0", "1"]


def test_several_names_and_missing_labels():
    adata = groups(("a", "10", "9"))
    adata.obs.loc[adata.obs_names[:7], "group"] = None
    scclu.tl.cicl(adata, 2, restrict_to=("group", ["9", "a", "9"]), key_added="sub", **QUICK)
    assert adata.obs["sub"].cat.categories.tolist() == ["9-a,0", "9-a,1", "10"]
    assert adata.obs["sub"][:7].isna().all() and adata.obs["sub_confidence"][:7].isna().all()
    assert adata.uns["sub"]["params"]["restrict_to"]["names"].tolist() == ["9", "a"]
    # one name needs no list, and numbers are names as in all columns of labels
    adata.obs["number"] = adata.obs["type"].astype("category").cat.codes
    scclu.tl.cicl(adata, 2, restrict_to=("number", "1"), **QUICK)
    assert adata.obs["cicl_R"].cat.categories.tolist() == ["0", "1,0", "1,1", "2"]


def test_only_selects_cells(clustered):
    """Names do not matter, nor do the labels of other cells."""
    adata = clustered.copy()
    adata.obs["mine"] = np.where(adata.obs["cicl"].isin(["0", "2"]), "x", "y")
    scclu.tl.cicl(adata, 2, restrict_to=("mine", ["x"]), key_added="same", **QUICK)
    np.testing.assert_array_equal(adata.obsm["X_same"], clustered.obsm["X_cicl_R"])


def test_copies_views_and_files(clustered, tmp_path):
    arguments = {"n_clusters": 2, "restrict_to": ("cicl", ["2", "0"]), "key_added": "again", **QUICK}
    expected = clustered.obs["cicl_R"].astype(str).tolist()
    copied = scclu.tl.cicl(clustered, copy=True, **arguments)
    assert copied.obs["again"].tolist() == expected and "again" not in clustered.obs
    view = clustered[:]
    scclu.tl.cicl(view, **arguments)
    assert view.obs["again"].tolist() == expected and "again" not in clustered.obs
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    scclu.tl.cicl(backed, **arguments)
    assert backed.obs["again"].tolist() == expected
    np.testing.assert_array_equal(backed.obsm["X_again"], clustered.obsm["X_cicl_R"])
    backed.file.close()


def test_cut_tree(clustered, tmp_path):
    clustered.write_h5ad(tmp_path / "cells.h5ad")
    adata = ad.read_h5ad(tmp_path / "cells.h5ad")
    del adata.obs["cicl"]  # the names of the other cells are in the new clusters
    scclu.tl.cut_tree(adata, "cicl_R", n_clusters=3)
    expected = clustered.copy()
    scclu.tl.cicl(expected, 3, restrict_to=("cicl", ["2", "0"]), **QUICK)
    assert adata.obs["cicl_R_3"].cat.categories.tolist() == ["1", "2-0,0", "2-0,1", "2-0,2"]
    assert adata.obs["cicl_R_3"].tolist() == expected.obs["cicl_R"].tolist()
    np.testing.assert_allclose(adata.obs["cicl_R_3_confidence"], expected.obs["cicl_R_confidence"], atol=1e-5)


def test_tools_and_plots_of_trees_take_the_cells_of_the_tree(clustered):
    for function in (scclu.tl.rank_splits, scclu.pl.tree, scclu.pl.resolutions):
        with pytest.raises(ValueError, match=r"of the 300 cells.*adata\[adata.obs\['cicl_R_fine'\].notna\(\)\]"):
            function(clustered, "cicl_R")
    adata = clustered[clustered.obs["cicl_R_fine"].notna()].copy()
    scclu.tl.rank_splits(adata, "cicl_R")
    axes = scclu.pl.tree(adata, "cicl_R", splits_key="cicl_R_splits", show=False)
    assert any("2-0,0" in label.get_text() for label in axes.get_yticklabels())
    scclu.tl.cut_tree(adata, "cicl_R", n_clusters=4)
    assert adata.obs["cicl_R_4"].cat.categories.tolist() == ["2-0,0", "2-0,1", "2-0,2", "2-0,3"]


def test_cluster_sizes_without_confidence(clustered):
    sizes, confidence = scclu.pl.cluster_sizes(clustered, "cicl_R", show=False)
    assert len(sizes.patches) == 3 and len(confidence.patches) == 2
    adata = clustered.copy()
    adata.obs.loc[adata.obs_names[adata.obs["cicl_R"] == "2-0,1"][:1], "cicl_R_confidence"] = np.nan
    with pytest.raises(ValueError, match="missing or infinite"):
        scclu.pl.cluster_sizes(adata, "cicl_R", show=False)


def test_seeds():
    def tool(adata, n_clusters, random_state):
        adata.obs["all"] = "x"
        scclu.tl.cicl(
            adata, n_clusters, restrict_to=("all", ["x"]), key_added="cicl_x", random_state=random_state, **QUICK
        )

    check_seeds(tool, "cicl_x")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"restrict_to": "group"}, TypeError, "must be a column of adata.obs and a list of its names.*'group'"),
        ({"restrict_to": ("group",)}, TypeError, "must be a column of adata.obs and a list of its names"),
        ({"restrict_to": ("group", 3)}, TypeError, "must be a list of names in .*'group'.*but 3 was passed"),
        ({"restrict_to": (None, ["a"])}, TypeError, "must be a name, but None"),
        ({"restrict_to": ("leiden", ["a"])}, ValueError, "column of adata.obs, but 'leiden' was passed. There are"),
        ({"restrict_to": ("group", [])}, ValueError, "at least one of '3', 'a', 'b', but is empty"),
        ({"restrict_to": ("group", ["a", "z"])}, ValueError, "must be one of .*but 'z' was passed"),
        ({"restrict_to": ("group", [3])}, ValueError, "must be one of '3', 'a', 'b', but 3 was passed"),
        ({"restrict_to": ("size", ["a"])}, TypeError, "holds real numbers"),
        ({"restrict_to": ("one", ["x"])}, ValueError, "at least 2 cells.*have 1. Pass more names"),
        ({"restrict_to": ("group", ["a"]), "n_clusters": 100}, ValueError, "at least 100 cells.*smaller n_clusters"),
        ({"restrict_to": ("group", ["a"]), "n_clusters": 1}, ValueError, "n_clusters must be at least 2"),
        ({"restrict_to": ("taken", ["x"])}, ValueError, "'x,1' is in adata.obs"),
        ({"restrict_to": ("group", ["a"]), "key_added": "group"}, ValueError, "would be overwritten"),
        ({"restrict_to": ("new_fine", ["a"]), "key_added": "new"}, ValueError, "would be overwritten"),
    ],
)
def test_bad_input(method, arguments, error, message):
    adata = groups()
    adata.obs["size"] = 1.5
    adata.obs["new_fine"] = adata.obs["group"]
    adata.obs["one"] = ["x"] + ["y"] * (adata.n_obs - 1)
    adata.obs["taken"] = ["x"] * 50 + ["x,1"] * (adata.n_obs - 50)
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        getattr(scclu.tl, method)(adata, **(QUICK | arguments))
    assert snapshot(adata) == before
