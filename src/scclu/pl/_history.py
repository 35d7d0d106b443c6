"""The plot ``history``: losses over the epochs of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scclu.data.stored import RUN_TOOL, read_stored
from scclu.pl._figure import LINE_STYLES, finish, panels, whole_ticks
from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_PHASES = ("expression", "graph", "joint")
# without the yellow of the palette, which is hard to see as a thin line on white, and its black, which is the total's
_LINES = [*palette(6), *palette(10)[8:]]
_FONT = 9
# most rows of a column of a legend
_ROWS = 5


def history(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Plot losses over the epochs, with a panel for each phase of training.

    Losses are plotted with the weights that they have in the total loss. If it was recorded, the share of cells that
    changed their cluster between updates of the transport plan has its own panel.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.cicl` or :func:`scclu.tl.scsiameseclu`.
    key
        Name of the clustering: ``adata.uns[key]["history"]`` is plotted.
    ax
        Matplotlib axes whose place the plot takes, about 4 by 4.2 inches per phase; a new figure is made if None.
    show
        Show the figure; scanpy's setting if None.
    return_fig
        Return the figure, for example to save it: ``figure.savefig("figure.pdf")``.

    Returns
    -------
    The figure if `return_fig` is True; None if the figure is shown; otherwise a list of its axes.

    Raises
    ------
    TypeError, ValueError
        If there is no history, or it is empty.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> figure = scclu.pl.history(adata, "cicl", return_fig=True)
    """
    values = read_stored(adata, key, "history", hint=RUN_TOOL.format(key))
    phases = _by_phase(values)
    if not phases:
        raise ValueError(f"adata.uns[{key!r}]['history'] is empty: nothing was trained.")
    rows = min(_ROWS, max(map(len, phases.values())))
    figure, axes = panels(ax, 1, len(phases), figsize=(4 * len(phases), 3.2 + 0.2 * rows))
    for panel, (phase, terms) in zip(axes, phases.items(), strict=True):
        for i, (name, losses) in enumerate(terms.items()):
            total = name == "loss"
            color = "black" if total else _LINES[max(i - 1, 0) % len(_LINES)]
            panel.plot(
                np.arange(1, len(losses) + 1),
                losses,
                color=color,
                linestyle="-" if total else LINE_STYLES[i % 4],
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
                bbox_to_anchor=(0.5, -0.2),
                ncols=-(-len(terms) // _ROWS),
                frameon=False,
                fontsize=_FONT,
                handlelength=2.4,
                labelspacing=0.3,
                columnspacing=1,
            )
    return finish(figure, axes, show=show, return_fig=return_fig)


def _by_phase(history: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Group loss terms by phase, with the total first and then by decreasing mean, the order of the curves."""
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
