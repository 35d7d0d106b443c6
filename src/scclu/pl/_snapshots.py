"""The plot ``snapshots``: the embedding over the epochs of training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu._checks import check_choice, check_number
from scclu._labels import read_labels
from scclu._process import scanpy_is_quiet
from scclu.data.stored import read_snapshots
from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, lay_out, panels
from scclu.pl._legends import category_legend, place_texts
from scclu.pl._ordering import match_order, sample_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BASES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
# Side of a panel in inches.
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
    """Plot the embedding in two dimensions at several epochs (Fig. 3 of the CICL paper).

    There is a column for each snapshot and a row for each colouring. The layout of each snapshot is initialised with
    that of the previous one.

    Parameters
    ----------
    adata
        Annotated data that were clustered with ``n_snapshots=``.
    key
        Name of the clustering: ``adata.uns[key]["snapshots"]`` is plotted.
    color
        Columns of ``adata.obs`` with labels; `key` if None. For `key`, the clusters of each epoch are shown in the
        colours of the final clusters that they match (Hungarian method). If there are more than eight categories, they
        are also numbered in the last panel.
    basis
        Layout of the embedding: ``"umap"``, ``"tsne"`` (as in the paper) or ``"pca"``.
    n_cells
        Largest number of cells to plot. If there are more, a random sample is plotted, which the figure states.
    random_state
        Seed for the sample and the layout.
    ax
        Matplotlib axes whose place the plot takes, about 2.3 inches wide per snapshot and 2 inches for the legend; a
        new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise a list of its axes, row by row.

    Raises
    ------
    TypeError, ValueError
        If there are no snapshots of these cells, a column is missing, has missing values or holds real numbers, or an
        argument is not allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=4, n_snapshots=3)
    >>> figure = scclu.pl.snapshots(adata, "cicl", color=["cicl", "cell_type"], basis="pca", return_fig=True)
    """
    check_choice("basis", basis, _BASES)
    check_number("n_cells", n_cells, integer=True, low=1)
    taken = read_snapshots(adata, key)
    columns = [key] if color is None else [color] if isinstance(color, str) else list(color)
    groups = [read_labels(adata, name, argument="color") for name in columns]
    n = len(taken["epoch"])
    rows, sample = sample_cells(adata.n_obs, n_cells, random_state)
    layouts = _layouts(taken["embedding"][:, rows], basis, random_state)
    figure, axes = panels(ax, len(columns), n, figsize=(_PANEL * n + 2, _PANEL * len(columns) + 0.4))
    marks: list[list[str] | None] = []
    for i, (name, found) in enumerate(zip(columns, groups, strict=True)):
        row = axes[i * n : (i + 1) * n]
        colors = np.array(category_colors(adata, name, len(found.categories)))
        codes = _matched_codes(taken["clusters"], found) if name == key else [found.codes] * n
        # a random drawing order, so that no category hides the others
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
    lay_out(figure)  # the legends are complete, so that positions are final
    for last, found, texts in zip(axes[n - 1 :: n], groups, marks, strict=True):
        if texts is not None:
            place_texts(last, layouts[-1], found.codes[rows], texts)
    return finish(figure, axes, show=show, return_fig=return_fig)


def _matched_codes(clusters: np.ndarray, final: pd.Categorical) -> list[np.ndarray]:
    """Number the clusters of each epoch as the final clusters that they match; -1 without a match."""
    codes = []
    for labels in clusters:
        table = np.zeros((int(labels.max()) + 1, len(final.categories)), dtype=np.int64)
        np.add.at(table, (labels, final.codes), 1)
        rows, columns = match_order(table)
        n = min(table.shape)
        new = np.full(len(table), -1)
        new[rows[:n]] = columns[:n]
        codes.append(new[labels])
    return codes


def _layouts(embeddings: np.ndarray, basis: str, seed: int) -> list[np.ndarray]:
    """Lay out each snapshot in two dimensions, ``(n_cells, 2)``, aligned with the previous one."""
    layouts: list[np.ndarray] = []
    for values in embeddings:
        layout = _layout(values, basis, seed, layouts[-1] if layouts else None)
        if layouts:  # rotation and reflection are arbitrary: choose those nearest to the previous layout
            left, _, right = np.linalg.svd((layout - layout.mean(0)).T @ (layouts[-1] - layouts[-1].mean(0)))
            layout = (layout - layout.mean(0)) @ (left @ right)
        layouts.append(layout)
    return layouts


def _layout(values: np.ndarray, basis: str, seed: int, start: np.ndarray | None) -> np.ndarray:
    """Lay out one snapshot in two dimensions, ``(n_cells, 2)``, from the positions `start` if given."""
    from sklearn.decomposition import PCA

    n_cells = len(values)
    components = PCA(min(2, *values.shape), random_state=seed).fit_transform(values)
    components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    if basis == "pca" or n_cells < 6:  # UMAP and t-SNE need more cells
        return components
    if start is None:
        start = components
    start = (start / max(float(start.std()), 1e-9)).astype(np.float32)
    with scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns about threads and seeds
        if basis == "tsne":
            from sklearn.manifold import TSNE

            perplexity = min(30.0, (n_cells - 1) / 3)
            return TSNE(perplexity=perplexity, init=1e-4 * start, random_state=seed).fit_transform(values)
        shell = AnnData(obsm={"values": values, "start": 5 * start})
        sc.pp.neighbors(shell, n_neighbors=min(15, n_cells - 1), use_rep="values", random_state=seed)
        sc.tl.umap(shell, init_pos="start", random_state=seed)
        return shell.obsm["X_umap"]
