"""How a training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scclu import metrics as _metrics
from scclu.pl._colors import palette
from scclu.pl._figure import finish, panels, whole_ticks
from scclu.pl._inputs import categories, check_words, stored

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_PHASES = ("expression", "graph", "joint")
# thin yellow lines do not show on white
_LINES = palette(6)
_DASHES = ("-", "--", "-.", ":")
_METRICS = {
    "ari": (_metrics.ari, "ARI"),
    "nmi": (_metrics.nmi, "NMI (arithmetic)"),
    "accuracy": (_metrics.accuracy, "ACC"),
}
RUN = "Run scclu.tl.cicl or scclu.tl.scsiameseclu with key_added={!r} first."
RUN_SNAPSHOTS = "Run the tool again with n_snapshots= (at least 2)."


def history(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Losses over the epochs, a panel for each phase of the training.

    The losses are weighted as they are added up to the total. The share of cells that changed their cluster from one
    refresh of the transport to the next has a panel of its own where there is one.

    Parameters
    ----------
    adata
        Cells that :func:`scclu.tl.cicl` or :func:`scclu.tl.scsiameseclu` clustered.
    key
        Name of the clustering: ``adata.uns[key]["history"]`` is drawn.
    ax
        Draw in place of these axes, which must be large: about 3.6 by 3.8 inches a phase.
    show
        Show the figure; ``None`` is scanpy's setting.
    return_fig
        Return the figure.

    Returns
    -------
    The figure; or ``None`` if it is shown; or its axes, a list.

    Raises
    ------
    TypeError, ValueError
        If there is no history.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> figure = scclu.pl.history(adata, "cicl", return_fig=True)
    """
    values = stored(adata, key, "history", hint=RUN.format(key))
    phases = _by_phase(values)
    if not phases:
        raise ValueError(f"adata.uns[{key!r}]['history'] is empty: nothing was trained.")
    figure, axes = panels(ax, 1, len(phases), figsize=(3.6 * len(phases), 3.8))
    for panel, (phase, terms) in zip(axes, phases.items(), strict=True):
        for i, (name, losses) in enumerate(terms.items()):
            total = name == "loss"
            color = "black" if total else _LINES[(i - 1) % len(_LINES)]
            panel.plot(
                np.arange(1, len(losses) + 1),
                losses,
                color=color,
                linestyle="-" if total else _DASHES[i % 4],
                linewidth=2 if total else 1.3,
                marker="o" if len(losses) <= 12 else None,
                markersize=3,
                label=name.replace("_", " "),
            )
        changed = phase == "changed cells"
        panel.set(
            title=phase, xlabel="refresh" if changed else "epoch", ylabel="share of the cells" if changed else "loss"
        )
        whole_ticks(panel)
        panel.spines[["top", "right"]].set_visible(False)
        if len(terms) > 1:
            panel.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.18),
                ncols=1 if len(terms) < 4 else 2,
                frameon=False,
                fontsize=7.5,
                handlelength=2.4,
                columnspacing=1,
            )
    return finish(figure, axes, show=show, return_fig=return_fig)


def _by_phase(history: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The terms of each phase, the total first, then by size as the lines lie."""
    phases: dict[str, dict[str, np.ndarray]] = {}
    for name, losses in history.items():
        phase, _, term = name.partition("_")
        if phase not in _PHASES:
            phase, term = "training", name
        if term == "changed_cells":
            phase, term = "changed cells", "changed cells"
        if np.isfinite(losses).any():
            phases.setdefault(phase, {})[term] = losses
    return {
        phase: dict(sorted(phases[phase].items(), key=lambda term: (term[0] != "loss", -np.nanmean(term[1]))))
        for phase in ("training", *_PHASES, "changed cells")
        if phase in phases
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
    """Agreement of the clusters with labels over the epochs (Fig. 4 of the CICL paper).

    Parameters
    ----------
    adata
        Cells that were clustered with ``n_snapshots=``.
    key
        Name of the clustering: ``adata.uns[key]["snapshots"]`` is drawn.
    labels_key
        Labels, a column of ``adata.obs``. Training has not seen them.
    metrics
        Any of ``"ari"``, ``"nmi"`` and ``"accuracy"`` of :mod:`scclu.metrics`.
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
        If there are no snapshots, if they are of other cells, or if labels are missing.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=4, n_snapshots=3)
    >>> ax = scclu.pl.snapshot_metrics(adata, "cicl", labels_key="cell_type", show=False)
    """
    names: list[str] = [metrics] if isinstance(metrics, str) else list(metrics)
    check_words("metrics", names, _METRICS)
    taken = read_snapshots(adata, key)
    labels = categories(adata, labels_key, argument="labels_key").codes
    figure, (panel,) = panels(ax, 1, 1, figsize=(4.6, 3.2))
    for i, name in enumerate(names):
        function, label = _METRICS[name]
        scores = [function(labels, clusters) for clusters in taken["clusters"]]
        panel.plot(
            taken["epoch"],
            scores,
            color=palette(3)[i],
            marker="os^"[i],
            linestyle=_DASHES[i],
            label=label,
            clip_on=False,
        )
    panel.set(xlabel="epoch", ylabel=f"agreement with {labels_key}", ylim=(0, 1))
    whole_ticks(panel)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.02), ncols=len(names), frameon=False)
    return finish(figure, panel, show=show, return_fig=return_fig)


def read_snapshots(adata: AnnData, key: str) -> dict[str, np.ndarray]:
    """The snapshots in ``adata.uns[key]``, which must be of the cells of `adata`."""
    stored(adata, key, hint=RUN.format(key))
    taken = stored(adata, key, "snapshots", hint=RUN_SNAPSHOTS)
    n_cells = taken["clusters"].shape[1]
    if n_cells != adata.n_obs:
        raise ValueError(
            f"The snapshots in adata.uns[{key!r}] are of {n_cells} cells, but adata has {adata.n_obs}: "
            "uns is not subset with the cells. Draw from all cells that were clustered."
        )
    return taken
