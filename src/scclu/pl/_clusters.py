"""How many clusters, and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scclu.data.matrix import listed
from scclu.pl._colors import category_colors, palette
from scclu.pl._figure import finish, name_items, panels, whole_ticks
from scclu.pl._inputs import categories, stored

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
    """Stability and silhouette against the number of clusters, with the chosen number and Leiden's.

    Parameters
    ----------
    adata
        After ``scclu.tl.choose_n_clusters``.
    key
        Where ``adata.uns`` has the evidence: ``"k"``, ``"leiden_k"`` if Leiden was asked, and ``"table"`` with the
        columns ``"k"``, ``"stability"``, ``"stability_sd"`` and ``"silhouette"``.
    ax
        Draw in place of these axes.
    show
        Show the figure; ``None`` is scanpy's setting.
    return_fig
        Return the figure.

    Returns
    -------
    The figure; or ``None`` if it is shown; or its two axes, a list.

    Raises
    ------
    TypeError, ValueError
        If the evidence is missing, or lacks a column.

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
    table = stored(adata, key, "table", hint=hint)
    chosen = int(stored(adata, key, "k", hint=hint))
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


def cluster_sizes(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Cells of each cluster, and beside them the distribution of the cells' confidence.

    Boxes go from quartile to quartile with a line at the median, whiskers from the 5th to the 95th percentile.

    Parameters
    ----------
    adata
        Cells that :func:`scclu.tl.cicl` or :func:`scclu.tl.scsiameseclu` clustered.
    key
        Name of the clustering: ``adata.obs[key]`` and ``adata.obs[f"{key}_confidence"]`` are drawn, in the colours of
        ``adata.uns[f"{key}_colors"]`` where scanpy has put some.
    ax
        Draw in place of these axes.
    show
        Show the figure; ``None`` is scanpy's setting.
    return_fig
        Return the figure.

    Returns
    -------
    The figure; or ``None`` if it is shown; or its two axes, a list.

    Raises
    ------
    TypeError, ValueError
        If there are no clusters or no confidence, or if values are missing.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> sizes, confidence = scclu.pl.cluster_sizes(adata, "cicl", show=False)
    """
    clusters = categories(adata, key)
    column = f"{key}_confidence"
    if column not in adata.obs:
        raise ValueError(
            f"adata.obs has no {column!r}, the confidence that scclu.tl.cicl and scclu.tl.scsiameseclu write. "
            f"There are: {listed(adata.obs)}."
        )
    confidence = adata.obs[column].to_numpy(dtype=float)
    if not np.isfinite(confidence).all():
        raise ValueError(f"adata.obs[{column!r}] has values that are missing or infinite.")
    names = list(clusters.categories)
    colors = category_colors(adata, key, len(names))
    height = max(1.6, 0.9 + 0.2 * len(names))
    figure, (left, right) = panels(ax, 1, 2, figsize=(7, height))
    rows = np.arange(len(names))
    sizes = np.bincount(clusters.codes, minlength=len(names))
    bars = left.barh(rows, sizes, color=colors, height=0.75)
    left.set(xlabel="cells", ylabel=key, xlim=(0, 1.22 * sizes.max()), ylim=(len(names) - 0.5, -0.5))
    boxes = right.boxplot(
        [confidence[clusters.codes == k] for k in rows],
        orientation="horizontal",
        positions=rows,
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": "black", "linewidth": 1.5},
    )
    highest = max(float(line.get_xdata().max()) for line in boxes["caps"])
    for box, color in zip(boxes["boxes"], colors, strict=True):
        # the median must show on the palette's dark colours too
        box.set(facecolor=color, alpha=0.5)
    right.set(xlabel="confidence", xlim=(0, min(1.0, 1.1 * highest) or 1.0), ylim=(len(names) - 0.5, -0.5))
    right.set_yticks([])
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    name_items(left, "y", names)
    size = left.get_yticklabels()[0].get_fontsize()
    left.bar_label(bars, labels=[f"{n:,}" for n in sizes], padding=2, fontsize=min(8, size))
    left.locator_params(axis="x", nbins=5)
    return finish(figure, [left, right], show=show, return_fig=return_fig)
