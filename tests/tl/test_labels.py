from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scclu
from scclu._labels import read_labels
from shared_checks import assert_nested_equal, snapshot


def labelled():
    adata = AnnData(np.ones((8, 2), dtype=np.float32))
    # the table of clusters against types: 0 has 1 B, 2 T; 1 has 3 B; 2 has 1 T; 3 has 1 B
    adata.obs["cluster"] = pd.Categorical(list("00011123"))
    adata.obs["type"] = pd.Categorical(list("BTTBBBTB"), categories=["T", "B"])
    return adata


def test_align_labels_by_hand(tmp_path):
    adata = labelled()
    before = snapshot(adata)
    assert scclu.tl.align_labels(adata, "cluster", "type") is None
    assert adata.obs["cluster_aligned"].tolist() == ["T"] * 3 + ["B"] * 3 + ["2", "3"]
    assert adata.obs["cluster_aligned"].cat.categories.tolist() == ["T", "B", "2", "3"]
    assert adata.uns["cluster_aligned"]["overlap"].tolist() == [[2, 1], [0, 3], [1, 0], [0, 1]]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    assert_nested_equal(ad.read_h5ad(tmp_path / "cells.h5ad").uns["cluster_aligned"], adata.uns["cluster_aligned"])
    del adata.obs["cluster_aligned"], adata.uns["cluster_aligned"]
    assert snapshot(adata) == before


def test_align_labels_keeps_clusters_apart():
    adata = labelled()
    adata.obs["other"] = pd.Categorical(list("11122233"))
    scclu.tl.align_labels(adata, "cluster", "other", key_added="named")
    # 0 -> 1, 1 -> 2, 2 -> 3; cluster 3 has no partner, and its name is taken
    assert adata.obs["named"].tolist() == list("111222") + ["3", "cluster_3"]
    assert scclu.metrics.ari(adata.obs["named"], adata.obs["cluster"]) == 1


def test_align_labels_to_itself_and_copy():
    adata = labelled()
    copied = scclu.tl.align_labels(adata, "type", "type", copy=True)
    assert (copied.obs["type_aligned"] == adata.obs["type"]).all() and "type_aligned" not in adata.obs
    view = adata[:4]
    scclu.tl.align_labels(view, "cluster", "type")
    assert "cluster_aligned" in view.obs and "cluster_aligned" not in adata.obs


def test_compare():
    adata = labelled()
    before = snapshot(adata)
    table = scclu.tl.compare(adata, ["cluster", "type"], "type")
    assert snapshot(adata) == before
    assert table.columns.tolist() == ["cluster", "type", "type: ARI", "type: NMI", "type: ACC"]
    ari = scclu.metrics.ari(adata.obs["cluster"], adata.obs["type"])
    assert table.loc["cluster", "type"] == table.loc["type", "cluster"] == table.loc["cluster", "type: ARI"] == ari
    assert table.loc["cluster", "type: ACC"] == 5 / 8 and table.loc["type", "type: NMI"] == pytest.approx(1)
    assert scclu.tl.compare(adata, ["type"]).to_numpy().tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("column", "labels", "categories"),
    [
        ([10, 2, 2], ["10", "2", "2"], ["2", "10"]),
        ([True, False, True], ["True", "False", "True"], ["False", "True"]),
        (pd.Categorical(["b", "a", "b"], categories=["c", "b", "a"]), ["b", "a", "b"], ["b", "a"]),
        (pd.Categorical([1, "1", 2], categories=[2, 1, "1"]), ["1", "1", "2"], ["2", "1"]),
        (pd.array(["x2", "x10", "x2"], dtype="string"), ["x2", "x10", "x2"], ["x2", "x10"]),
    ],
)
def test_labels_are_read_as_strings_in_order(column, labels, categories):
    adata = AnnData(np.ones((3, 2), dtype=np.float32))
    adata.obs["key"] = column
    found = read_labels(adata, "key", argument="key")
    assert found.tolist() == labels and found.categories.tolist() == categories


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: scclu.tl.align_labels(a, "leiden", "type"), ValueError, "key must be a column.*'leiden'"),
        (lambda a: scclu.tl.align_labels(a, "type", "leiden"), ValueError, "reference_key must be a column.*'leiden'"),
        (lambda a: scclu.tl.align_labels(a, "cluster", "missing"), ValueError, "1 missing values"),
        (lambda a: scclu.tl.align_labels(a, "cluster", "type", key_added="type"), ValueError, "overwritten"),
        (lambda a: scclu.tl.align_labels(a[:0].copy(), "cluster", "type"), ValueError, "no cells"),
        (lambda a: scclu.tl.align_labels(a.obs, "cluster", "type"), TypeError, "AnnData, but a DataFrame"),
        (lambda a: scclu.tl.compare(a, "cluster"), TypeError, "list of columns.*'cluster'"),
        (lambda a: scclu.tl.compare(a, []), TypeError, "list of columns"),
        (lambda a: scclu.tl.compare(a, ["type", "type"]), ValueError, "different columns"),
        (lambda a: scclu.tl.compare(a, ["type", "leiden"]), ValueError, "'leiden' was passed"),
        (lambda a: scclu.tl.compare(a, ["type"], "missing"), ValueError, "1 missing values"),
        (lambda a: scclu.tl.compare(a, ["type", "score"]), TypeError, r"obs\['score'\] must hold labels.*real numbers"),
        (lambda a: scclu.tl.align_labels(a, "type", "score"), TypeError, r"astype\(int\).astype\(str\)"),
    ],
)
def test_bad_input(call, error, message):
    adata = labelled()
    adata.obs["missing"] = ["x"] * 7 + [None]
    adata.obs["score"] = np.linspace(0, 1, 8)
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        call(adata)
    assert snapshot(adata) == before


def test_align_labels_takes_the_colors_of_the_reference(tmp_path):
    adata = labelled()
    scclu.tl.align_labels(adata, "cluster", "type")
    assert "cluster_aligned_colors" not in adata.uns
    adata.uns["type_colors"] = np.array(["red", scclu.pl.palette(1)[0]])  # as they are read from a file
    scclu.tl.align_labels(adata, "cluster", "type")
    # T, B, and two clusters without a partner
    assert adata.uns["cluster_aligned_colors"] == ["red", *scclu.pl.palette(3)]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    # the order of the categories that are there
    adata.obs["one"] = pd.Categorical(["B"] * 8)
    scclu.tl.align_labels(adata, "one", "type", key_added="new")
    assert adata.uns["new_colors"] == [scclu.pl.palette(1)[0]]
