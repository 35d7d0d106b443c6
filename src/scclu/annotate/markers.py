"""Scores of clusters for cell types from lists of marker genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from scclu._checks import listed
from scclu._settings import warn
from scclu.annotate.evidence import Expression, TypeScores, match_evidence
from scclu.annotate.ranking import comparable_groups
from scclu.data.matrix import Matrix


def score_by_markers(
    expression: Expression, labels: pd.Categorical, markers: Mapping[str, Sequence[str]]
) -> TypeScores:
    """Score clusters by the expression of the marker genes of each type.

    Parameters
    ----------
    expression, labels
        Values and clusters of the data.
    markers
        Maps types to their genes.

    Returns
    -------
    Mean z-scores, as :func:`marker_scores`; types without any gene in the data are left out.

    Raises
    ------
    ValueError
        If fewer than two clusters have two cells, or none of the genes is in the data.

    Warns
    -----
    UserWarning
        If genes are missing or match only when case is ignored, or types are left out.
    """
    if len(comparable_groups(labels)) < 2:
        raise ValueError("Markers are scored by comparing clusters: two of them need two or more cells.")
    wanted = [gene for genes in markers.values() for gene in genes]
    match = match_evidence(wanted, expression.names, "markers")
    if match.unmatched:
        warn(
            f"{len(match.unmatched)} of {len(set(wanted))} markers are not among the genes of {expression.source}, or "
            f"match several of them when case is ignored: {listed(match.unmatched)}."
        )
    found = {
        str(name): list(dict.fromkeys(match.found[gene] for gene in genes if gene in match.found))
        for name, genes in markers.items()
    }
    missing = [name for name, genes in found.items() if not genes]
    if missing:
        warn(f"Types without any gene in the data are left out: {listed(missing)}.")
    kept = {name: genes for name, genes in found.items() if genes}
    return TypeScores(marker_scores(expression.matrix, expression.names, labels, kept), match, missing)


def marker_scores(
    matrix: Matrix, names: np.ndarray, labels: pd.Categorical, markers: dict[str, list[str]]
) -> pd.DataFrame:
    """Mean over a type's markers of the cluster's mean expression, z-scored over the clusters.

    The z-score gives rare and abundant transcripts, and small and large clusters, the same weight.

    Parameters
    ----------
    matrix
        Log-normalised values, ``(n_cells, n_genes)``.
    names
        Names of the genes, ``(n_genes,)``.
    labels
        Cluster of each cell, ``(n_cells,)``.
    markers
        Genes of each type, all of them in `names`.

    Returns
    -------
    Clusters with at least two cells x types; 0 is the average over the clusters.
    """
    groups = comparable_groups(labels)
    genes = list(dict.fromkeys(gene for listed_genes in markers.values() for gene in listed_genes))
    values = matrix[:, pd.Index(names).get_indexer(genes)]
    means = pd.DataFrame(
        [np.asarray(values[np.asarray(labels == name)].mean(axis=0, dtype=np.float64)).ravel() for name in groups],
        index=groups,
        columns=genes,
    )
    spread = means.std(ddof=0)
    z_scores = (means - means.mean()) / spread.where(spread > 0, 1.0)
    return pd.DataFrame({name: z_scores[type_genes].mean(axis=1) for name, type_genes in markers.items()})
