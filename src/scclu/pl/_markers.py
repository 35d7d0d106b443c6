"""Genes of the clusters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scclu.data.matrix import listed, read_matrix
from scclu.data.recipe import detect_kind
from scclu.pl._colors import DIVERGING, SEQUENTIAL
from scclu.pl._confusion import table_size
from scclu.pl._figure import finish, heat_map, lay_out, panels, root, vacate
from scclu.pl._inputs import categories, check_positive, matched, stored

if TYPE_CHECKING:
    from matplotlib.axes import Axes


logger = logging.getLogger(__name__)


def marker_overlap(
    adata: AnnData, key: str, *, ax: Axes | None = None, show: bool | None = None, return_fig: bool = False
) -> Any:
    """Scores of clusters against cell types (Fig. 5 of the scSiameseClu paper).

    The best one-to-one match is on the diagonal. The type that a cluster was given has a frame; clusters without one
    were not recognised.

    Parameters
    ----------
    adata
        After ``scclu.tl.annotate``.
    key
        Where ``adata.uns`` has the scores: ``"scores"`` ``(n_clusters, n_types)``, ``"clusters"`` and ``"types"``, and
        in ``"names"`` the type given to each cluster (without it, the best).
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
        If there are no scores, or not one for each cluster and type.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.uns["annotation"] = {"scores": [[0.9, 0.1], [0.0, 0.7]], "clusters": ["0", "1"], "types": ["B", "T"]}
    >>> ax = scclu.pl.marker_overlap(adata, "annotation", show=False)
    """
    hint = "Run scclu.tl.annotate first."
    clusters, types = (list(map(str, stored(adata, key, part, hint=hint))) for part in ("clusters", "types"))
    scores = np.asarray(stored(adata, key, "scores", hint=hint), dtype=float)
    if scores.shape != (len(clusters), len(types)) or not scores.size:
        raise ValueError(
            f"adata.uns[{key!r}]['scores'] must have a row for each of {len(clusters)} clusters and a column for each "
            f"of {len(types)} types, but its shape is {scores.shape}. {hint}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"adata.uns[{key!r}]['scores'] has values that are missing or infinite. {hint}")
    rows, columns = matched(scores)
    table = pd.DataFrame(scores, clusters, types).iloc[rows, columns]
    text = np.array([[f"{score:.2f}" if score else "" for score in row] for row in table.to_numpy()], dtype=object)
    figure, (panel,) = panels(ax, 1, 1, figsize=table_size(table))
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
            # light and dark, so that it shows on every colour
            for color, width in (("white", 3.2), ("black", 1.3)):
                panel.add_patch(_frame(box, color, width))
    panel.set(xlabel="cell type", ylabel="cluster")
    return finish(figure, panel, show=show, return_fig=return_fig)


def _frame(corner: tuple[float, float], color: str, width: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, edgecolor=color, linewidth=width)


def top_markers(
    adata: AnnData,
    key: str,
    *,
    n_genes: int = 3,
    layer: str | None = None,
    rank_key: str = "rank_genes_groups",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """The top markers of each cluster as a dot plot (Fig. 6 of the scSiameseClu paper).

    A ranking of :func:`scanpy.tl.rank_genes_groups` for this clustering is used if there is one; otherwise one is made
    (scanpy's t-test) on a private copy of the log-normalised values. Drawn by :func:`scanpy.pl.dotplot`.

    Parameters
    ----------
    adata
        Cells x genes with clusters.
    key
        Clusters, a column of ``adata.obs``.
    n_genes
        Genes for each cluster.
    layer
        Counts or log-normalised values, a key of ``adata.layers``; ``None`` is what a ranking that is there was made
        on, or ``X``, or ``raw`` where ``X`` is scaled. Counts are normalised and logged on a copy.
    rank_key
        Where ``adata.uns`` may have a ranking.
    ax
        Draw in place of these axes.
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
        If clusters are missing, if there are fewer than two with at least two cells, or if there are no values to rank.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> figure = scclu.pl.top_markers(adata, "cicl", n_genes=2, return_fig=True)
    """
    check_positive("n_genes", n_genes)
    clusters = categories(adata, key)
    ranked = adata.uns.get(rank_key)
    made_for_key = isinstance(ranked, Mapping) and ranked.get("params", {}).get("groupby") == key
    if made_for_key and layer is None:
        layer, use_raw = ranked["params"].get("layer"), bool(ranked["params"].get("use_raw"))
    else:
        use_raw = False
    shell = _log_values(adata, layer, use_raw)
    shell.obs[key] = clusters
    if made_for_key:
        shell.uns[rank_key] = ranked
    else:
        _rank(shell, key, rank_key)
    names = shell.uns[rank_key]["names"]
    genes = {name: [str(gene) for gene in names[name][:n_genes]] for name in names.dtype.names}
    unknown = [gene for found in genes.values() for gene in found if gene not in shell.var_names]
    if unknown:
        raise ValueError(
            f"adata.uns[{rank_key!r}] names the gene {unknown[0]!r}, which the values do not have. "
            "Pass layer=, or rank again with scanpy.tl.rank_genes_groups."
        )
    return _dot_plot(shell, key, genes, ax=ax, show=show, return_fig=return_fig)


def _dot_plot(
    shell: AnnData, key: str, genes: dict[str, list[str]], *, ax: Axes | None, show: bool | None, return_fig: bool
) -> Any:
    tall = sum(map(len, genes.values())) > 45  # a page can be scrolled down
    place = _dot_axes(ax, list(chain(*genes.values())), list(shell.obs[key].cat.categories), tall)
    plot = sc.pl.dotplot(
        shell,
        genes,
        key,
        standard_scale="var",
        cmap=SEQUENTIAL,
        swap_axes=tall,
        ax=place,
        show=False,
        return_fig=True,
    )
    plot.legend(width=2.4, colorbar_title="mean expression,\nscaled by gene", size_title="% of the cells")
    axes = [panel for panel in plot.get_axes().values() if panel is not None]
    for panel in axes:
        panel.set_in_layout(False)  # _dot_axes leaves the room for the text
        # scanpy's column for no dendrogram has no width, which a constrained layout refuses
        grid = panel.get_gridspec()
        grid.set_width_ratios([max(ratio, 1e-3) for ratio in grid.get_width_ratios()])
    return finish(axes[0].get_figure(root=True), axes, show=show, return_fig=return_fig)


def _dot_axes(ax: Axes | None, genes: list[str], clusters: list[str], tall: bool) -> Axes:
    """Axes for scanpy, with room for the names at the left and below."""
    across, down = (clusters, genes) if tall else (genes, clusters)
    left, bottom = (0.35 + 0.085 * max(map(len, names)) for names in (down, across))
    if ax is None:
        width, height = left + 2.1 + 0.24 * len(across), bottom + max(2.2, 0.7 + 0.24 * len(down))
        owner: Any = plt.figure(figsize=(width, height))
        outer = owner.add_gridspec(1, 1, left=0, bottom=0, right=1 - 0.3 / width, top=1 - 0.2 / height)[0]
    else:
        lay_out(root(ax))
        box = ax.get_window_extent()
        width, height = box.width / root(ax).dpi, box.height / root(ax).dpi
        owner, outer = ax.get_figure(root=False), vacate(ax)
    inner = outer.subgridspec(
        2,
        2,
        width_ratios=(left, max(width - left, left)),
        height_ratios=(max(height - bottom, bottom), bottom),
        wspace=0,
        hspace=0,
    )
    return owner.add_subplot(inner[0, 1])


def _log_values(adata: AnnData, layer: str | None, use_raw: bool) -> AnnData:
    """A private AnnData of log-normalised values; it may share the user's memory, and nothing writes to that."""
    source = AnnData(adata.raw.X, var=adata.raw.var[[]]) if use_raw and adata.raw is not None else adata
    matrix, names, where = read_matrix(source, layer=None if source is not adata else layer)
    kind = detect_kind(matrix, where)
    if kind == "scaled" and layer is None and adata.raw is not None and source is adata:
        return _log_values(adata, None, True)
    if kind == "scaled":
        raise ValueError(
            f"{where} holds scaled values, which have no fold changes. "
            "Pass layer= with counts or log-normalised values."
        )
    values: Any = matrix.copy() if kind != "log" else matrix
    shell = AnnData(
        sparse.csr_matrix(values) if sparse.issparse(values) else values,
        obs=pd.DataFrame(index=adata.obs_names),
        var=pd.DataFrame(index=pd.Index(names).astype(str)),
    )
    if kind != "log":
        sc.pp.normalize_total(shell)
        sc.pp.log1p(shell)
    return shell


def _rank(shell: AnnData, key: str, rank_key: str) -> None:
    sizes = shell.obs[key].value_counts(sort=False)
    groups = [str(name) for name in sizes.index[sizes >= 2]]
    if len(groups) < 2:
        raise ValueError(
            f"Markers need at least two clusters of at least two cells, but adata.obs[{key!r}] has {len(groups)} such. "
            "Draw a clustering with more clusters."
        )
    if len(groups) < len(sizes):
        logger.warning("Clusters of one cell have no markers: %s.", listed(sizes.index[sizes < 2]))
    with warnings.catch_warnings():
        # of scanpy's own table of many groups, and of clusters of one cell, which are left out
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        warnings.filterwarnings("ignore", "Group counts matches dof", RuntimeWarning)
        sc.tl.rank_genes_groups(shell, key, groups=groups, key_added=rank_key)
