"""The plot ``tree``: the merge tree above the clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from scclu._checks import check_number
from scclu.cluster.forks import Fork, branches_of, clusters_of_cut, forks_between, stored_tree
from scclu.cluster.tree import MergeTree
from scclu.data.stored import read_stored
from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, name_items, panels, pitch

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_DARK, _FAINT = "#444444", "#aaaaaa"
# Level of the tests of the clustering tools, if they were called without alpha.
_ALPHA = 0.05
# Horizontal distance of a fork and the forks below it, relative to the range of heights.
_STEP = 0.015
# Font sizes of genes in points, and the height of a line relative to the distance of two clusters.
_GENE_FONT, _SMALLEST_GENE, _GENE_LINE = 7.0, 4.0, 0.42
_Point = tuple[float, float]


def tree(
    adata: AnnData,
    key: str = "cicl",
    *,
    n_clusters: int | None = None,
    alpha: float | None = None,
    splits_key: str | None = None,
    n_genes: int = 2,
    show_fine: bool = False,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot the merge tree above the clusters, with the tests of its forks.

    Leaves are clusters, with their names and numbers of cells. Forks are at the height of the merge, where several of
    the same height are drawn side by side. A filled mark is a fork whose two sides are distinct, and an open one a fork
    whose sides are not; forks that were not tested have no mark.

    Parameters
    ----------
    adata
        Annotated data with the results of :func:`~scclu.tl.cicl` or :func:`~scclu.tl.scsiameseclu`.
    key
        Key under which the clusters and the tree are stored. The colours are those of ``adata.uns[f"{key}_colors"]``
        if scanpy has stored any.
    n_clusters
        Number of leaves, from 1 to the number of fine clusters; the clusters in ``adata.obs[key]`` if None. The leaves
        are the clusters of ``adata.obs[f"{key}_{n_clusters}"]``, which :func:`scclu.tl.cut_tree` writes, or the
        branches of the tree if there is no such column.
    alpha
        Sides with a p-value below it are distinct. If None, the level of the clustering.
    splits_key
        Key of ``adata.uns`` with the results of :func:`scclu.tl.rank_splits`. At each fork, its number is written, and
        the genes that are higher in the branches above (↑) and below (↓).
    n_genes
        Number of genes for each side.
    show_fine
        Also draw the merges of fine clusters within the clusters.
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
        If there is no tree or no ranking, or an argument is not allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=6, max_epochs=2)
    >>> scclu.tl.rank_splits(adata)
    >>> ax = scclu.pl.tree(adata, splits_key="cicl_splits", show=False)
    """
    merges, fine = stored_tree(adata, key)
    clusters, column = clusters_of_cut(adata, key, n_clusters)
    if alpha is None:
        alpha = adata.uns[key].get("params", {}).get("alpha", _ALPHA)
    check_number("alpha", alpha, above=0, below=1)
    check_number("n_genes", n_genes, integer=True, low=1)
    genes = {} if splits_key is None else _genes(adata, key, splits_key, n_genes)
    branches = branches_of(merges, fine, clusters.codes.astype(int))
    forks = forks_between(merges, branches)
    order = [*forks[0].first, *forks[0].second] if forks else [0]
    n = len(order)
    colors = category_colors(adata, column, n)
    figure, (panel,) = panels(ax, 1, 1, figsize=(8.0 if genes else 6.4, 1.1 + max(2, n) * (0.3 if genes else 0.2)))
    cut = float(merges.height[merges.n_fine - n - 1]) if n < merges.n_fine else 0.0
    if show_fine:
        _draw_fine(panel, merges, branches, order, cut)
    else:  # coarse cuts down to the distinct clusters, because many merges may have the height of the last one
        cut = min(cut, 1.0)
    right = 0.0 if show_fine else cut
    step = _STEP * (max((fork.height for fork in forks), default=cut + 1) - right)
    places = _places(forks, order, cut, step)
    _draw(panel, forks, places, cut, colors)
    left = max(x for x, _ in places.values())
    panel.set(xlim=(left + 2 * step, right - 2 * step), ylim=(n - 0.5, -0.5), xlabel="height of the merge")
    panel.spines[["top", "left", "right"]].set_visible(False)
    panel.yaxis.tick_right()
    sizes = np.bincount(clusters.codes)
    name_items(panel, "y", [f"{clusters.categories[each]}  ({sizes[each]:,})" for each in order])
    panel.annotate(
        f"{column} (cells)", (1, 0), xycoords="axes fraction", xytext=(12, -3), textcoords="offset points", va="top"
    )
    _legend(panel, forks, alpha, limit=right < 1 < left)
    _mark(panel, forks, places, order, alpha)
    _write_genes(panel, forks, places, order, genes)
    return finish(figure, panel, show=show, return_fig=return_fig)


def _genes(adata: AnnData, key: str, splits_key: str, n_genes: int) -> dict[int, str]:
    """Text for each fork with a ranking."""
    table: pd.DataFrame = read_stored(adata, splits_key, "table", hint="Run scclu.tl.rank_splits first.")
    ranked = read_stored(adata, splits_key, "params", "key", hint="Run scclu.tl.rank_splits first.")
    if ranked != key:
        raise ValueError(
            f"adata.uns[{splits_key!r}] ranks the forks of {ranked!r}, but key={key!r} was passed. "
            f"Run scclu.tl.rank_splits(adata, {key!r})."
        )
    texts = {}
    for fork in table["fork"].unique().tolist():
        rows = table[table["fork"] == fork]
        sides = [" ".join(rows["gene"][rows["side"] == side][:n_genes]) for side in rows["side"].unique()]
        # no gene may be higher on one of the sides
        texts[int(fork)] = f"{fork}   ↑ {sides[0]}   ↓ {sides[1]}" if len(sides) == 2 else f"{fork}   {sides[0]}"
    return texts


def _places(forks: Sequence[Fork], order: Sequence[int], cut: float, step: float) -> dict[tuple[int, ...], _Point]:
    """Coordinates of the leaves and forks, which are given by the clusters below them."""
    places: dict[tuple[int, ...], _Point] = {(cluster,): (cut, float(row)) for row, cluster in enumerate(order)}
    for fork in reversed(forks):
        (x_first, y_first), (x_second, y_second) = places[fork.first], places[fork.second]
        x = max(fork.height, x_first + step, x_second + step)
        places[fork.first + fork.second] = x, (y_first + y_second) / 2
    return places


def _draw(
    ax: Axes, forks: Sequence[Fork], places: Mapping[tuple[int, ...], _Point], cut: float, colors: Sequence[str]
) -> None:
    """Draw the branches; those of single clusters in their colours."""
    dark: list[list[_Point]] = []
    colored: list[list[_Point]] = []
    for fork in forks:
        x = places[fork.first + fork.second][0]
        sides = [(side, *places[side]) for side in (fork.first, fork.second)]
        dark.append([(x, sides[0][2]), (x, sides[1][2])])
        for side, x_side, y in sides:
            (colored if len(side) == 1 else dark).append([(x, y), (x_side, y)])
    leaves = [side[0] for fork in forks for side in (fork.first, fork.second) if len(side) == 1]
    ax.add_collection(LineCollection(colored, colors=[colors[each] for each in leaves], linewidths=2))
    ax.add_collection(LineCollection(dark, colors=_DARK, linewidths=1, capstyle="projecting"))
    for (cluster, *more), (_, y) in places.items():
        if not more:
            ax.plot(cut, y, marker="s", markersize=4.5, color=colors[cluster], clip_on=False, zorder=3)


def _draw_fine(ax: Axes, merges: MergeTree, branches: Mapping[int, int], order: Sequence[int], cut: float) -> None:
    """Draw the merges of fine clusters below each leaf, within its row."""
    segments = []
    for top, cluster in branches.items():
        inside, nodes = [], [top]
        while nodes:
            node = nodes.pop()
            if node >= merges.n_fine:
                nodes += merges.children[node - merges.n_fine].tolist()
            inside.append(node)
        fine = [node for node in inside if node < merges.n_fine]
        places = dict(zip(fine, [(0.0, y) for y in np.linspace(-0.36, 0.36, len(fine) + 2)[1:-1]], strict=True))
        row = order.index(cluster)
        for node in sorted(set(inside) - set(fine)):
            sides = [places[side] for side in merges.children[node - merges.n_fine].tolist()]
            x, ys = min(float(merges.height[node - merges.n_fine]), cut), [y for _, y in sides]
            places[node] = x, (ys[0] + ys[1]) / 2
            segments.append([(x, row + ys[0]), (x, row + ys[1])])
            segments += [[(x, row + y), (x_side, row + y)] for x_side, y in sides]
        x, y = places[top]
        segments.append([(cut, row), (cut, row + y)])
        segments.append([(cut, row + y), (x, row + y)])
    ax.add_collection(LineCollection(segments, colors=_FAINT, linewidths=0.5, zorder=1))


def _style(fork: Fork, alpha: float) -> dict[str, Any]:
    return {"marker": "o", "markersize": 5, "color": _DARK, "markerfacecolor": _DARK if fork.p < alpha else "white"}


def _row(fork: Fork, order: Sequence[int]) -> float:
    """Position between the two sides, where there are no other branches or marks beside the fork."""
    return order.index(fork.first[-1]) + 0.5


def _mark(
    ax: Axes, forks: Sequence[Fork], places: Mapping[tuple[int, ...], _Point], order: Sequence[int], alpha: float
) -> None:
    for fork in forks:
        if np.isfinite(fork.p):
            x = places[fork.first + fork.second][0]
            ax.plot(x, _row(fork, order), linestyle="", zorder=4, **_style(fork, alpha))


def _legend(ax: Axes, forks: Sequence[Fork], alpha: float, *, limit: bool) -> None:
    """Explain the marks that occur, and the height from which on clusters are distinct."""
    entries = {}
    for fork in sorted(forks, key=lambda fork: fork.p >= alpha):
        if np.isfinite(fork.p):
            text = f"distinct (p < {alpha:g})" if fork.p < alpha else f"not distinct (p ≥ {alpha:g})"
            entries[text] = Line2D([], [], linestyle="", **_style(fork, alpha))
    if limit:
        entries["limit of the distinct clusters"] = ax.axvline(1, color=_FAINT, linestyle=":", linewidth=1, zorder=0)
    if entries:
        ax.legend(
            entries.values(),
            entries.keys(),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            frameon=False,
            fontsize=8,
            handletextpad=0.3,
        )


def _write_genes(
    ax: Axes,
    forks: Sequence[Fork],
    places: Mapping[tuple[int, ...], _Point],
    order: Sequence[int],
    genes: Mapping[int, str],
) -> None:
    """Write genes at the right of the forks, between the rows of two clusters, if there is enough room."""
    size = min(_GENE_FONT, _GENE_LINE * pitch(ax, "y", len(order)))
    if size < _SMALLEST_GENE:
        return
    for fork in forks:
        if fork.number in genes:
            place = places[fork.first + fork.second][0], _row(fork, order)
            ax.annotate(
                genes[fork.number],
                place,
                xytext=(6, 0),
                textcoords="offset points",
                fontsize=size,
                va="center_baseline",
                annotation_clip=False,
            )
