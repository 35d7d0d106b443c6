"""The plots of trees and of flows between clusterings."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

import scclu
from figure_checks import clustered, overlapping


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def four_leaves():
    """Clusters of 4, 3, 2 and 1 cells: 0 and 2 are distinct from 1 and 3, but 1 and 3 are not distinct."""
    adata = clustered()[:10].copy()
    codes = np.repeat([0, 1, 2, 3], [4, 3, 2, 1])
    adata.obs["cicl"] = adata.obs["cicl_fine"] = pd.Categorical(codes.astype(str))
    adata.uns["cicl"]["tree"] = {
        "children": np.array([[3, 1], [2, 0], [4, 5]]),
        "height": np.array([1.0, 1.5, 2.0]),
        "size": np.array([4, 6, 10]),
        "p": np.array([0.3, np.nan, 0.01]),
        "neighbors": np.eye(4, dtype=np.float32),
    }
    return adata


def leaves(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def forks(ax):
    """Position and filling of the marks of forks."""
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    return [(*(float(each[0]) for each in mark.get_data()), mark.get_markerfacecolor() != "white") for mark in marks]


def words(ax):
    return [text.get_text() for text in ax.texts]


def test_tree_by_hand():
    ax = scclu.pl.tree(four_leaves(), show=False)
    assert leaves(ax) == ["0  (4)", "2  (2)", "1  (3)", "3  (1)"]
    assert forks(ax) == [(2.0, 1.5, True), (1.0, 2.5, False)]
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == [
        "distinct (p < 0.05)",
        "not distinct (p ≥ 0.05)",
    ]
    assert not any(filled for *_, filled in forks(scclu.pl.tree(four_leaves(), alpha=0.001, show=False)))
    verticals = {
        (float(a[0]), *sorted((float(a[1]), float(b[1]))))
        for lines in ax.collections
        if isinstance(lines, LineCollection)
        for a, b in lines.get_segments()
        if a[0] == b[0]
    }
    assert verticals == {(2.0, 0.5, 2.5), (1.5, 0.0, 1.0), (1.0, 2.0, 3.0)}


def test_level_of_the_clustering():
    adata = four_leaves()
    adata.uns["cicl"]["params"] = {"alpha": 0.4}
    assert [filled for *_, filled in forks(scclu.pl.tree(adata, show=False))] == [True, True]


def test_other_cuts():
    adata = four_leaves()
    assert leaves(scclu.pl.tree(adata, n_clusters=3, show=False)) == ["0  (4)", "2  (2)", "1  (4)"]
    assert leaves(scclu.pl.tree(adata, n_clusters=1, show=False)) == ["0  (10)"]
    # what cut_tree has stored, of which one cell is on the other side
    adata.obs["cicl_2"] = list("aaabbbbaab")
    assert leaves(scclu.pl.tree(adata, n_clusters=2, show=False)) == ["a  (5)", "b  (5)"]


def test_forks_of_one_height_are_apart():
    adata = four_leaves()
    adata.uns["cicl"]["tree"]["height"][:] = 2
    adata.uns["cicl"]["tree"]["p"][:] = 0
    x = [mark[0] for mark in forks(scclu.pl.tree(adata, show=False))]
    assert min(x) >= 2 and x[0] > max(x[1:])


@pytest.mark.parametrize("n_clusters", [2, 12, 40])
def test_genes_of_forks(n_clusters):
    adata = clustered(n_clusters)
    scclu.tl.rank_splits(adata, method="t-test", n_genes=3)
    figure = scclu.pl.tree(adata, splits_key="cicl_splits", return_fig=True)
    assert overlapping(figure) == []
    found = [text for text in words(figure.axes[0]) if "↑" in text]
    assert len(found) == n_clusters - 1
    table = adata.uns["cicl_splits"]["table"]
    root = table[table["fork"] == 1]
    up, down = (rows["gene"].tolist()[:2] for _, rows in root.groupby("side", sort=False))
    assert f"1   ↑ {up[0]} {up[1]}   ↓ {down[0]} {down[1]}" in found
    # the side of the first genes is drawn above
    order = [name.split()[0] for name in leaves(figure.axes[0])]
    assert root["side"].iloc[0].split(", ") == order[: len(root["side"].iloc[0].split(", "))]
    # a coarser cut has the same first forks
    coarse = words(scclu.pl.tree(adata, n_clusters=2, splits_key="cicl_splits", show=False))
    assert set(coarse) & set(found) == {text for text in found if text.startswith("1 ")}


def test_a_ranking_of_another_tree_is_refused():
    adata = clustered()
    scclu.tl.rank_splits(adata, key_added="splits")
    adata.uns["splits"]["params"]["key"] = "mine"
    with pytest.raises(ValueError, match="forks of 'mine', but key='cicl'.*rank_splits\\(adata, 'cicl'\\)"):
        scclu.pl.tree(adata, splits_key="splits", show=False)


def bands(ax):
    """Number of bands, and their summed width at both ends."""
    paths = [path.vertices[:-1] for collection in ax.collections for path in collection.get_paths()]
    half = len(paths[0]) // 2
    return len(paths), [sum(abs(path[i, 1] - path[-1 - i, 1]) for path in paths) for i in (0, half - 1)]


def test_flows_by_hand():
    adata = four_leaves()
    adata.obs["coarse"] = list("xxxxyyyxxz")
    ax = scclu.pl.resolutions(adata, ["coarse", "cicl"], show=False)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["coarse (3)", "cicl (4)"]
    heights = np.array([bar.get_height() for bar in ax.patches])
    np.testing.assert_allclose(heights / heights[:3].sum(), [0.6, 0.3, 0.1, 0.4, 0.3, 0.2, 0.1])
    number, widths = bands(ax)
    assert number == 4
    np.testing.assert_allclose(widths, heights[:3].sum())
    # x is mostly 0, y is 1 and z is 3
    colors = [bar.get_facecolor() for bar in ax.patches]
    assert colors[:3] == [colors[3], colors[4], colors[6]]


def test_bands_fill_the_bars():
    adata = clustered(5)
    adata.obs["mixed"] = np.random.default_rng(0).permutation(adata.obs["cicl"].to_numpy())
    ax = scclu.pl.resolutions(adata, ["mixed", "cicl"], show=False)
    paths = [path.vertices for each in ax.collections for path in each.get_paths()]
    for end, bars in ((0, ax.patches[:5]), (29, ax.patches[5:])):
        ends = sorted((path[end, 1], path[59 - end, 1]) for path in paths)
        spans = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars)
        for low, high in spans:
            inside = [band for band in ends if low - 1e-9 < band[0] < high - 1e-9]
            # one band below the other, from the upper to the lower end of the bar
            np.testing.assert_allclose([*(top for top, _ in inside), high], [low, *(below for _, below in inside)])


def test_flows_of_cuts_do_not_cross():
    adata = clustered(12)
    ax = scclu.pl.resolutions(adata, "cicl", n_clusters=[2, 5, 9, 16], show=False)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "5", "9", "16"]
    number, _ = bands(ax)
    assert number == 5 + 9 + 16  # each cluster is a part of one cluster
    for left in range(3):
        paths = [path.vertices for each in ax.collections for path in each.get_paths()]
        inside = [path for path in paths if left < path[:, 0].mean() < left + 1]
        first, last = ([path[i, 1] for path in inside] for i in (0, 29))
        np.testing.assert_array_equal(np.argsort(first), np.argsort(last))


@pytest.mark.parametrize(("n_clusters", "expected"), [(2, "12"), (3, "23"), (9, "2359")])
def test_default_numbers(n_clusters, expected):
    ax = scclu.pl.resolutions(clustered(n_clusters), show=False)
    assert [text.get_text() for text in ax.get_xticklabels()] == list(expected)


def test_long_names_do_not_overlap():
    adata = clustered(20)
    assert overlapping(scclu.pl.resolutions(adata, ["cicl", "batch", "cell_type"], return_fig=True)) == []
