"""The plot ``cluster_sizes``: sizes of clusters and confidence of their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scclu._checks import listed
from scclu._labels import obs_column, read_labels
from scclu.pl._colors import category_colors
from scclu.pl._figure import finish, name_items, panels

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def cluster_sizes(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Plot the number of cells of each cluster and the distribution of their confidence.

    Boxes span the quartiles, with a line at the median; whiskers span the 5th to the 95th percentile. Clusters that
    ``restrict_to`` has left as they were have no confidence.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.cicl` or :func:`scclu.tl.scsiameseclu`.
    key
        Name of the clustering: ``adata.obs[key]`` and ``adata.obs[f"{key}_confidence"]`` are plotted, in the colours
        of ``adata.uns[f"{key}_colors"]`` are used, or written as scanpy does.
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
        If the clusters or the confidence are missing, or have missing values.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> sizes, confidence = scclu.pl.cluster_sizes(adata, "cicl", show=False)
    """
    clusters = read_labels(adata, key, argument="key")
    column = f"{key}_confidence"
    if column not in adata.obs:
        raise ValueError(
            f"adata.obs has no {column!r}, the confidence that scclu.tl.cicl and scclu.tl.scsiameseclu write. "
            f"There are: {listed(adata.obs)}."
        )
    confidence = obs_column(adata, column).to_numpy(dtype=float)
    names = list(clusters.categories)
    # clusters that restrict_to has left as they were have no confidence
    with_confidence = np.unique(clusters.codes[~np.isnan(confidence)])
    if not len(with_confidence) or not np.isfinite(confidence[np.isin(clusters.codes, with_confidence)]).all():
        raise ValueError(f"adata.obs[{column!r}] has values that are missing or infinite.")
    colors = category_colors(adata, key, len(names))
    height = max(1.6, 0.9 + 0.2 * len(names))
    figure, (left, right) = panels(ax, 1, 2, figsize=(7, height))
    rows = np.arange(len(names))
    sizes = np.bincount(clusters.codes, minlength=len(names))
    bars = left.barh(rows, sizes, color=colors, height=0.75)
    left.set(xlabel="cells", ylabel=key, xlim=(0, 1.22 * sizes.max()), ylim=(len(names) - 0.5, -0.5))
    boxes = right.boxplot(
        [confidence[clusters.codes == k] for k in with_confidence],
        orientation="horizontal",
        positions=with_confidence,
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": "black", "linewidth": 1.5},
    )
    highest = max(float(line.get_xdata().max()) for line in boxes["caps"])
    for box, k in zip(boxes["boxes"], with_confidence, strict=True):
        # keep the median visible on dark colours
        box.set(facecolor=colors[k], alpha=0.5)
    right.set(xlabel="confidence", xlim=(0, min(1.0, 1.1 * highest) or 1.0), ylim=(len(names) - 0.5, -0.5))
    right.set_yticks([])
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    name_items(left, "y", names)
    size = left.get_yticklabels()[0].get_fontsize()
    left.bar_label(bars, labels=[f"{n:,}" for n in sizes], padding=2, fontsize=min(8, size))
    left.locator_params(axis="x", nbins=5)
    return finish(figure, [left, right], show=show, return_fig=return_fig)
