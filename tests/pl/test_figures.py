"""What holds for every figure."""

from __future__ import annotations

import inspect
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scclu
from figure_checks import clustered, overlapping
from shared_checks import snapshot

FIGURES = {
    "batches": partial(scclu.pl.batches, key="cicl"),
    "history": partial(scclu.pl.history, key="cicl"),
    "snapshots": partial(scclu.pl.snapshots, key="cicl", color=["cicl", "cell_type"], basis="pca"),
    "snapshot_metrics": partial(scclu.pl.snapshot_metrics, key="cicl", labels_key="cell_type"),
    "similarity": partial(scclu.pl.similarity, key="cicl", n_cells=200),
    "confusion": partial(scclu.pl.confusion, key="cicl", labels_key="cell_type"),
    "marker_overlap": partial(scclu.pl.marker_overlap, key="annotation"),
    "top_markers": partial(scclu.pl.top_markers, key="cicl"),
    "top_markers_tree": partial(scclu.pl.top_markers, key="cicl", dendrogram=True),
    "choose_n_clusters": scclu.pl.choose_n_clusters,
    "resolutions": partial(scclu.pl.resolutions, key="cicl"),
    "tree": partial(scclu.pl.tree, key="cicl", show_fine=True),
    "cluster_sizes": partial(scclu.pl.cluster_sizes, key="cicl"),
    "stability": partial(scclu.pl.stability, key="cicl"),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_all_are_tested():
    assert set(FIGURES) - {"top_markers_tree"} | {"palette"} == set(scclu.pl.__all__)


@pytest.mark.parametrize("name", sorted(set(scclu.pl.__all__) - {"palette"}))
def test_signature(name):
    parameters = inspect.signature(getattr(scclu.pl, name)).parameters
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional in (["adata"], ["adata", "key"], ["adata", "key", "labels_key"])
    assert {"ax": None, "show": None, "return_fig": False}.items() <= {
        n: p.default for n, p in parameters.items()
    }.items()
    assert "save" not in parameters


@pytest.mark.parametrize("n_clusters", [2, 40])
@pytest.mark.parametrize("name", FIGURES)
def test_legible_and_changes_nothing(name, n_clusters):
    adata = clustered(n_clusters)
    adata.raw = adata.copy()
    before = snapshot(adata)
    state = np.random.get_state()[1].copy()
    figure = FIGURES[name](adata, return_fig=True)
    assert isinstance(figure, Figure)
    assert overlapping(figure) == []
    for key in ("cicl", "cell_type"):  # written as scanpy does
        colors = adata.uns.pop(f"{key}_colors", None)
        assert colors is None or len(colors) == len(adata.obs[key].cat.categories)
    assert snapshot(adata) == before
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_returned(name, monkeypatch):
    adata = clustered()
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    axes = FIGURES[name](adata, show=False)
    assert not shown
    axes = axes if isinstance(axes, list) else [axes]
    assert axes and all(isinstance(ax, Axes) for ax in axes)
    assert FIGURES[name](adata, show=True) is None and len(shown) == 1


def test_show_is_the_setting_of_scanpy(monkeypatch):
    adata, shown = clustered(), []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    assert scclu.pl.history(adata, "cicl") is None and shown
    try:
        sc.settings.autoshow = False
        assert scclu.pl.history(adata, "cicl") is not None and len(shown) == 1
    finally:
        sc.settings.autoshow = True


@pytest.mark.parametrize("name", FIGURES)
def test_ax(name):
    adata = clustered()
    figure, (_, right) = plt.subplots(1, 2, figsize=(22, 6), layout="constrained")
    axes = FIGURES[name](adata, ax=right, show=False)
    axes = axes if isinstance(axes, list) else [axes]
    assert plt.get_fignums() == [figure.number]
    assert all(ax.get_figure(root=True) is figure and ax.get_position() is not None for ax in axes)
    assert overlapping(figure) == []


@pytest.mark.parametrize("name", ["cluster_sizes", "confusion"])
def test_ax_outside_of_a_grid(name):
    loose = plt.figure().add_axes((0.5, 0.5, 0.4, 0.4))
    assert FIGURES[name](clustered(), ax=loose, return_fig=True) is loose.figure


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("what", ["array", "key", "ax"])
def test_bad_input(name, what):
    adata = clustered()
    if what == "array":
        with pytest.raises(TypeError, match="adata must be an AnnData, but a ndarray was passed"):
            FIGURES[name](adata.X.toarray())
    elif what == "key":
        with pytest.raises(ValueError, match="'nothing'.*There are: "):
            FIGURES[name](adata, key="nothing", **({"color": "nothing"} if name == "snapshots" else {}))
    else:
        with pytest.raises(TypeError, match="ax must be matplotlib Axes, but a Figure was passed"):
            FIGURES[name](adata, ax=plt.figure())
    assert plt.get_fignums() == ([1] if what == "ax" else [])


def test_palette():
    colors = scclu.pl.palette(40)
    assert len(set(colors)) == 40 and scclu.pl.palette(50)[:40] == colors
    with pytest.raises(ValueError, match="at least 1, but 0"):
        scclu.pl.palette(0)
    with pytest.raises(TypeError, match="whole number, but 2.5"):
        scclu.pl.palette(2.5)


def test_colors_of_scanpy_are_used():
    adata = clustered()
    sc.pl.embedding(adata, "X_cicl", color="cicl", palette=["red", "green", "blue"], show=False)
    sizes, _ = scclu.pl.cluster_sizes(adata, "cicl", show=False)
    assert [bar.get_facecolor()[:3] for bar in sizes.patches] == [(1, 0, 0), (0, 128 / 255, 0), (0, 0, 1)]
    adata.uns["cicl_colors"] = ["red"]
    sizes, _ = scclu.pl.cluster_sizes(adata, "cicl", show=False)
    assert len({bar.get_facecolor() for bar in sizes.patches}) == 3


def test_colors_are_those_of_all_figures():
    """The first figure of a key, of scclu or of scanpy, gives the colours of all others."""
    adata = clustered()
    adata.obs["cicl"] = adata.obs["cicl"].cat.add_categories("none").cat.reorder_categories(["none", "0", "1", "2"])
    scclu.pl.cluster_sizes(adata, "cicl", show=False)
    assert adata.uns["cicl_colors"] == scclu.pl.palette(4)
    sc.pl.embedding(adata, "X_cicl", color="cicl", show=False)
    strip, *_ = scclu.pl.similarity(adata, "cicl", show=False)
    assert adata.uns["cicl_colors"] == scclu.pl.palette(4)
    # a category without cells keeps its colour
    assert [to_hex(patch.get_facecolor()) for patch in strip.patches] == scclu.pl.palette(4)[1:]
    view = clustered()[:100]
    scclu.pl.cluster_sizes(view, "cicl", show=False)
    assert view.is_view and "cicl_colors" not in view.uns
