"""The plot ``snapshot_metrics``: agreement of clusters with labels over the epochs of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from scclu import metrics as _metrics
from scclu._checks import check_choices
from scclu._labels import read_labels
from scclu.data.stored import read_snapshots
from scclu.pl._figure import LINE_STYLES, finish, panels, whole_ticks
from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_METRICS = {
    "ari": (_metrics.ari, "ARI"),
    "nmi": (_metrics.nmi, "NMI (arithmetic)"),
    "accuracy": (_metrics.accuracy, "ACC"),
}


def snapshot_metrics(
    adata: AnnData,
    key: str,
    *,
    labels_key: str,
    metrics: Sequence[Literal["ari", "nmi", "accuracy"]] = ("ari", "nmi"),
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot agreement of the clusters with labels over the epochs (Fig. 4 of the CICL paper).

    Parameters
    ----------
    adata
        Annotated data that were clustered with ``n_snapshots=``.
    key
        Name of the clustering: ``adata.uns[key]["snapshots"]`` is plotted.
    labels_key
        Column of ``adata.obs`` with labels, which are not used in training.
    metrics
        Metrics of :mod:`scclu.metrics` to plot: any of ``"ari"``, ``"nmi"`` and ``"accuracy"``.
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
        If there are no snapshots of these cells, labels are missing, or a metric is unknown.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=4, n_snapshots=3)
    >>> ax = scclu.pl.snapshot_metrics(adata, "cicl", labels_key="cell_type", show=False)
    """
    names = check_choices("metrics", metrics, _METRICS)
    taken = read_snapshots(adata, key)
    labels = read_labels(adata, labels_key, argument="labels_key").codes
    figure, (panel,) = panels(ax, 1, 1, figsize=(4.6, 3.2))
    for i, name in enumerate(names):
        function, label = _METRICS[name]
        scores = [function(labels, clusters) for clusters in taken["clusters"]]
        panel.plot(
            taken["epoch"],
            scores,
            color=palette(3)[i],
            marker="os^"[i],
            linestyle=LINE_STYLES[i],
            label=label,
            clip_on=False,
        )
    panel.set(xlabel="epoch", ylabel=f"agreement with {labels_key}", ylim=(0, 1))
    whole_ticks(panel)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.02), ncols=len(names), frameon=False)
    return finish(figure, panel, show=show, return_fig=return_fig)
