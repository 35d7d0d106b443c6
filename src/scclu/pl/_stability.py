"""The plot ``stability``: how often clusters are found again in subsamples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scclu._checks import listed
from scclu._labels import read_labels
from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, name_items, panels

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_COLUMNS = ("cluster", "n_cells", "jaccard", "jaccard_sd")


def stability(
    adata: AnnData,
    key: str = "cicl",
    *,
    stability_key: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot the stability of each cluster, the least stable at the bottom.

    Bars are the mean Jaccard index over the subsamples, with a line of one standard deviation to each side. Numbers of
    cells are on the right.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.stability`.
    key
        Column of ``adata.obs`` with the clusters, which are drawn in the colours of ``adata.uns[f"{key}_colors"]`` if
        scanpy has stored any.
    stability_key
        Key of ``adata.uns`` with the stability, the ``key_added`` of the tool; ``f"{key}_stability"`` if None.
    ax
        Matplotlib axes to draw in; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise its axes.

    Raises
    ------
    TypeError, ValueError
        If the clusters or their stability are missing, or belong to other clusters.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.stability(adata, "cell_type", n_runs=2)
    >>> ax = scclu.pl.stability(adata, "cell_type", show=False)
    """
    clusters = read_labels(adata, key, argument="key", allow_missing=True)
    names = list(clusters.categories)
    table = _stored_table(adata, key, stability_key or f"{key}_stability")
    missing = sorted(set(names) - set(table.index))
    if missing:
        raise ValueError(
            f"The stability of {listed(missing)} in adata.obs[{key!r}] is not in adata.uns: the clusters have changed "
            f"since. Run scclu.tl.stability(adata, {key!r})."
        )
    colors = dict(zip(names, category_colors(adata, key, len(names)), strict=True))
    table = table.loc[names].sort_values("jaccard", ascending=False, kind="stable")
    figure, (drawn,) = panels(ax, 1, 1, figsize=(4.5, max(1.6, 0.9 + 0.2 * len(table))))
    rows = np.arange(len(table))
    mean, deviation = (table[column].to_numpy(dtype=float) for column in ("jaccard", "jaccard_sd"))
    # keep the lines visible on dark colours
    drawn.barh(rows, mean, color=[colors[name] for name in table.index], height=0.75, alpha=0.6)
    ends = np.clip([mean - deviation, mean + deviation], 0, 1)
    drawn.hlines(rows, *ends, color="black", linewidth=1.0)
    drawn.set(xlabel="stability (Jaccard index)", ylabel=key, xlim=(0, 1), ylim=(len(table) - 0.5, -0.5))
    drawn.spines[["top", "right"]].set_visible(False)
    right = drawn.secondary_yaxis("right")
    right.spines["right"].set_visible(False)
    right.set_ylabel("cells")
    name_items(drawn, "y", list(table.index))
    ticks = drawn.get_yticks().astype(int)
    size = drawn.get_yticklabels()[0].get_fontsize()
    right.set_yticks(ticks, [f"{n:,}" for n in table["n_cells"].iloc[ticks]], fontsize=min(8, size))
    right.tick_params(axis="y", length=0)
    return finish(figure, drawn, show=show, return_fig=return_fig)


def _stored_table(adata: AnnData, key: str, name: str) -> pd.DataFrame:
    """Table that :func:`scclu.tl.stability` has stored, with the clusters as its index."""
    stored = adata.uns.get(name)
    table = stored.get("table") if isinstance(stored, Mapping) else None
    if not isinstance(table, pd.DataFrame) or not set(_COLUMNS) <= set(table.columns):
        raise ValueError(
            f"adata.uns has no stability table under {name!r}. Run scclu.tl.stability(adata, {key!r}). "
            f"There are: {listed(adata.uns)}."
        )
    return table.set_index(table["cluster"].astype(str))
