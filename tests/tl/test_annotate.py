from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

import scclu
from conftest import simulated_counts
from scclu.annotate.markers import marker_scores
from scclu.annotate.reference import overlap_scores, top_markers
from scclu.data.lognorm import log_normalised
from scclu.data.matrix import match_genes
from shared_checks import assert_nested_equal, snapshot

TYPES = ("a", "b", "c")


def marked_counts(n_cells=60, seed=0):
    """Three types, with ten markers each among 40 genes; Type0..9 belong to the first, and so on."""
    rng = np.random.default_rng(seed)
    types = np.repeat(np.arange(3), n_cells // 3)
    mean = np.full((n_cells, 40), 2.0)
    for k in range(3):
        mean[types == k, 10 * k : 10 * k + 10] = 12.0
    names = [f"Gene{TYPES[i // 10].upper()}{i % 10}" if i < 30 else f"House{i}" for i in range(40)]
    adata = AnnData(
        sparse.csr_matrix(rng.poisson(mean).astype(np.float32)),
        obs=pd.DataFrame({"cell_type": [TYPES[k] for k in types]}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=names),
    )
    # type a takes two clusters
    adata.obs["leiden"] = pd.Categorical(np.where(types == 0, rng.permutation(n_cells) % 2, types + 1).astype(str))
    return adata


MARKERS = {name: [f"Gene{name.upper()}{i}" for i in range(10)] for name in TYPES}


@pytest.mark.parametrize("evidence", [{"markers": MARKERS}, {"reference": marked_counts(seed=1), "n_genes": 10}])
def test_finds_types(evidence):
    adata = marked_counts()
    before = snapshot(adata)
    assert scclu.tl.annotate(adata, "leiden", **evidence) is None
    assert (adata.obs["leiden_annotation"].astype(str) == adata.obs["cell_type"]).all()
    table = adata.uns["leiden_annotation"]
    assert table["names"].tolist() == ["a", "a", "b", "c"]
    assert table["scores"].shape == (4, 3)
    assert table["clusters"].tolist() == ["0", "1", "2", "3"] and table["types"].tolist() == list(TYPES)
    del adata.obs["leiden_annotation"], adata.uns["leiden_annotation"]
    assert snapshot(adata) == before


def test_survives_writing(tmp_path):
    adata = marked_counts()
    with pytest.warns(UserWarning, match="markers are not among"):
        scclu.tl.annotate(adata, "leiden", markers={**MARKERS, "CD4+/CD25 T": ["GeneA0", "none"]}, key_added="named")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert_nested_equal(back.uns["named"], adata.uns["named"])
    assert back.obs["named"].tolist() == adata.obs["named"].tolist()


def test_overlap_by_hand():
    clusters, types = {"0": {"g1", "g2"}, "1": {"g3"}}, {"x": {"g2", "g3"}, "y": {"g9"}}
    assert overlap_scores(clusters, types, 2).to_numpy().tolist() == [[0.5, 0.0], [0.5, 0.0]]


def test_marker_scores_by_hand():
    # means of g: 0, 2, 4 over the clusters, so z = -sqrt(1.5), 0, sqrt(1.5); h is constant and says nothing
    matrix = np.array([[0, 1], [0, 1], [2, 1], [2, 1], [4, 1], [4, 1]], dtype=np.float32)
    labels = pd.Categorical(list("001122"))
    scores = marker_scores(matrix, np.array(["g", "h"]), labels, {"x": ["g"], "y": ["g", "h"]})
    np.testing.assert_allclose(scores["x"], [-np.sqrt(1.5), 0, np.sqrt(1.5)], atol=1e-12)
    np.testing.assert_allclose(scores["y"], scores["x"] / 2, atol=1e-12)


def test_top_markers_are_scanpys_and_higher():
    adata = marked_counts()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    labels = pd.Categorical(adata.obs["cell_type"])
    adata.obs["cell_type"] = labels
    found = top_markers(adata.X, adata.var_names.to_numpy(), labels, 10)
    sc.tl.rank_genes_groups(adata, "cell_type", method="t-test", n_genes=10)
    for name in TYPES:
        assert found[name] == set(adata.uns["rank_genes_groups"]["names"][name]) == set(MARKERS[name])
    assert all(len(genes) < 40 for genes in top_markers(adata.X, adata.var_names.to_numpy(), labels, 40).values())


def test_unknown_below_the_score():
    adata = marked_counts()
    without_c = {name: MARKERS[name] for name in "ab"}
    scclu.tl.annotate(adata, "leiden", markers=without_c)
    assert adata.uns["leiden_annotation"]["names"].tolist() == ["a", "a", "b", "Unknown"]
    assert adata.obs["leiden_annotation"].cat.categories.tolist() == ["a", "b", "Unknown"]
    reference = marked_counts(seed=1)
    reference = reference[reference.obs["cell_type"] != "c"].copy()
    scclu.tl.annotate(adata, "leiden", reference=reference, n_genes=10, unassigned="?")
    assert adata.uns["leiden_annotation"]["names"].tolist() == ["a", "a", "b", "?"]
    scclu.tl.annotate(adata, "leiden", markers=MARKERS, min_score=10)
    assert set(adata.obs["leiden_annotation"]) == {"Unknown"}


def test_case_is_matched_and_reported():
    adata = marked_counts()
    with pytest.warns(UserWarning, match="match only when case is ignored: 'GENEA0 -> GeneA0'"):
        scclu.tl.annotate(adata, "leiden", markers={k: [gene.upper() for gene in v] for k, v in MARKERS.items()})
    assert (adata.obs["leiden_annotation"].astype(str) == adata.obs["cell_type"]).all()
    assert "GENEB3 -> GeneB3" in adata.uns["leiden_annotation"]["case_matched_genes"]
    reference = marked_counts(seed=1)
    reference.var_names = reference.var_names.str.lower()
    with pytest.warns(UserWarning, match="40 genes of reference match only when case"):
        scclu.tl.annotate(adata, "leiden", reference=reference, n_genes=10)
    assert (adata.obs["leiden_annotation"].astype(str) == adata.obs["cell_type"]).all()


def test_match_genes_does_not_guess():
    match = match_genes(["abc", "ABC", "xy", "Q", "q", "twin"], ["Abc", "xy", "q", "Twin", "TWIN"])
    assert match.found == {"xy": "xy", "q": "q"}
    assert match.by_case == {} and match.unmatched == ["abc", "ABC", "Q", "twin"]


def test_missing_markers_are_reported():
    adata = marked_counts()
    with pytest.warns(UserWarning) as caught:
        scclu.tl.annotate(adata, "leiden", markers={**MARKERS, "d": ["none"]})
    assert [str(w.message).split(":")[0] for w in caught][1] == "Types without any gene in the data are left out"
    table = adata.uns["leiden_annotation"]
    assert table["unmatched_genes"].tolist() == ["none"] and table["unmatched_types"].tolist() == ["d"]
    assert table["types"].tolist() == list(TYPES)


def test_groups_of_one_cell_stay_unknown():
    adata, reference = marked_counts(), marked_counts(seed=1)
    adata.obs["leiden"] = adata.obs["leiden"].cat.add_categories(["single"])
    adata.obs.loc["c0", "leiden"] = "single"
    reference.obs.loc["c59", "cell_type"] = "rare"
    with pytest.warns(UserWarning) as caught:
        scclu.tl.annotate(adata, "leiden", reference=reference, n_genes=10, min_score=0)
    messages = [str(warning.message) for warning in caught if warning.category is UserWarning]
    assert "Types of one cell in the reference" in messages[0]
    assert "Clusters of one cell" in messages[1]
    table = adata.uns["leiden_annotation"]
    assert adata.obs.loc["c0", "leiden_annotation"] == "Unknown"
    assert (table["scores"][table["clusters"] == "single"] == 0).all()
    assert (adata.obs["leiden_annotation"].astype(str) == adata.obs["cell_type"]).iloc[1:].all()


@pytest.mark.filterwarnings("ignore:.*chunk:UserWarning")
@pytest.mark.parametrize("store", ["X", "scaled, layer", "scaled, raw", "scaled, counts", "csc", "dense"])
def test_log_normalised_is_found_or_made(store):
    adata = marked_counts()
    logged = sc.pp.log1p(sc.pp.normalize_total(adata, copy=True), copy=True)
    counts = adata.X.copy()
    if store == "X":
        adata.X = logged.X
    elif store == "csc":
        adata.X = sparse.csc_matrix(adata.X)
    elif store == "dense":
        adata.X = adata.X.toarray()
    else:
        if store == "scaled, layer":
            adata.layers["counts"], adata.layers["logged"] = counts, logged.X
        elif store == "scaled, raw":
            adata.raw = logged
        else:
            adata.layers["zeros"], adata.layers["counts"] = counts * 0, counts
        adata.X = adata.X.toarray() - 1.5
    before = snapshot(adata)
    matrix, names, _ = log_normalised(adata)
    np.testing.assert_allclose(
        matrix.toarray() if sparse.issparse(matrix) else matrix, logged.X.toarray(), rtol=1e-5, atol=1e-6
    )
    assert names.tolist() == adata.var_names.tolist()
    assert snapshot(adata) == before


def _with_nan(adata):
    adata.obs["leiden"] = adata.obs["leiden"].where(np.arange(adata.n_obs) > 1)
    return adata


def _scaled(adata):
    adata.X = adata.X.toarray() - 1.5


BAD = {
    "unknown key": (None, "louvain", {"markers": MARKERS}, ValueError, "'louvain' was passed. There are: 'cell_type'"),
    "NaN": (_with_nan, "leiden", {"markers": MARKERS}, ValueError, "2 missing values"),
    "no evidence": (None, "leiden", {}, ValueError, "neither was passed"),
    "two kinds": (None, "leiden", {"markers": MARKERS, "reference": marked_counts()}, ValueError, "both were passed"),
    "nothing in common": (None, "leiden", {"markers": {"a": ["ENSG01"]}}, ValueError, "'ENSG01', adata 'GeneA0'"),
    "no dict": (None, "leiden", {"markers": ["GeneA0"]}, TypeError, "dict of .*a list was passed"),
    "a word": (None, "leiden", {"markers": {"a": "GeneA0"}}, TypeError, "list of gene names, but 'GeneA0'"),
    "empty": (None, "leiden", {"markers": {}}, ValueError, "empty"),
    "scaled only": (_scaled, "leiden", {"markers": MARKERS}, ValueError, "Keep the counts in adata.layers"),
    "scaled layer": (
        lambda a: a.layers.__setitem__("z", a.X.toarray() - 1.5),
        "leiden",
        {"markers": MARKERS, "layer": "z"},
        ValueError,
        "holds scaled",
    ),
    "one group": (lambda a: a.obs.insert(0, "one", "x"), "one", {"markers": MARKERS}, ValueError, "1 groups"),
    "only single cells": (
        lambda a: a.obs.insert(0, "id", a.obs_names),
        "id",
        {"markers": MARKERS},
        ValueError,
        "60 groups, 0 of them",
    ),
    "reference key": (
        None,
        "leiden",
        {"reference": marked_counts(), "reference_key": "types"},
        ValueError,
        "reference_key must be a column of reference.obs, but 'types'",
    ),
    "reference without shared genes": (
        None,
        "leiden",
        {"reference": AnnData(np.ones((4, 1), np.float32), pd.DataFrame({"cell_type": list("aabb")}, list("wxyz")))},
        ValueError,
        "reference and adata have no genes in common: reference has '0', adata 'GeneA0'",
    ),
    "reference labels with NaN": (
        None,
        "leiden",
        {"reference": _with_nan(marked_counts()), "reference_key": "leiden"},
        ValueError,
        r"reference.obs\['leiden'\] has 2 missing values",
    ),
    "no reference": (None, "leiden", {"reference": "pbmc"}, TypeError, "reference must be an AnnData"),
    "n_genes": (None, "leiden", {"markers": MARKERS, "n_genes": 0}, ValueError, "n_genes must be at least 1"),
    "own key": (None, "leiden", {"markers": MARKERS, "key_added": "leiden"}, ValueError, "would be overwritten"),
    "no name": (None, "leiden", {"markers": MARKERS, "unassigned": None}, TypeError, "unassigned must be a name"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    change, groupby, arguments, error, message = BAD[name]
    adata = marked_counts()
    if change is not None:
        change(adata)
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        scclu.tl.annotate(adata, groupby, **arguments)
    assert snapshot(adata) == before


def test_copy_view_and_backed(tmp_path):
    adata = marked_counts()
    copied = scclu.tl.annotate(adata, "leiden", markers=MARKERS, copy=True)
    assert "leiden_annotation" not in adata.obs
    expected = copied.obs["leiden_annotation"].tolist()
    view = ad.concat([marked_counts(), simulated_counts(30)], join="outer", index_unique="-")[: adata.n_obs]
    scclu.tl.annotate(view, "leiden", markers=MARKERS)
    assert view.obs["leiden_annotation"].tolist() == expected
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    scclu.tl.annotate(backed, "leiden", markers=MARKERS)
    assert backed.obs["leiden_annotation"].tolist() == expected
    backed.file.close()


BLOOD = {
    "CD14+ Monocyte": ["S100A8", "S100A9", "LYZ", "FCN1"],
    "Dendritic": ["FCER1A", "CLEC10A", "HLA-DPA1", "HLA-DQA1"],
    "CD19+ B": ["CD79A", "CD79B", "MS4A1"],
    "CD56+ NK": ["GNLY", "GZMB", "FGFBP2"],
    "CD34+": ["SPINK2", "PRSS57", "CYTL1"],
}


def test_blood_by_markers():
    adata = scclu.datasets.pbmc68k_reduced()
    adata = adata[adata.obs["cell_type"].isin(list(BLOOD))].copy()
    scclu.tl.annotate(adata, "cell_type", markers=BLOOD)
    assert (adata.obs["cell_type_annotation"].astype(str) == adata.obs["cell_type"].astype(str)).all()


def test_blood_by_reference(data_dir):
    adata = ad.read_h5ad(data_dir / "zheng_pbmc_purified9.h5ad")
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    new = adata[~half].copy()
    scclu.tl.annotate(new, "cell_type", reference=adata[half].copy())
    # the rarest type, about 20 cells here, can be taken for its sister
    right = new.obs["cell_type_annotation"].astype(str) == new.obs["cell_type"].astype(str)
    assert right.mean() > 0.95
