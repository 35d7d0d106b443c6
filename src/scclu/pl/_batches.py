"""The plot ``batches``: composition of clusters by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scclu._checks import check_adata, check_key, listed
from scclu._palette import palette
from scclu.pl._figure import finish, name_items, panels

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


def batches(
    adata: AnnData, key: str = "cicl", *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Plot the share of each batch in each cluster.

    The bar at the top is that of all cells. A cluster that is one batch alone (at least 95 % of its cells, and more
    than a random sample of all cells would have) has a star.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.cicl` or :func:`scclu.tl.scsiameseclu` with `batch_key`.
    key
        Name of the clustering; ``adata.uns[key]["batches"]`` is plotted.
    ax
        Matplotlib axes; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise its axes.

    Raises
    ------
    TypeError, ValueError
        If there is no table of batches under `key`.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.obs["donor"] = ["first", "second"] * 350
    >>> scclu.tl.cicl(adata, n_clusters=8, batch_key="donor", max_epochs=2)
    >>> axes = scclu.pl.batches(adata, show=False)
    """
    check_adata(adata)
    check_key(key)
    about: Any = adata.uns.get(key)
    if not hasattr(about, "get") or about.get("batches") is None:
        found = [name for name, value in adata.uns.items() if hasattr(value, "get") and "batches" in value]
        raise ValueError(
            f"key must name a clustering with batches, but {key!r} was passed. There are: {listed(found)}. "
            "Call scclu.tl.cicl(adata, batch_key=...) with a column of adata.obs that names the batch of each cell."
        )
    names, counts, table = (about["batches"][part] for part in ("batches", "counts", "table"))
    total = np.vstack((counts.sum(axis=0), counts))
    share = total / np.maximum(total.sum(axis=1, keepdims=True), 1)
    stars = np.where(table["one_batch"], " *", "")
    labels = ["all cells", *(f"{name}{star}" for name, star in zip(table["cluster"], stars, strict=True))]
    figure, (axes,) = panels(ax, 1, 1, figsize=(6, max(2.0, 1.0 + 0.2 * len(labels))))
    colors, left, place = palette(len(names)), np.zeros(len(labels)), np.arange(len(labels))
    for batch, name in enumerate(names):
        axes.barh(place, share[:, batch], left=left, color=colors[batch], height=0.8, label=str(name))
        left += share[:, batch]
    axes.set(xlabel="share of the cells", ylabel=key, xlim=(0, 1), ylim=(len(labels) - 0.5, -0.5))
    axes.axhline(0.5, color="black", linewidth=1)
    name_items(axes, "y", labels)
    axes.spines[["top", "right"]].set_visible(False)
    n_columns = -(-len(names) // 25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, ncols=n_columns, title="batch")
    return finish(figure, axes, show=show, return_fig=return_fig)
