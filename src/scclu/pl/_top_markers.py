"""The plot ``top_markers``: leading marker genes of clusters."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu._checks import check_choices, check_number, listed
from scclu._labels import read_labels
from scclu._process import scanpy_is_quiet
from scclu.annotate.ranking import comparable_groups, rank_genes
from scclu.data.lognorm import log_normalised
from scclu.data.matrix import Matrix
from scclu.pl._colors import SEQUENTIAL
from scclu.pl._figure import finish, lay_out, root, vacate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)


def top_markers(
    adata: AnnData,
    key: str,
    *,
    n_genes: int = 3,
    groups: Sequence[str] | None = None,
    gene_symbols: str | None = None,
    dendrogram: bool = False,
    layer: str | None = None,
    rank_key: str = "rank_genes_groups",
    ax: Axes | None = None,
    show: bool | None = None,
    return_fig: bool = False,
) -> Any:
    """Plot the top marker genes of each cluster as a dot plot (Fig. 6 of the scSiameseClu paper).

    If ``adata.uns[rank_key]`` has a ranking of :func:`scanpy.tl.rank_genes_groups` for this clustering, it is used.
    Otherwise genes are ranked by scanpy's t-test on log-normalised values, without writing to `adata`. The figure is
    drawn by :func:`scanpy.pl.dotplot`.

    Parameters
    ----------
    adata
        Annotated data, cells x genes, with clusters.
    key
        Column of ``adata.obs`` with the clusters.
    n_genes
        Number of genes per cluster.
    groups
        Clusters whose genes are shown; all if None. Their expression is shown in all clusters.
    gene_symbols
        Column of ``adata.var`` (or ``adata.raw.var``) with the names of genes to show; their index if None.
    dendrogram
        Order the clusters by a dendrogram (:func:`scanpy.tl.dendrogram`) of ``adata.obsm[f"X_{key}"]`` if it exists,
        and otherwise of the genes that are shown, and draw it.
    layer
        Key of ``adata.layers`` with counts or log-normalised values. If None, the values that an existing ranking was
        computed on are used, and otherwise ``X``; if ``X`` is scaled, log-normalised values or counts are searched in
        the layers and raw as in :func:`scclu.tl.annotate`. Counts are normalised and log-transformed on a copy.
    rank_key
        Key of ``adata.uns`` where a ranking may be stored.
    ax
        Matplotlib axes whose place the plot takes; a new figure is made if None.
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
        If clusters, a group or the names of genes are missing, fewer than two clusters have two cells, or there are
        only scaled values.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=10, max_epochs=2)
    >>> figure = scclu.pl.top_markers(adata, "cicl", n_genes=2, return_fig=True)
    """
    check_number("n_genes", n_genes, integer=True, low=1)
    clusters = read_labels(adata, key, argument="key")
    ranking = adata.uns.get(rank_key)
    params = ranking.get("params", {}) if isinstance(ranking, Mapping) else {}
    is_ranked, use_raw = params.get("groupby") == key, False
    if is_ranked and layer is None:
        layer, use_raw = params.get("layer"), bool(params.get("use_raw")) and adata.raw is not None
    symbols = None if gene_symbols is None else _symbols(adata, gene_symbols)
    if groups is not None:
        groups = check_choices("groups", groups, clusters.categories)
    matrix, names, source = log_normalised(adata, layer=layer, use_raw=use_raw)
    if is_ranked:
        genes = _ranked_genes(ranking["names"], n_genes)
        unknown = set(chain(*genes.values())) - set(names)
        if unknown:
            raise ValueError(
                f"adata.uns[{rank_key!r}] names genes that {source} does not have: {listed(sorted(unknown))}. "
                "Pass layer=, or rank again with scanpy.tl.rank_genes_groups."
            )
    else:
        genes = _rank(matrix, names, clusters, n_genes, key)
    if groups is not None:
        genes = {name: chosen for name, chosen in genes.items() if name in groups}
        if not genes:
            raise ValueError(f"Clusters {listed(groups)} have no ranked genes. Pass groups with at least two cells.")
    shell = AnnData(matrix, obs=pd.DataFrame(index=adata.obs_names), var=pd.DataFrame(index=pd.Index(names, dtype=str)))
    shell.obs[key] = clusters
    shown = list(dict.fromkeys(chain(*genes.values())))
    shell = shell[:, shown].copy()
    if symbols is not None:
        labels = _unique([symbols.get(gene, gene) for gene in shown], shown)
        shell.var_names = labels
        shown_as = dict(zip(shown, labels, strict=True))
        genes = {name: [shown_as[gene] for gene in chosen] for name, chosen in genes.items()}
    if dendrogram:
        genes = _add_dendrogram(shell, key, adata.obsm.get(f"X_{key}"), genes)
    return _dot_plot(shell, key, genes, ax=ax, show=show, return_fig=return_fig)


def _symbols(adata: AnnData, column: str) -> dict[str, str]:
    """Names to show for the genes that have one in a column of ``adata.var`` or ``adata.raw.var``."""
    tables = [adata.var] if adata.raw is None else [adata.var, adata.raw.var]
    found = [table[column].dropna().astype(str) for table in reversed(tables) if column in table]
    if not found:
        raise ValueError(
            f"gene_symbols must be a column of adata.var, but {column!r} was passed. There are: {listed(adata.var)}."
        )
    return {str(gene): symbol for symbols in found for gene, symbol in symbols.items() if symbol}


def _unique(symbols: list[str], genes: list[str]) -> list[str]:
    """Symbols of genes; those of several genes are followed by the name of the gene."""
    counts = Counter(symbols)
    return [
        symbol if counts[symbol] == 1 else f"{symbol} ({gene})" for symbol, gene in zip(symbols, genes, strict=True)
    ]


def _add_dendrogram(
    shell: AnnData, key: str, embedding: np.ndarray | None, genes: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Compute a dendrogram of the clusters, and return the genes in its order."""
    if embedding is not None:
        shell.obsm["X"] = np.asarray(embedding)
    with scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.dendrogram(
            shell,
            key,
            use_rep=None if embedding is None else "X",
            var_names=list(shell.var_names) if embedding is None else None,
            use_raw=False,
        )
    order = shell.uns[f"dendrogram_{key}"]["categories_ordered"]
    return {name: genes[name] for name in order if name in genes}


def _ranked_genes(names: np.ndarray, n_genes: int) -> dict[str, list[str]]:
    """Leading genes of each group in a ranking of scanpy, a record array with a field for each group."""
    return {group: [str(gene) for gene in names[group][:n_genes]] for group in names.dtype.names or ()}


def _rank(matrix: Matrix, names: np.ndarray, clusters: pd.Categorical, n_genes: int, key: str) -> dict[str, list[str]]:
    """Rank the genes of each cluster with at least two cells, and return the leading ones."""
    groups = comparable_groups(clusters)
    if len(groups) < 2:
        raise ValueError(
            f"Markers need at least two clusters of at least two cells, but adata.obs[{key!r}] has {len(groups)} such. "
            "Plot a clustering with more clusters."
        )
    single = [name for name in clusters.categories if name not in groups]
    if single:
        logger.warning("Clusters of one cell have no markers: %s.", listed(single))
    return {name: list(scores.index) for name, scores in rank_genes(matrix, names, clusters, n_genes).items()}


def _dot_plot(
    shell: AnnData, key: str, genes: dict[str, list[str]], *, ax: Axes | None, show: bool | None, return_fig: bool
) -> Any:
    """Draw the genes of each cluster as a dot plot, as rows if there are many of them."""
    tall = sum(map(len, genes.values())) > 45  # tall figures are easier to read than wide ones
    has_dendrogram = f"dendrogram_{key}" in shell.uns
    place = _dot_axes(ax, list(chain(*genes.values())), list(shell.obs[key].cat.categories), tall)
    with scanpy_is_quiet.held():  # scanpy says that the genes of some clusters are not shown
        plot = sc.pl.dotplot(
            shell,
            genes,
            key,
            standard_scale="var",
            cmap=SEQUENTIAL,
            dendrogram=has_dendrogram,
            swap_axes=tall,
            ax=place,
            show=False,
            return_fig=True,
        )
        plot.legend(width=2.4, colorbar_title="mean expression,\nscaled by gene", size_title="% of the cells")
        plot.make_figure()
    axes = [panel for panel in plot.get_axes().values() if panel is not None]
    for panel in axes:
        panel.set_in_layout(False)  # _dot_axes reserves the space for the text
        # scanpy reserves a column of width zero for the dendrogram, which a constrained layout refuses
        grid = panel.get_gridspec()
        grid.set_width_ratios([max(ratio, 1e-3) for ratio in grid.get_width_ratios()])
    return finish(axes[0].get_figure(root=True), axes, show=show, return_fig=return_fig)


def _dot_axes(ax: Axes | None, genes: list[str], clusters: list[str], tall: bool) -> Axes:
    """Make axes for scanpy with space for the names at the left and at the bottom."""
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
