"""The plot ``confusion``: clusters against labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics.cluster import contingency_matrix

from scclu._checks import check_choice
from scclu._labels import read_labels
from scclu.pl._colors import SEQUENTIAL
from scclu.pl._figure import finish, heat_map, heat_map_size, panels
from scclu.pl._ordering import match_order

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_LABELS = {
    "rows": "fraction of cells in cluster",
    "columns": "fraction of cells with label",
    "none": "number of cells",
}


def confusion(
    adata: AnnData,
    key: str,
    labels_key: str,
    *,
    normalize: Literal["rows", "columns", "none"] = "rows",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot a confusion matrix of clusters and labels, with the best one-to-one match on the diagonal.

    The match is found by the Hungarian method. Clusters keep their order, and labels are in the order of the clusters
    that they match. Clusters or labels without a match come last.

    Parameters
    ----------
    adata
        Annotated data with clusters and labels.
    key
        Column of ``adata.obs`` with the clusters, plotted as rows.
    labels_key
        Column of ``adata.obs`` with the labels, plotted as columns.
    normalize
        ``"rows"`` shows shares of each cluster's cells, ``"columns"`` shares of each label's cells, ``"none"`` numbers
        of cells. The match is always computed from numbers of cells, as in :func:`scclu.metrics.accuracy`.
    ax
        Matplotlib axes to draw in; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise the axes.

    Raises
    ------
    TypeError, ValueError
        If a column is missing, has missing values or holds real numbers, or `normalize` is not allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> ax = scclu.pl.confusion(adata, "cicl", "cell_type", show=False)
    """
    check_choice("normalize", normalize, _LABELS)
    clusters = read_labels(adata, key, argument="key")
    labels = read_labels(adata, labels_key, argument="labels_key")
    counts = pd.DataFrame(contingency_matrix(clusters.codes, labels.codes), clusters.categories, labels.categories)
    rows, columns = match_order(counts.to_numpy())
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
    figure, (panel,) = panels(ax, 1, 1, figsize=heat_map_size(table))
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
