"""Embeddings over the epochs of a training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, lay_out, panels
from scclu.pl._inputs import categories, check_positive, check_words, matched, sample_cells
from scclu.pl._legends import category_legend, place_texts
from scclu.pl._training import read_snapshots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BASES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
# inches
_PANEL = 2.3


def snapshots(
    adata: AnnData,
    key: str,
    *,
    color: str | Sequence[str] | None = None,
    basis: Literal["umap", "tsne", "pca"] = "umap",
    n_cells: int = 2000,
    random_state: int = 0,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """The embedding in two dimensions at several epochs (Fig. 3 of the CICL paper), a row for each colouring.

    Each snapshot is laid out anew, from where its cells lay at the snapshot before.

    Parameters
    ----------
    adata
        Cells that were clustered with ``n_snapshots=``.
    key
        Name of the clustering: ``adata.uns[key]["snapshots"]`` is drawn.
    color
        Columns of ``adata.obs`` with labels. `key` itself stands for the clusters of each epoch, under the names of
        the final clusters that they match best (Hungarian method); ``None`` is `key`. More than eight categories are
        also numbered in the last panel.
    basis
        ``"umap"``, ``"tsne"`` (as in the paper) or ``"pca"``, on the embedding.
    n_cells
        A random sample of as many cells is drawn where there are more; the figure says so.
    random_state
        Seed of the sample and of the layout.
    ax
        Draw in place of these axes, which must be large: about 2.3 inches a snapshot, and 2 for the legend.
    show
        Show the figure; ``None`` is scanpy's setting.
    return_fig
        Return the figure.

    Returns
    -------
    The figure; or ``None`` if it is shown; or its axes, a list, row by row.

    Raises
    ------
    TypeError, ValueError
        If there are no snapshots, if they are of other cells, or if a column is missing or has missing values.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=4, n_snapshots=3)
    >>> figure = scclu.pl.snapshots(adata, "cicl", color=["cicl", "cell_type"], basis="pca", return_fig=True)
    """
    check_words("basis", [basis], _BASES)
    check_positive("n_cells", n_cells)
    taken = read_snapshots(adata, key)
    columns = [key] if color is None else [color] if isinstance(color, str) else list(color)
    groups = [categories(adata, name, argument="color") for name in columns]
    n = len(taken["epoch"])
    rows, sample = sample_cells(adata.n_obs, n_cells, random_state)
    layouts = _layouts(taken["embedding"][:, rows], basis, random_state)
    figure, axes = panels(ax, len(columns), n, figsize=(_PANEL * n + 2, _PANEL * len(columns) + 0.4))
    marks: list[list[str] | None] = []
    for i, (name, found) in enumerate(zip(columns, groups, strict=True)):
        row = axes[i * n : (i + 1) * n]
        colors = np.array(category_colors(adata, name, len(found.categories)))
        codes = _matched_codes(taken["clusters"], found) if name == key else [found.codes] * n
        # what is drawn last hides the rest: no category should
        order = np.random.default_rng(random_state).permutation(len(rows))
        for panel, layout, epoch, code in zip(row, layouts, taken["epoch"], codes, strict=True):
            shades = np.where(code[rows] < 0, "#bbbbbb", colors[code[rows]])
            panel.scatter(
                layout[order, 0],
                layout[order, 1],
                c=shades[order],
                s=float(np.clip(6000 / len(rows), 1, 12)),
                linewidths=0,
                rasterized=True,
            )
            panel.set(xticks=[], yticks=[], title=f"epoch {epoch}" if i == 0 else "")
            panel.spines[:].set_color("#cccccc")
        row[0].set_ylabel(name)
        marks.append(category_legend(row[-1], list(found.categories), list(colors), inches=_PANEL))
    lowest = axes[(len(columns) - 1) * n]
    lowest.set_xlabel(f"{_BASES[basis]} of {sample}", loc="left")
    # now that no legend will move the panels any more
    lay_out(figure)
    for last, found, texts in zip(axes[n - 1 :: n], groups, marks, strict=True):
        if texts is not None:
            place_texts(last, layouts[-1], found.codes[rows], texts)
    return finish(figure, axes, show=show, return_fig=return_fig)


def _matched_codes(clusters: np.ndarray, final: pd.Categorical) -> list[np.ndarray]:
    """Clusters of each epoch, numbered as the final clusters that they match; -1 without a match."""
    codes = []
    for labels in clusters:
        table = np.zeros((int(labels.max()) + 1, len(final.categories)), dtype=np.int64)
        np.add.at(table, (labels, final.codes), 1)
        rows, columns = matched(table)
        n = min(table.shape)
        new = np.full(len(table), -1)
        new[rows[:n]] = columns[:n]
        codes.append(new[labels])
    return codes


def _layouts(embeddings: np.ndarray, basis: str, seed: int) -> list[np.ndarray]:
    layouts: list[np.ndarray] = []
    for values in embeddings:
        layout = _layout(values, basis, seed, layouts[-1] if layouts else None)
        if layouts:  # the nearest rotation or reflection: both are arbitrary
            left, _, right = np.linalg.svd((layout - layout.mean(0)).T @ (layouts[-1] - layouts[-1].mean(0)))
            layout = (layout - layout.mean(0)) @ (left @ right)
        layouts.append(layout)
    return layouts


def _layout(values: np.ndarray, basis: str, seed: int, start: np.ndarray | None) -> np.ndarray:
    """Two dimensions, ``(n_cells, 2)``."""
    from sklearn.decomposition import PCA

    n_cells = len(values)
    components = PCA(min(2, *values.shape), random_state=seed).fit_transform(values)
    components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    if basis == "pca" or n_cells < 6:  # neighbour graphs of fewer cells have no layout
        return components
    if start is None:
        start = components
    start = (start / max(float(start.std()), 1e-9)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of umap, about threads and seeds
        if basis == "tsne":
            from sklearn.manifold import TSNE

            perplexity = min(30.0, (n_cells - 1) / 3)
            return TSNE(perplexity=perplexity, init=1e-4 * start, random_state=seed).fit_transform(values)
        shell = AnnData(obsm={"values": values, "start": 5 * start})
        sc.pp.neighbors(shell, n_neighbors=min(15, n_cells - 1), use_rep="values", random_state=seed)
        sc.tl.umap(shell, init_pos="start", random_state=seed)
        return shell.obsm["X_umap"]
