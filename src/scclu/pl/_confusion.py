"""Clusters against labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scclu.pl._colors import SEQUENTIAL
from scclu.pl._figure import finish, heat_map, panels
from scclu.pl._inputs import categories, check_words, crossed, matched

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_LABELS = {"rows": "share of the cluster", "columns": "share of the label", "none": "cells"}


def confusion(
    adata: AnnData,
    key: str,
    *,
    labels_key: str,
    normalize: Literal["rows", "columns", "none"] = "rows",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Cells of each cluster by label, with the best one-to-one match (Hungarian method) on the diagonal.

    Clusters keep their order; labels follow their clusters. Clusters or labels without a partner come last.

    Parameters
    ----------
    adata
        Cells with clusters and labels.
    key
        Clusters, a column of ``adata.obs``: the rows.
    labels_key
        Labels, a column of ``adata.obs``: the columns.
    normalize
        ``"rows"`` draws shares of each cluster's cells, ``"columns"`` shares of each label's cells, ``"none"`` numbers
        of cells. The match is always that of the numbers, as in :func:`scclu.metrics.accuracy`.
    ax
        Draw in these axes.
    show
        Show the figure; ``None`` is scanpy's setting.
    return_fig
        Return the figure.

    Returns
    -------
    The figure; or ``None`` if it is shown; or the axes.

    Raises
    ------
    TypeError, ValueError
        If a column is missing, or has missing values, or `normalize` is another word.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> ax = scclu.pl.confusion(adata, "cicl", labels_key="cell_type", show=False)
    """
    check_words("normalize", [normalize], _LABELS)
    counts = crossed(categories(adata, key), categories(adata, labels_key, argument="labels_key"))
    rows, columns = matched(counts.to_numpy())
    counts = counts.iloc[rows, columns]
    table = counts.astype(float)
    if normalize != "none":
        axis = 1 if normalize == "rows" else 0
        table = counts / counts.to_numpy().sum(axis=axis, keepdims=True)
    text = np.array(
        [
            ["" if not n else f"{value:.2f}" if normalize != "none" else str(n) for n, value in zip(*pair, strict=True)]
            for pair in zip(counts.to_numpy(), table.to_numpy(), strict=True)
        ],
        dtype=object,
    )
    figure, (panel,) = panels(ax, 1, 1, figsize=table_size(table))
    heat_map(
        panel,
        table,
        cmap=SEQUENTIAL,
        label=_LABELS[normalize],
        high=1.0 if normalize != "none" else counts.to_numpy().max(),
        text=text,
    )
    panel.set(xlabel=labels_key, ylabel=key)
    return finish(figure, panel, show=show, return_fig=return_fig)


def table_size(table: pd.DataFrame) -> tuple[float, float]:
    """Inches for a heat map with its labels."""
    n_rows, n_columns = table.shape
    wide, high = (0.08 * min(40, max(len(str(name)) for name in names)) for names in (table.index, table.columns))

    def side(n: int) -> float:
        return max(1.5, n * (0.36 if n <= 15 else 0.2))

    return 1.6 + wide + side(n_columns), 0.6 + high + side(n_rows)
