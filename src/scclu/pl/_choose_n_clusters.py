"""The plot ``choose_n_clusters``: scores of numbers of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scclu._checks import listed
from scclu.data.stored import read_stored
from scclu.pl._figure import finish, panels, whole_ticks
from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_COLUMNS = ("k", "stability", "stability_sd", "silhouette")


def choose_n_clusters(
    adata: AnnData,
    *,
    key: str = "choose_n_clusters",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot stability and silhouette against the number of clusters.

    Vertical lines mark the estimated number of clusters and the number of Leiden communities at resolution 1.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.choose_n_clusters`.
    key
        Key of ``adata.uns`` with the results: ``"k"``, ``"table"`` with the columns ``"k"``, ``"stability"``,
        ``"stability_sd"`` and ``"silhouette"``, and optionally ``"leiden_k"``.
    ax
        Matplotlib axes whose place the plot takes; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise a list of its two axes.

    Raises
    ------
    TypeError, ValueError
        If the results are missing or incomplete.

    Examples
    --------
    >>> import pandas as pd
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> table = pd.DataFrame({"k": [2, 3, 4], "stability": [0.9, 0.95, 0.7], "silhouette": [0.3, 0.4, 0.2]})
    >>> table["stability_sd"] = 0.05
    >>> adata.uns["choose_n_clusters"] = {"k": 3, "leiden_k": 4, "table": table}
    >>> stability, silhouette = scclu.pl.choose_n_clusters(adata, show=False)
    """
    hint = "Run scclu.tl.choose_n_clusters first."
    table = read_stored(adata, key, "table", hint=hint)
    chosen = int(read_stored(adata, key, "k", hint=hint))
    leiden = adata.uns[key].get("leiden_k")
    table = table.reset_index() if "k" not in table and table.index.name == "k" else table
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ValueError(
            f"adata.uns[{key!r}]['table'] has no column {missing[0]!r}. There are: {listed(table)}. {hint}"
        )
    table = table.sort_values("k").astype(float)
    figure, (upper, lower) = panels(ax, 2, 1, figsize=(5.2, 4.6))
    blue, orange = palette(1)[0], palette(4)[3]
    _draw(upper, table["k"], table["stability"], "stability", blue)
    low, high = (table["stability"] + sign * table["stability_sd"] for sign in (-1, 1))
    upper.fill_between(table["k"], low, high, color=blue, alpha=0.2, linewidth=0, label="± 1 standard deviation")
    _draw(lower, table["k"], table["silhouette"], "silhouette", orange)
    upper.sharex(lower)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("number of clusters k")
    for panel in (upper, lower):
        panel.axvline(chosen, color="black", linewidth=1.2, zorder=0, label=f"chosen: {chosen}")
        if leiden is not None and np.isfinite(leiden):
            panel.axvline(
                int(leiden),
                color="#777777",
                linewidth=1.5,
                linestyle=(0, (2, 2)),
                zorder=0,
                label=f"Leiden: {int(leiden)}",
            )
    handles = {line.get_label(): line for line in upper.get_legend_handles_labels()[0]}
    upper.legend(
        handles=list(handles.values())[1:],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.01),
        ncols=3,
        frameon=False,
        fontsize=8,
        columnspacing=1.2,
    )
    return finish(figure, [upper, lower], show=show, return_fig=return_fig)


def _draw(ax: Axes, k: pd.Series, score: pd.Series, name: str, color: str) -> None:
    ax.plot(k, score, color=color, marker="o" if name == "stability" else "s", markersize=4, label=name)
    ax.set_ylabel(name)
    whole_ticks(ax)
    ax.spines[["top", "right"]].set_visible(False)
