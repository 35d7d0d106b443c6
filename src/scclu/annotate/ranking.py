"""Ranking of the genes of groups of cells."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu._process import scanpy_is_quiet
from scclu.data.matrix import Matrix


def comparable_groups(labels: pd.Categorical) -> list[str]:
    """Names of the groups with at least two cells, which a variance can be estimated for."""
    sizes = np.bincount(labels.codes, minlength=len(labels.categories))
    return [name for name, size in zip(labels.categories, sizes, strict=True) if size > 1]


def rank_genes(matrix: Matrix, names: np.ndarray, labels: pd.Categorical, n_genes: int) -> dict[str, pd.Series]:
    """Rank the genes of each group against all other cells by the t-test of :func:`scanpy.tl.rank_genes_groups`.

    Parameters
    ----------
    matrix
        Log-normalised values, ``(n_cells, n_genes)``.
    names
        Names of the genes, ``(n_genes,)``.
    labels
        Group of each cell, ``(n_cells,)``.
    n_genes
        Number of genes per group.

    Returns
    -------
    For each group with at least two cells the test scores of its leading genes, best first, indexed by gene.
    """
    groups = {str(labels.categories.get_loc(name)): name for name in comparable_groups(labels)}
    work = AnnData(matrix, var=pd.DataFrame(index=pd.Index(names, dtype=object)))
    # scanpy stores tables as record arrays, which do not accept every group name: use numbers
    work.obs["group"] = pd.Categorical(labels.codes.astype(str))
    with scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy warns about genes without variance and about its own tables
        sc.tl.rank_genes_groups(
            work, "group", groups=list(groups), n_genes=n_genes, method="t-test", use_raw=False, key_added="ranking"
        )
    table = work.uns["ranking"]
    return {name: pd.Series(table["scores"][code], table["names"][code]) for code, name in groups.items()}


def rank_sides(matrix: Matrix, names: np.ndarray, second: np.ndarray, n_genes: int, method: str) -> list[pd.DataFrame]:
    """Rank the genes of two groups of cells against each other by :func:`scanpy.tl.rank_genes_groups`.

    Parameters
    ----------
    matrix
        Log-normalised values, ``(n_cells, n_genes)``.
    names
        Names of the genes, ``(n_genes,)``.
    second
        Whether a cell is in the second group, ``(n_cells,)`` bool; both groups have at least two cells.
    n_genes
        Number of genes per group.
    method
        Test, as in scanpy.

    Returns
    -------
    For each of the groups the leading genes among those that are higher in it, best first: ``"gene"``, ``"score"``,
    ``"logfoldchange"`` and ``"p_adjusted"``.
    """
    work = AnnData(matrix, var=pd.DataFrame(index=pd.Index(names, dtype=object)))
    work.obs["side"] = pd.Categorical(second.astype(int).astype(str))
    with scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        sc.tl.rank_genes_groups(work, "side", n_genes=n_genes, method=method, use_raw=False, key_added="ranking")
    table = work.uns["ranking"]
    fields = {"gene": "names", "score": "scores", "logfoldchange": "logfoldchanges", "p_adjusted": "pvals_adj"}
    sides = [pd.DataFrame({column: table[field][side] for column, field in fields.items()}) for side in ("0", "1")]
    return [side[side["score"] > 0] for side in sides]
