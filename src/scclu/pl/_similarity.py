"""The plot ``similarity``: cosine similarity of cells in an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from scclu._checks import check_number
from scclu._labels import read_labels
from scclu.data.matrix import read_matrix
from scclu.pl._colors import SEQUENTIAL, category_colors
from scclu.pl._figure import finish, lay_out, panels, root, spread
from scclu.pl._ordering import sample_cells
from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_BINS = np.linspace(-1, 1, 101).tolist()


def similarity(
    adata: AnnData,
    key: str,
    *,
    use_rep: str | None = None,
    n_cells: int = 2000,
    random_state: int = 0,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot the cosine similarity of cells in an embedding (Fig. 4 of the scSiameseClu paper).

    The plot has a heat map of all pairs of cells, and the distributions of the similarities within and between
    clusters. In a collapsed embedding all pairs of cells are similar: the heat map has a single colour, and the two
    distributions coincide.

    Parameters
    ----------
    adata
        Annotated data with clusters and an embedding.
    key
        Column of ``adata.obs`` with the clusters, by which the cells are sorted. The colours are those of
        ``adata.uns[f"{key}_colors"]`` are used, or written as scanpy does.
    use_rep
        Key of ``adata.obsm`` with the embedding; ``f"X_{key}"`` if None.
    n_cells
        Largest number of cells to plot. If there are more, a random sample is plotted, which the figure states.
    random_state
        Seed for the sample.
    ax
        Matplotlib axes whose place the plot takes, about 9 inches wide; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise a list of its axes: clusters, heat map
    and distributions.

    Raises
    ------
    TypeError, ValueError
        If the clusters or the embedding are missing or have missing values.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> figure = scclu.pl.similarity(adata, "cicl", n_cells=300, return_fig=True)
    """
    check_number("n_cells", n_cells, integer=True, low=1)
    clusters = read_labels(adata, key, argument="key")
    values, _, _ = read_matrix(adata, use_rep=f"X_{key}" if use_rep is None else use_rep)
    rows, sample = sample_cells(adata.n_obs, n_cells, random_state)
    rows = rows[np.argsort(clusters.codes[rows], kind="stable")]
    codes = clusters.codes[rows]
    cells = values[rows] / np.maximum(np.linalg.norm(values[rows], axis=1, keepdims=True), 1e-12)
    table = cells @ cells.T

    figure, (strip, heat, curves) = panels(
        ax, 1, 3, figsize=(9.6, float(np.clip(0.15 * len(clusters.categories), 4.2, 6.6))), width_ratios=(0.12, 4, 3)
    )
    image = heat.imshow(table, cmap=SEQUENTIAL, vmin=-1, vmax=1, aspect="auto", rasterized=True)
    heat.set(xticks=[], yticks=[], xlabel=sample, title=f"embedding: {use_rep or 'X_' + key}")
    heat.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=heat, fraction=0.04, pad=0.02, shrink=0.6)
    bar.set_label("cosine similarity")
    bar.outline.set_visible(False)
    _draw_distributions(curves, table, codes)
    _draw_strip(strip, codes, list(clusters.categories), category_colors(adata, key, len(clusters.categories)), key)
    return finish(figure, [strip, heat, curves], show=show, return_fig=return_fig)


def _draw_distributions(ax: Axes, table: np.ndarray, codes: np.ndarray) -> None:
    """Draw histograms of the similarities of pairs of cells within and between clusters."""
    first, second = np.triu_indices(len(table), 1)
    same = codes[first] == codes[second]
    pairs = table[first, second]
    colors = palette(4)
    for chosen, name, color, line in (
        (same, "within clusters", colors[0], "-"),
        (~same, "between clusters", colors[3], "--"),
    ):
        if chosen.any():
            ax.hist(
                np.clip(pairs[chosen], -1, 1),
                _BINS,
                density=True,
                histtype="step",
                color=color,
                linestyle=line,
                linewidth=1.6,
                label=f"{name} (median {np.median(pairs[chosen]):.2f})",
            )
    ax.set(
        xlabel="cosine similarity of two cells",
        ylabel="density of pairs",
        xlim=(-1, 1),
    )
    ax.spines[["top", "right"]].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 5, 10]))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.01), frameon=False, fontsize=8)


def _draw_strip(ax: Axes, codes: np.ndarray, names: list[str], colors: list[str], title: str) -> None:
    """Draw clusters as blocks of colour with their names beside them; names are moved apart if blocks are thin."""
    sizes = np.bincount(codes, minlength=len(names))
    ends = np.cumsum(sizes)
    for start, end, color in zip(ends - sizes, ends, colors, strict=True):
        ax.axhspan(start - 0.5, end - 0.5, color=color, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(len(codes) - 0.5, -0.5), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    figure = root(ax)
    lay_out(figure)
    height = ax.get_window_extent().height * 72 / figure.dpi
    # if there is not enough room for all names, only the largest clusters are named
    named = np.sort(np.argsort(-sizes, kind="stable")[: min(int((sizes > 0).sum()), max(1, int(height / 6.5)))])
    size = float(np.clip(height / len(named) / 1.25, 5, 9))
    gap = 1.25 * size / height * len(codes)
    middle = (ends - sizes / 2)[named] - 0.5
    for k, wanted, place in zip(named, middle, spread(middle, gap, gap / 2, len(codes) - gap / 2), strict=True):
        ax.annotate(
            names[k],
            (0, wanted),
            xytext=(-1.8, place),
            ha="right",
            va="center",
            fontsize=size,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "#888888", "shrinkA": 1, "shrinkB": 0},
        )
    ax.set_title(title, loc="right", fontsize=9)
