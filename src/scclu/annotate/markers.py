"""Markers of groups, and how well groups and cell types agree on them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu.data.matrix import Matrix


def comparable_groups(labels: pd.Categorical) -> list[str]:
    """The groups of two or more cells: one cell has no variance, so nothing can be said about its markers."""
    sizes = np.bincount(labels.codes, minlength=len(labels.categories))
    return [name for name, size in zip(labels.categories, sizes, strict=True) if size > 1]


def top_markers(matrix: Matrix, names: np.ndarray, labels: pd.Categorical, n_genes: int) -> dict[str, set[str]]:
    """The leading genes of each group beside all other cells, by :func:`scanpy.tl.rank_genes_groups`.

    Parameters
    ----------
    matrix, names
        Log-normalised values, ``(n_cells, n_genes)``, and the names of the genes.
    labels
        Group of each cell.
    n_genes
        Genes a group; fewer where fewer are higher in the group than elsewhere.

    Returns
    -------
    Genes of each group of two or more cells.
    """
    groups = {str(labels.categories.get_loc(name)): name for name in comparable_groups(labels)}
    work = AnnData(matrix, var=pd.DataFrame(index=pd.Index(names, dtype=object)))
    # groups go by their number: scanpy keeps tables in record arrays, which do not take every name
    work.obs["group"] = pd.Categorical(labels.codes.astype(str))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy, about genes without variance and its own tables
        sc.tl.rank_genes_groups(
            work, "group", groups=list(groups), n_genes=n_genes, method="t-test", use_raw=False, key_added="markers"
        )
    table = work.uns["markers"]
    return {name: set(table["names"][code][table["scores"][code] > 0]) for code, name in groups.items()}


def overlap_scores(clusters: dict[str, set[str]], types: dict[str, set[str]], n_genes: int) -> pd.DataFrame:
    """Shared markers over `n_genes`, clusters x types (Fig. 5 of the scSiameseClu paper)."""
    table = [[len(mine & theirs) / n_genes for theirs in types.values()] for mine in clusters.values()]
    return pd.DataFrame(table, index=list(clusters), columns=list(types))


def marker_scores(
    matrix: Matrix, names: np.ndarray, labels: pd.Categorical, markers: dict[str, list[str]]
) -> pd.DataFrame:
    """Mean z-score, over clusters, of the mean expression of each type's markers.

    A marker tells how much more of it a cluster has than the other clusters, whatever its level: a transcript that few
    cells show counts as much as an abundant one, and a large cluster as much as a small one.

    Parameters
    ----------
    matrix, names, labels
        As for :func:`top_markers`.
    markers
        Genes of each type, all in `names`.

    Returns
    -------
    Clusters of two or more cells x types; 0 where a cluster is average.
    """
    groups = comparable_groups(labels)
    genes = list(dict.fromkeys(gene for listed in markers.values() for gene in listed))
    values = matrix[:, pd.Index(names).get_indexer(genes)]
    means = pd.DataFrame(
        [np.asarray(values[np.asarray(labels == name)].mean(axis=0, dtype=np.float64)).ravel() for name in groups],
        index=groups,
        columns=genes,
    )
    spread = means.std(ddof=0)
    z_scores = (means - means.mean()) / spread.where(spread > 0, 1.0)
    return pd.DataFrame({name: z_scores[listed].mean(axis=1) for name, listed in markers.items()})
