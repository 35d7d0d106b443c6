"""Contents of single plots, and errors for bad input."""

from __future__ import annotations

import logging

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import scclu
from conftest import QUICK, QUICK_SIAMESE, simulated_counts
from figure_checks import clustered
from scclu.pl._figure import spread
from scclu.pl._legends import free_place
from scclu.pl._ordering import match_order


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def _set(attribute, name, value):
    return lambda adata: getattr(adata, attribute).__setitem__(name, value(adata))


def _drop(*path):
    def change(adata):
        owner = getattr(adata, path[0])
        for part in path[1:-1]:
            owner = owner[part]
        del owner[path[-1]]

    return change


def _missing(adata):
    labels = adata.obs["cell_type"].astype(object)
    labels.iloc[:3] = np.nan
    return labels


# figure, what is done to the cells, arguments, error, words of its message
BAD = {
    "no history": ("history", _drop("uns", "cicl", "history"), {}, ValueError, "has no 'history'.*Run scclu.tl"),
    "no batches": ("batches", _drop("uns", "cicl", "batches"), {}, ValueError, "clustering with batches.*batch_key="),
    "empty history": ("history", lambda a: a.uns["cicl"].update(history={}), {}, ValueError, "nothing was trained"),
    "no snapshots": ("snapshots", _drop("uns", "cicl", "snapshots"), {}, ValueError, "'snapshots'.*n_snapshots="),
    "no snapshots 2": ("snapshot_metrics", _drop("uns", "cicl", "snapshots"), {}, ValueError, "n_snapshots="),
    "basis": ("snapshots", None, {"basis": "mds"}, ValueError, "'umap', 'tsne', 'pca', but 'mds'"),
    "no cells": ("snapshots", None, {"n_cells": 0}, ValueError, "n_cells must be at least 1, but 0"),
    "half a cell": ("similarity", None, {"n_cells": 0.5}, TypeError, "n_cells must be a whole number, but 0.5"),
    "metric": ("snapshot_metrics", None, {"metrics": ["ari", "f1"]}, ValueError, "'ari', 'nmi', 'accuracy', but 'f1'"),
    "labels": ("confusion", None, {"labels_key": "tissue"}, ValueError, "labels_key.*'tissue' was passed. There are"),
    "missing labels": ("confusion", _set("obs", "cell_type", _missing), {}, ValueError, "3 missing values. Drop"),
    "missing labels 2": ("snapshot_metrics", _set("obs", "cell_type", _missing), {}, ValueError, "3 missing values"),
    "missing clusters": ("cluster_sizes", _set("obs", "cicl", _missing), {}, ValueError, "3 missing values"),
    "real numbers": ("confusion", None, {"labels_key": "cicl_confidence"}, TypeError, "real numbers"),
    "normalize": ("confusion", None, {"normalize": "all"}, ValueError, "'rows', 'columns', 'none', but 'all'"),
    "no confidence": ("cluster_sizes", _drop("obs", "cicl_confidence"), {}, ValueError, "no 'cicl_confidence'"),
    "NaN confidence": (
        "cluster_sizes",
        _set("obs", "cicl_confidence", lambda a: np.nan),
        {},
        ValueError,
        "missing or infinite",
    ),
    "no embedding": ("similarity", _drop("obsm", "X_cicl"), {}, ValueError, "'X_cicl' was passed. There are: none"),
    "NaN embedding": (
        "similarity",
        _set("obsm", "X_cicl", lambda a: np.full((a.n_obs, 2), np.nan)),
        {},
        ValueError,
        "480 values that are NaN",
    ),
    "scores of another shape": (
        "marker_overlap",
        lambda a: a.uns["annotation"].update(scores=np.zeros((2, 2))),
        {},
        ValueError,
        r"3 clusters.*3 types, but its shape is \(2, 2\)",
    ),
    "NaN scores": (
        "marker_overlap",
        lambda a: a.uns["annotation"].update(scores=np.full((3, 3), np.nan)),
        {},
        ValueError,
        "missing or infinite",
    ),
    "no stability": ("stability", _drop("uns", "cicl_stability"), {}, ValueError, "'cicl_stability'. Run scclu.tl"),
    "stability of other clusters": ("stability", _set("obs", "cicl", lambda a: "x"), {}, ValueError, "'x'.*changed"),
    "no table": ("choose_n_clusters", _drop("uns", "choose_n_clusters", "table"), {}, ValueError, "no 'table'"),
    "no column": (
        "choose_n_clusters",
        _drop("uns", "choose_n_clusters", "table", "silhouette"),
        {},
        ValueError,
        "no column 'silhouette'",
    ),
    "no genes": ("top_markers", None, {"n_genes": 0}, ValueError, "n_genes must be at least 1"),
    "layer": ("top_markers", None, {"layer": "raw"}, ValueError, "'raw' was passed. There are: 'counts'"),
    "scaled": (
        "top_markers",
        lambda a: (setattr(a, "X", a.X.toarray() - 0.5), a.layers.clear()),
        {},
        ValueError,
        "scaled values.*pass layer=",
    ),
    "scaled layer": (
        "top_markers",
        lambda a: a.layers.__setitem__("z", a.X.toarray() - 0.5),
        {"layer": "z"},
        ValueError,
        r"layers\['z'\] holds scaled values",
    ),
    "group": ("top_markers", None, {"groups": ["0", "9"]}, ValueError, "one of '0', '1', '2', but '9'"),
    "symbols": ("top_markers", None, {"gene_symbols": "name"}, ValueError, "'name' was passed. There are: none"),
    "no metric": ("snapshot_metrics", None, {"metrics": []}, ValueError, "at least one of 'ari'"),
    "no tree": ("tree", _drop("uns", "cicl", "tree"), {}, ValueError, "no tree. Call scclu.tl.cicl"),
    "no tree 2": ("resolutions", _drop("uns", "cicl", "tree"), {}, ValueError, "no tree. Call scclu.tl.cicl"),
    "no fine clusters": ("tree", _drop("obs", "cicl_fine"), {}, ValueError, r"needs adata.obs\['cicl_fine'\]"),
    "no leaf": ("tree", None, {"n_clusters": 0}, ValueError, "n_clusters must be at least 1 and at most 6, but 0"),
    "half a leaf": ("tree", None, {"n_clusters": 2.5}, TypeError, "n_clusters must be a whole number, but 2.5"),
    "alpha": ("tree", None, {"alpha": 1}, ValueError, "alpha must be above 0 and below 1, but 1"),
    "no ranking": ("tree", None, {"splits_key": "x"}, ValueError, "no 'x'.*Run scclu.tl.rank_splits"),
    "a ranking of another kind": ("tree", None, {"splits_key": "annotation"}, ValueError, "no 'table'"),
    "too many clusters": ("resolutions", None, {"n_clusters": [2, 99]}, ValueError, "at most 6, but 99"),
    "one number": ("resolutions", None, {"n_clusters": 3}, ValueError, "at least two numbers.*but 3"),
    "one clustering": ("resolutions", None, {"key": ["cicl"]}, ValueError, "at least two columns"),
    "no name": ("resolutions", None, {"key": 3}, ValueError, "at least two columns.*but 3"),
    "two clusterings": (
        "resolutions",
        None,
        {"key": ["cicl", "cell_type"], "n_clusters": [2, 3]},
        ValueError,
        "cuts one tree",
    ),
    "no clustering": (
        "resolutions",
        None,
        {"key": ["cicl", "x"]},
        ValueError,
        "column of adata.obs, but 'x'.*There are",
    ),
    "one cluster": ("top_markers", _set("obs", "cicl", lambda a: "0"), {}, ValueError, "at least two clusters"),
}
ARGUMENTS = {
    "marker_overlap": {"key": "annotation"},
    "choose_n_clusters": {},
    "confusion": {"key": "cicl", "labels_key": "cell_type"},
    "snapshot_metrics": {"key": "cicl", "labels_key": "cell_type"},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    figure, change, arguments, error, message = BAD[name]
    adata = clustered()
    if change is not None:
        change(adata)
    with pytest.raises(error, match=message):
        getattr(scclu.pl, figure)(adata, **{**ARGUMENTS.get(figure, {"key": "cicl"}), **arguments})
    assert plt.get_fignums() == []


def test_snapshots_of_other_cells():
    adata = clustered()
    with pytest.raises(ValueError, match="of 240 cells, but adata has 50"):
        scclu.pl.snapshots(adata[:50], "cicl")


@pytest.mark.parametrize("tool", [scclu.tl.cicl, scclu.tl.scsiameseclu])
def test_results_of_the_tools(tool):
    """The made-up results of the other tests have the layout of real ones."""
    adata = simulated_counts()
    settings = QUICK if tool is scclu.tl.cicl else QUICK_SIAMESE | {"max_epochs": 3}
    tool(adata, 3, n_snapshots=3, key_added="mine", **settings)
    phases = [ax.get_title() for ax in scclu.pl.history(adata, "mine", show=False)]
    assert phases == ["training"] if tool is scclu.tl.cicl else phases[:3] == ["expression", "graph", "joint"]
    axes = scclu.pl.snapshots(adata, "mine", basis="pca", show=False)
    assert [ax.get_title() for ax in axes][::2] == ["epoch 0", f"epoch {3 if tool is scclu.tl.cicl else 9}"]
    ax = scclu.pl.snapshot_metrics(adata, "mine", labels_key="type", metrics=["ari", "nmi", "accuracy"], show=False)
    expected = scclu.metrics.ari(adata.obs["type"], adata.obs["mine"])
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(expected)
    scclu.pl.cluster_sizes(adata, "mine", show=False)
    scclu.pl.similarity(adata, "mine", show=False)


@pytest.mark.parametrize("basis", [pytest.param("umap", marks=pytest.mark.slow), "tsne"])
def test_layouts(basis):
    adata = clustered()
    axes = scclu.pl.snapshots(adata, "cicl", basis=basis, n_cells=60, show=False)
    assert len(axes[0].collections[0].get_offsets()) == 60
    first, last = (ax.collections[0].get_offsets() for ax in (axes[0], axes[-1]))
    assert np.isfinite(first).all() and np.abs(first - last).max() > 0.1


def test_a_sample_is_stated():
    adata = clustered()
    _, heat, _ = scclu.pl.similarity(adata, "cicl", n_cells=100, show=False)
    assert heat.get_xlabel() == "100 of 240 cells (random sample)"
    assert heat.images[0].get_array().shape == (100, 100)
    axes = scclu.pl.snapshots(adata, "cicl", basis="pca", n_cells=100, show=False)
    assert axes[0].get_xlabel() == "PCA of 100 of 240 cells (random sample)"
    assert scclu.pl.similarity(adata, "cicl", show=False)[1].get_xlabel() == "240 cells"


def test_similarity_by_hand():
    adata = clustered()[:4].copy()
    adata.obs["cicl"] = pd.Categorical(["1", "0", "1", "0"])
    adata.obsm["X_cicl"] = np.array([[0, 2], [1, 0], [0, 1], [-3, 0]], dtype=np.float32)
    _, heat, _ = scclu.pl.similarity(adata, "cicl", show=False)
    expected = [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    np.testing.assert_allclose(heat.images[0].get_array(), expected, atol=1e-6)


def _confusion(normalize):
    adata = clustered()[:6].copy()
    adata.obs["cicl"] = list("001112")
    adata.obs["label"] = list("BBAAAB")
    ax = scclu.pl.confusion(adata, "cicl", labels_key="label", normalize=normalize, show=False)
    names = [[text.get_text() for text in labels] for labels in (ax.get_yticklabels(), ax.get_xticklabels())]
    return names, ax.images[0].get_array()


def test_confusion_by_hand():
    names, counts = _confusion("none")
    assert names == [["0", "1", "2"], ["B", "A"]]
    np.testing.assert_array_equal(counts, [[2, 0], [0, 3], [1, 0]])
    np.testing.assert_allclose(_confusion("rows")[1], [[1, 0], [0, 1], [1, 0]])
    np.testing.assert_allclose(_confusion("columns")[1], [[2 / 3, 0], [0, 1], [1 / 3, 0]])


def test_match_order():
    rows, columns = match_order(np.array([[0, 5, 1], [9, 1, 0]]))
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0, 2]
    rows, columns = match_order(np.array([[0, 5], [9, 1], [8, 0]]))
    assert rows.tolist() == [0, 1, 2] and columns.tolist() == [1, 0]


def test_spread():
    np.testing.assert_allclose(spread(np.array([1.0, 5.0, 9.0]), 2, 0, 10), [1, 5, 9])
    np.testing.assert_allclose(spread(np.array([5.0, 5.0, 5.0]), 2, 0, 10), [3, 5, 7])
    np.testing.assert_allclose(spread(np.array([9.5, 9.8, 10.0]), 2, 0, 10), [6, 8, 10])


def test_free_place_avoids_boxes_and_points():
    frame, half = np.array([[0.0, 0.0], [100.0, 100.0]]), np.array([5.0, 5.0])
    anchor = np.array([50.0, 50.0])
    points = np.array([[x, y] for x in range(50, 100, 2) for y in range(0, 100, 2)], dtype=float)
    taken = np.array([[[0.0, 50.0], [50.0, 100.0]]])
    x, y = free_place(anchor, half, points, taken, frame, 5.0)
    assert 5 <= x <= 45 and 5 <= y <= 45


def _genes(axes):
    return [text.get_text() for text in axes[0].get_xticklabels()]


def test_top_markers_take_a_ranking_that_is_there(caplog):
    adata = clustered()
    made = scclu.pl.top_markers(adata, "cicl", n_genes=2, show=False)
    assert "rank_genes_groups" not in adata.uns and adata.X.max() > 20
    logged = adata.copy()
    sc.pp.normalize_total(logged)
    sc.pp.log1p(logged)
    assert _genes(scclu.pl.top_markers(logged, "cicl", n_genes=2, show=False)) == _genes(made)
    logged.raw = logged
    sc.tl.rank_genes_groups(logged, "cicl", method="wilcoxon", reference="0")
    logged.X = logged.X.toarray() - 1
    expected = [gene for group in ("1", "2") for gene in logged.uns["rank_genes_groups"]["names"][group][:2]]
    assert _genes(scclu.pl.top_markers(logged, "cicl", n_genes=2, show=False)) == expected
    # scaled values without a ranking for this clustering: raw is what markers are sought in
    logged.uns["rank_genes_groups"]["params"]["groupby"] = "batch"
    assert _genes(scclu.pl.top_markers(logged, "cicl", n_genes=2, show=False)) == _genes(made)
    adata.obs["cicl"] = ["9"] + adata.obs["cicl"].astype(str).tolist()[1:]
    with caplog.at_level(logging.WARNING):
        scclu.pl.top_markers(adata, "cicl", show=False)
    assert "Clusters of one cell have no markers: '9'" in caplog.text


def test_top_markers_of_scaled_values_are_those_of_the_counts():
    adata = clustered()
    expected = _genes(scclu.pl.top_markers(adata, "cicl", show=False))
    adata.X = adata.X.toarray() - 0.5
    assert _genes(scclu.pl.top_markers(adata, "cicl", show=False)) == expected


def test_a_ranking_of_other_genes_is_refused():
    adata = clustered()
    sc.pp.log1p(adata)
    sc.tl.rank_genes_groups(adata, "cicl")
    with pytest.raises(ValueError, match="names genes that adata.X does not have: 'gene"):
        scclu.pl.top_markers(adata[:, 30:].copy(), "cicl", n_genes=30)


@pytest.mark.parametrize("form", [sparse.csc_matrix, lambda x: x.toarray()])
def test_top_markers_of_any_matrix(form):
    adata = clustered()
    expected = _genes(scclu.pl.top_markers(adata, "cicl", show=False))
    adata.X = form(adata.X)
    assert _genes(scclu.pl.top_markers(adata, "cicl", show=False)) == expected


def test_top_markers_of_some_groups_by_symbol():
    adata = clustered()
    every = _genes(scclu.pl.top_markers(adata, "cicl", n_genes=2, show=False))
    adata.var["symbol"] = [name.upper() for name in adata.var_names]
    axes = scclu.pl.top_markers(adata, "cicl", n_genes=2, groups=["2", "0"], gene_symbols="symbol", show=False)
    assert _genes(axes) == [gene.upper() for gene in (*every[:2], *every[4:])]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["0", "1", "2"]
    # genes without a symbol keep their name; a symbol of several genes is told apart
    adata.var["symbol"] = [np.nan if name == every[0] else "same" for name in adata.var_names]
    expected = [every[0], *(f"same ({gene})" for gene in every[1:])]
    assert _genes(scclu.pl.top_markers(adata, "cicl", n_genes=2, gene_symbols="symbol", show=False)) == expected


@pytest.mark.parametrize("has_embedding", [True, False])
def test_dendrogram_orders_clusters_and_genes(has_embedding):
    adata = clustered()
    adata.obs["cicl"] = adata.obs["cicl"].cat.reorder_categories(["0", "1", "2"])
    if has_embedding:  # 0 and 2 are near each other
        adata.obsm["X_cicl"] = np.eye(3)[adata.obs["cicl"].cat.codes] @ np.array([[0, 1], [1, 0], [0.1, 1]])
    else:
        del adata.obsm["X_cicl"]
    axes = scclu.pl.top_markers(adata, "cicl", n_genes=1, dendrogram=True, show=False)
    order = [text.get_text() for text in axes[0].get_yticklabels()]
    assert sorted(order) == ["0", "1", "2"] and (order[1] != "1" or not has_embedding)
    genes = dict(zip("012", _genes(scclu.pl.top_markers(adata, "cicl", n_genes=1, show=False)), strict=True))
    assert _genes(axes) == [genes[name] for name in order]


def test_choice_with_k_as_the_index():
    adata = clustered()
    adata.uns["choose_n_clusters"]["table"] = adata.uns["choose_n_clusters"]["table"].set_index("k")
    del adata.uns["choose_n_clusters"]["leiden_k"]
    upper, _ = scclu.pl.choose_n_clusters(adata, show=False)
    assert [text.get_text() for text in upper.get_legend().get_texts()] == [
        "± 1 standard deviation",
        "chosen: 3",
        "outside of 3 to 4",
        "stability × silhouette",
    ]


def test_the_choice_is_the_best_between_the_bounds():
    adata = clustered()
    table = pd.DataFrame({"k": range(2, 9), "stability": [1.0, 0.9, 0.5, 0.8, 0.7, 0.6, 0.9], "stability_sd": 0.1})
    table["silhouette"] = [0.9, 0.5, 0.4, 0.5, 0.5, -0.1, 0.9]
    params = {"leiden_range": np.array([4, 7])}
    adata.uns["choose_n_clusters"] = {"k": 5, "table": table, "params": params}
    for panel in scclu.pl.choose_n_clusters(adata, show=False):
        assert [(box.get_x(), box.get_x() + box.get_width()) for box in panel.patches] == [(1.5, 3.5), (7.5, 8.5)]
    k, product = panel.lines[1].get_data()
    np.testing.assert_allclose(product, [0.9, 0.45, 0.2, 0.4, 0.35, 0, 0.81])
    inside = (k > 3.5) & (k < 7.5)
    assert k[inside][product[inside].argmax()] == 5
    del adata.uns["choose_n_clusters"]["params"]
    assert not any(panel.patches for panel in scclu.pl.choose_n_clusters(adata, show=False))


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_types_that_were_given_have_a_frame(low):
    adata = clustered()
    scores = np.array([[0.9, 0.2, low], [0.1, 0.3, 0.2], [0.0, 0.8, 0.7]])
    annotation = {"scores": scores, "clusters": list("012"), "types": list("ABC"), "names": ["A", "Unknown", "B"]}
    adata.uns["annotation"] = annotation
    ax = scclu.pl.marker_overlap(adata, "annotation", show=False)
    columns, rows = ([text.get_text() for text in labels] for labels in (ax.get_xticklabels(), ax.get_yticklabels()))
    framed = {(rows[round(box.get_y() + 0.5)], columns[round(box.get_x() + 0.5)]) for box in ax.patches}
    assert framed == {("0", "A"), ("2", "B")}
    assert ax.images[0].get_clim() == ((0, 1) if low == 0 else (-1, 1))
    del annotation["names"]
    assert len(scclu.pl.marker_overlap(adata, "annotation", show=False).patches) == 6
