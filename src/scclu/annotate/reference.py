"""Scores of clusters for cell types from the markers of a labelled reference."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from scclu._checks import listed
from scclu._settings import warn
from scclu.annotate.evidence import Expression, TypeScores, match_evidence
from scclu.annotate.ranking import rank_genes
from scclu.data.matrix import Matrix

logger = logging.getLogger(__name__)


def score_by_reference(
    expression: Expression, labels: pd.Categorical, reference: Expression, types: pd.Categorical, n_genes: int
) -> TypeScores:
    """Score clusters by the overlap of their markers with those of the types of a reference.

    Parameters
    ----------
    expression, labels
        Values and clusters of the data.
    reference, types
        Values and cell types of the reference.
    n_genes
        Number of markers per cluster and type, ranked on the shared genes; all shared genes if there are fewer.

    Returns
    -------
    Overlap scores in [0, 1].

    Raises
    ------
    ValueError
        If there are no shared genes.

    Warns
    -----
    UserWarning
        If genes match only when case is ignored, or types of one cell are left out.
    """
    match = match_evidence(reference.names, expression.names, "reference")
    logger.info("%d genes are shared, of %d in the reference.", len(match.found), len(reference.names))
    theirs = pd.Index(reference.names).get_indexer(list(match.found))
    mine = pd.Index(expression.names).get_indexer(list(match.found.values()))
    shared = np.array(list(match.found.values()), dtype=object)
    n_genes = min(n_genes, len(shared))
    table = overlap_scores(
        top_markers(expression.matrix[:, mine], shared, labels, n_genes),
        top_markers(reference.matrix[:, theirs], shared, types, n_genes),
        n_genes,
    )
    missing = [name for name in types.categories if name not in table.columns]
    if missing:
        warn(f"Types of one cell in the reference have no markers and are left out: {listed(missing)}.")
    return TypeScores(table, match, missing)


def top_markers(matrix: Matrix, names: np.ndarray, labels: pd.Categorical, n_genes: int) -> dict[str, set[str]]:
    """Leading genes of each group with at least two cells that are higher in the group than in all other cells.

    The parameters are those of :func:`~scclu.annotate.ranking.rank_genes`.
    """
    ranked = rank_genes(matrix, names, labels, n_genes)
    return {name: set(scores.index[scores > 0]) for name, scores in ranked.items()}


def overlap_scores(clusters: dict[str, set[str]], types: dict[str, set[str]], n_genes: int) -> pd.DataFrame:
    """Number of shared markers divided by `n_genes`, clusters x types (Fig. 5 of the scSiameseClu paper)."""
    table = [[len(mine & theirs) / n_genes for theirs in types.values()] for mine in clusters.values()]
    return pd.DataFrame(table, index=list(clusters), columns=list(types))
