"""The plot ``resolutions``: how the cells of clusters are divided by finer clusterings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.collections import PolyCollection
from sklearn.metrics.cluster import contingency_matrix

from scclu._labels import read_labels
from scclu.cluster.forks import clusters_of_cut, stored_tree
from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, name_items, panels, pitch

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

# Height of a new figure in inches for all cells, for each cluster of the column with most clusters, and at least.
_PER_CLUSTER, _LEAST = 0.1, 2.4
# Height of the name of a cluster, and smallest distance of two clusters, in inches.
_NAME, _GAP = 0.13, 0.03
# Half of the width of a column, relative to the distance of two columns.
_HALF = 0.07
_SWEEPS = 4


class _Column(NamedTuple):
    """The drawing of a clustering: names of the clusters, their order, upper ends and heights in inches, colours."""

    names: list[str]
    order: np.ndarray
    start: np.ndarray
    size: np.ndarray
    colors: list[str]


def resolutions(
    adata: AnnData,
    key: str | Sequence[str] = "cicl",
    *,
    n_clusters: Sequence[int] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot how clusters are divided from one clustering to the next, in the way of clustree.

    Each column is a clustering, and each bar a cluster whose height is its number of cells. A band between two bars has
    the width of the number of cells that they share. The clusters of the last column have colours of their own, and
    other clusters have the colour of the cluster in the next column that has most of their cells.

    Parameters
    ----------
    adata
        Annotated data with clusters.
    key
        Columns of ``adata.obs``, such as Leiden clusterings at several resolutions, from left to right. Or the key of
        one clustering with a tree (:func:`~scclu.tl.cicl`, :func:`~scclu.tl.scsiameseclu`), which is cut into each of
        `n_clusters`.
    n_clusters
        Numbers of clusters for a tree; if None, the number of clusters in ``adata.obs[key]``, half of it, a quarter of
        it, ... down to 2. The clusters are those of ``adata.obs[key]`` and ``adata.obs[f"{key}_{n_clusters}"]`` where
        :func:`scclu.tl.cut_tree` or the clustering has stored that number, and otherwise branches of the tree.
    ax
        Matplotlib axes to draw in; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise the axes.

    Raises
    ------
    TypeError, ValueError
        If a column or the tree is missing, fewer than two clusterings are passed, or a number of clusters is not
        allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, max_epochs=2)
    >>> ax = scclu.pl.resolutions(adata, "cicl", n_clusters=[2, 4, 8, 12], show=False)
    >>> ax = scclu.pl.resolutions(adata, ["cicl", "cell_type"], show=False)
    """
    found = _clusterings(adata, key, n_clusters)
    names, columns = [name for name, _ in found], [clusters for _, clusters in found]
    tables = [contingency_matrix(one.codes, other.codes) for one, other in pairwise(columns)]
    colors = _colors(category_colors(adata, names[-1], len(columns[-1].categories)), tables)
    drawn, height = _laid_out(columns, _orders(tables), colors)
    figure, (panel,) = panels(ax, 1, 1, figsize=(1.2 + 1.3 * len(drawn), 0.9 + height))
    panel.set(xlim=(-2 * _HALF, len(drawn) - 1 + 2 * _HALF), ylim=(height, 0), yticks=[])
    panel.spines[:].set_visible(False)
    for position, (one, other) in enumerate(pairwise(drawn)):
        _draw_bands(panel, position, one, other, tables[position] * (one.size.sum() / adata.n_obs))
    for position, column in enumerate(drawn):
        panel.bar(position, column.size, 2 * _HALF, column.start, color=column.colors, linewidth=0, zorder=3)
    numbers = [str(len(column.names)) for column in drawn]
    if isinstance(key, str):
        name_items(panel, "x", numbers)
        panel.set_xlabel(f"number of clusters of {key}")
    else:
        name_items(panel, "x", [f"{name} ({number})" for name, number in zip(names, numbers, strict=True)])
    _name_clusters(panel, drawn, height)
    return finish(figure, panel, show=show, return_fig=return_fig)


def _clusterings(
    adata: AnnData, key: str | Sequence[str], n_clusters: Sequence[int] | None
) -> list[tuple[str, pd.Categorical]]:
    """Names and clusters of the columns."""
    if not isinstance(key, str):
        if n_clusters is not None:
            raise ValueError(f"n_clusters cuts one tree, but the clusterings {key!r} were passed. Pass one key.")
        if not np.iterable(key) or len(key) < 2:
            raise ValueError(f"key must name at least two columns of adata.obs, or one tree, but {key!r} was passed.")
        return [(name, read_labels(adata, name, argument="key")) for name in key]
    stored_tree(adata, key)
    if n_clusters is None:
        n_clusters = [len(read_labels(adata, key, argument="key").categories)]
        fewest = min(2, max(1, n_clusters[0] - 1))
        while n_clusters[0] > fewest:
            n_clusters.insert(0, (n_clusters[0] + 1) // 2)
    if not np.iterable(n_clusters) or len(n_clusters) < 2:
        raise ValueError(f"n_clusters must be at least two numbers of clusters, but {n_clusters!r} was passed.")
    return [clusters_of_cut(adata, key, number)[::-1] for number in n_clusters]


def _orders(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Order of the clusters of each column, in which few bands cross: each by the mean rank of its cells' clusters."""
    rank = [np.arange(len(tables[0])), *(np.arange(table.shape[1]) for table in tables)]

    def sort(table: np.ndarray, fixed: np.ndarray, own: np.ndarray) -> np.ndarray:
        # clusters with the same mean keep their order
        order = np.lexsort((own, (table @ fixed / table.sum(axis=1)).round(6)))
        return np.argsort(order)

    for _ in range(_SWEEPS):
        for left, table in enumerate(tables):
            rank[left + 1] = sort(table.T, rank[left], rank[left + 1])
        for left in reversed(range(len(tables))):
            rank[left] = sort(tables[left], rank[left + 1], rank[left])
    return [np.argsort(each) for each in rank]


def _colors(last: list[str], tables: Sequence[np.ndarray]) -> list[list[str]]:
    """Colours of the clusters of each column, from those of the last one."""
    colors = [last]
    for table in reversed(tables):
        colors.append([colors[-1][main] for main in table.argmax(axis=1)])
    return colors[::-1]


def _laid_out(
    columns: Sequence[pd.Categorical], orders: Sequence[np.ndarray], colors: Sequence[list[str]]
) -> tuple[list[_Column], float]:
    """Columns with room for the names of all clusters, each of them centred, and the height of the highest."""
    unit = max(_LEAST, _PER_CLUSTER * max(len(clusters.categories) for clusters in columns))
    drawn, heights = [], []
    for clusters, order, each in zip(columns, orders, colors, strict=True):
        size = np.bincount(clusters.codes) / len(clusters) * unit
        slot = np.maximum(size + _GAP, _NAME)[order]
        start = np.empty(len(order))
        start[order] = np.cumsum(slot) - (slot + size[order]) / 2
        drawn.append(_Column(list(clusters.categories), order, start, size, each))
        heights.append(float(slot.sum()))
    highest = max(heights)
    moved = [
        column._replace(start=column.start + (highest - height) / 2)
        for column, height in zip(drawn, heights, strict=True)
    ]
    return moved, highest


def _draw_bands(ax: Axes, position: int, left: _Column, right: _Column, width: np.ndarray) -> None:
    """Draw the cells that pairs of clusters of two columns share as bands, in the colours of the right column."""
    along = np.linspace(0, 1, 30)
    x = position + _HALF + (1 - 2 * _HALF) * along
    bend = along**2 * (3 - 2 * along)
    ordered = width[left.order][:, right.order]
    # upper ends of the bands within the clusters of the two columns
    upper_left = left.start[left.order][:, None] + np.cumsum(ordered, axis=1) - ordered
    upper_right = right.start[right.order] + np.cumsum(ordered, axis=0) - ordered
    bands, colors = [], []
    for i, j in np.argwhere(ordered > 0):
        top = upper_left[i, j] + (upper_right[i, j] - upper_left[i, j]) * bend
        bands.append(np.column_stack((np.concatenate((x, x[::-1])), np.concatenate((top, top[::-1] + ordered[i, j])))))
        colors.append(right.colors[right.order[j]])
    ax.add_collection(PolyCollection(bands, facecolors=colors, alpha=0.45, linewidths=0))


def _name_clusters(ax: Axes, drawn: Sequence[_Column], height: float) -> None:
    """Write names on the bars, long ones beside the outer bars; those of large clusters if there is not enough room."""
    inch = pitch(ax, "y", 1) / height  # in points
    size = float(np.clip(inch * _NAME / 1.25, 5, 8))
    for position, column in enumerate(drawn):
        beside = 0 if max(map(len, column.names)) <= 3 else {0: -1, len(drawn) - 1: 1}.get(position, 0)
        for name, start, extent in zip(column.names, column.start, column.size, strict=True):
            if inch * max(extent + _GAP, _NAME) < 1.2 * size:
                continue
            ax.text(
                position + beside * 1.3 * _HALF,
                start + extent / 2,
                name,
                ha={-1: "right", 0: "center", 1: "left"}[beside],
                va="center_baseline",
                fontsize=size,
                zorder=4,
                path_effects=[patheffects.withStroke(linewidth=1.5, foreground="white")],
            )
