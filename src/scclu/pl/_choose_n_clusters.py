"""The plot ``choose_n_clusters``: scores of numbers of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    The estimated number of clusters has the highest product of stability and silhouette, a dash-dotted line, among
    those between the bounds of the search. What is outside of the bounds is shaded. Vertical lines mark the estimated
    number and the number of Leiden communities at resolution 1.

    Parameters
    ----------
    adata
        Annotated data after :func:`scclu.tl.choose_n_clusters`.
    key
        Key of ``adata.uns`` with the results: ``"k"``, ``"table"`` with the columns ``"k"``, ``"stability"``,
        ``"stability_sd"`` and ``"silhouette"``, and optionally ``"leiden_k"`` and the bounds in
        ``"params"``.
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
    product = table["stability"].clip(lower=0) * table["silhouette"].clip(lower=0)
    (line,) = lower.plot(
        table["k"], product, color="black", linestyle="-.", linewidth=1, label="stability × silhouette"
    )
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
    _shade((upper, lower), adata.uns[key].get("params"), table["k"])
    upper.legend(
        handles=[*upper.get_legend_handles_labels()[0][1:], line],
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


def _shade(panels: Sequence[Axes], params: Any, k: pd.Series) -> None:
    """Shade the numbers of clusters outside the bounds of the search, if these are stored."""
    bounds = params.get("leiden_range") if isinstance(params, Mapping) else None
    if bounds is None:
        return
    first, last = k.min() - 0.5, k.max() + 0.5
    start, stop = np.clip(np.asarray(bounds, dtype=float), k.min(), k.max())
    for panel in panels:
        label: str | None = f"outside of {start:.0f} to {stop:.0f}"
        panel.set_xlim(first, last)
        for low, high in ((first, start - 0.5), (stop + 0.5, last)):
            if low < high:
                panel.axvspan(low, high, color="black", alpha=0.1, linewidth=0, zorder=0, label=label)
                label = None
