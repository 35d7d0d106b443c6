"""The plot ``marker_overlap``: scores of clusters for cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from scclu.data.stored import read_stored
from scclu.pl._colors import DIVERGING, SEQUENTIAL
from scclu.pl._figure import finish, heat_map, heat_map_size, panels
from scclu.pl._ordering import match_order

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def marker_overlap(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Plot the scores of clusters for cell types (Fig. 5 of the scSiameseClu paper).

    The best one-to-one match is on the diagonal. A frame marks the type that was assigned to a cluster; clusters
    without a frame were not recognised.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.annotate`.
    key
        Key of ``adata.uns`` with the results: ``"scores"`` ``(n_clusters, n_types)``, ``"clusters"``, ``"types"`` and,
        optionally, ``"names"``, the type of each cluster, which is otherwise the one with the highest score.
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
        If the scores are missing, have the wrong shape or are not finite.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.uns["annotation"] = {"scores": [[0.9, 0.1], [0.0, 0.7]], "clusters": ["0", "1"], "types": ["B", "T"]}
    >>> ax = scclu.pl.marker_overlap(adata, "annotation", show=False)
    """
    hint = "Run scclu.tl.annotate first."
    clusters, types = (list(map(str, read_stored(adata, key, part, hint=hint))) for part in ("clusters", "types"))
    scores = np.asarray(read_stored(adata, key, "scores", hint=hint), dtype=float)
    if scores.shape != (len(clusters), len(types)) or not scores.size:
        raise ValueError(
            f"adata.uns[{key!r}]['scores'] must have a row for each of {len(clusters)} clusters and a column for each "
            f"of {len(types)} types, but its shape is {scores.shape}. {hint}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"adata.uns[{key!r}]['scores'] has values that are missing or infinite. {hint}")
    rows, columns = match_order(scores)
    table = pd.DataFrame(scores, clusters, types).iloc[rows, columns]
    text = np.array([[f"{score:.2f}" if score else "" for score in row] for row in table.to_numpy()], dtype=object)
    figure, (panel,) = panels(ax, 1, 1, figsize=heat_map_size(table))
    if scores.min() < 0:
        high = float(np.abs(scores).max())
        heat_map(panel, table, cmap=DIVERGING, label="score", low=-high, high=high, text=text)
    else:
        high = max(1.0, float(scores.max()))
        heat_map(panel, table, cmap=SEQUENTIAL, label="overlap of markers", high=high, text=text)
    given = np.asarray(adata.uns[key].get("names", [types[k] for k in scores.argmax(axis=1)])).astype(str)[rows]
    for i, name in enumerate(given):
        if name in types:
            box = (list(table.columns).index(name) - 0.5, i - 0.5)
            # a light and a dark line are visible on every colour
            for color, width in (("white", 3.2), ("black", 1.3)):
                panel.add_patch(Rectangle(box, 1, 1, fill=False, edgecolor=color, linewidth=width))
    panel.set(xlabel="cell type", ylabel="cluster")
    return finish(figure, panel, show=show, return_fig=return_fig)
