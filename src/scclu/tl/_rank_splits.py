"""The tool ``rank_splits``: genes that differ between the two sides of each fork of a tree."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scclu._checks import check_choice, check_key, check_number, listed
from scclu._labels import read_labels
from scclu._process import one_at_a_time
from scclu.annotate.ranking import rank_sides
from scclu.cluster.forks import branches_of, forks_between, stored_tree
from scclu.data.lognorm import log_normalised
from scclu.tl._write import check_writable, h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

# logistic regression, scanpy's other method, has no p-values
_METHODS = ("wilcoxon", "t-test", "t-test_overestim_var")


@one_at_a_time
def rank_splits(
    adata: AnnData,
    key: str = "cicl",
    *,
    n_genes: int = 10,
    method: Literal["wilcoxon", "t-test", "t-test_overestim_var"] = "wilcoxon",
    layer: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Rank the genes that differ between the two sides of each fork of the tree of a clustering.

    The tree has a fork where two branches are merged: one fork less than there are clusters. Fork 1 is the root, and
    fork k divides one of k clusters, so that the forks of a coarser cut are the first ones. The cells of all clusters
    on one side are compared with those of all clusters on the other side by :func:`scanpy.tl.rank_genes_groups`; other
    cells do not take part. :func:`scclu.pl.tree` writes the genes beside the forks.

    Parameters
    ----------
    adata
        Annotated data with the results of :func:`~scclu.tl.cicl` or :func:`~scclu.tl.scsiameseclu`. Log-normalised
        values are read from ``X``, a layer or raw, or computed from counts on a copy; the source is logged.
    key
        Key under which the clusters and the tree are stored.
    n_genes
        Number of genes for each side; fewer if not that many are higher on it.
    method
        Test. The t-tests are two to four times as fast as Wilcoxon's rank-sum test.
    layer
        Layer of `adata` to read instead.
    key_added
        Key under which the results are stored; ``f"{key}_splits"`` if None.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets ``adata.uns[key_added]`` with:

    ``"table"``
        Data frame with a row for each gene of each side, best first: ``"fork"``, its number; ``"side"`` and
        ``"other"``, the names of the clusters on the side in which the gene is higher, and on the other one, separated
        by commas; ``"gene"``; ``"score"``; ``"logfoldchange"``; and ``"p_adjusted"``, the p-value after
        Benjamini-Hochberg correction over the genes of the fork.
    ``"params"``
        The arguments, and ``"values"``, the source of the values.

    Raises
    ------
    TypeError, ValueError
        If there is no tree or only one cluster under `key`, there are only scaled values, or an argument is not
        allowed. `adata` is then unchanged.

    Notes
    -----
    The clusters were found in the same values, so that the p-values are too small. Use them to order genes. Sides of
    one cell are not compared, which is logged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, n_clusters=5, max_epochs=2)
    >>> scclu.tl.rank_splits(adata, n_genes=3)
    >>> table = adata.uns["cicl_splits"]["table"]
    >>> table["fork"].unique().tolist()
    [1, 2, 3, 4]
    >>> len(table)  # three genes for each side of four forks
    24
    """
    check_writable(adata, copy=copy)
    tree, fine = stored_tree(adata, key)
    clusters = read_labels(adata, key, argument="key")
    check_number("n_genes", n_genes, integer=True, low=1)
    check_choice("method", method, _METHODS)
    key_added = check_key(f"{key}_splits" if key_added is None else key_added, key)
    forks = forks_between(tree, branches_of(tree, fine, clusters.codes.astype(int)))
    if not forks:
        raise ValueError(
            f"adata.obs[{key!r}] has one cluster, so that its tree has no fork. Pass the key of a clustering with more "
            "clusters, or cluster again with n_clusters=."
        )
    matrix, genes, source = log_normalised(adata, layer=layer)
    names = np.asarray(clusters.categories)
    tables, single = [], []
    for fork in forks:
        second = np.isin(clusters.codes, fork.second)
        rows = np.flatnonzero(second | np.isin(clusters.codes, fork.first))
        n_second = int(second.sum())
        if min(n_second, len(rows) - n_second) < 2:
            single.append(fork.number)
            continue
        sides = [", ".join(names[list(side)]) for side in (fork.first, fork.second)]
        found = rank_sides(matrix[rows], genes, second[rows], n_genes, method)
        for ranked, side, other in zip(found, sides, sides[::-1], strict=True):
            tables.append(pd.DataFrame({"fork": fork.number, "side": side, "other": other}, ranked.index).join(ranked))
    if not tables:
        raise ValueError(f"Each fork of the tree in adata.uns[{key!r}] has a side of one cell, which has no markers.")
    if single:
        logger.warning("Forks with a side of one cell have no genes: %s.", listed(single))
    params = {"key": key, "n_genes": n_genes, "method": method, "layer": layer, "values": source}
    results = {"table": pd.concat(tables, ignore_index=True), "params": h5ad_safe(params)}
    adata = write_results(adata, copy=copy, uns={key_added: results})
    logger.info("Wrote uns[%r].", key_added)
    return adata if copy else None
