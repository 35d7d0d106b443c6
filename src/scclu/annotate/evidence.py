"""What the two ways of annotation have in common: expression values, matched genes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from scclu._checks import listed
from scclu._settings import warn
from scclu.annotate.ranking import comparable_groups
from scclu.data.matrix import GeneMatch, Matrix, match_genes


class Expression(NamedTuple):
    """Log-normalised values, as :func:`scclu.data.lognorm.log_normalised` returns them.

    Attributes
    ----------
    matrix
        Values, ``(n_cells, n_genes)`` float32.
    names
        Names of the genes, ``(n_genes,)``.
    source
        Description of where the values come from.
    """

    matrix: Matrix
    names: np.ndarray
    source: str


@dataclass(frozen=True)
class TypeScores:
    """Scores of clusters for cell types.

    Attributes
    ----------
    table
        Scores of the clusters with at least two cells, clusters x types.
    genes
        Which genes of the evidence were found in the data.
    missing_types
        Types that have no scores.
    """

    table: pd.DataFrame
    genes: GeneMatch
    missing_types: list[str]


def check_comparable(labels: pd.Categorical, source: str) -> None:
    """Raise ValueError unless there are two groups, at least one of them with two cells."""
    groups = comparable_groups(labels)
    if len(labels.categories) < 2 or not groups:
        raise ValueError(
            f"{source} has {len(labels.categories)} groups, {len(groups)} of them with two or more cells; markers are "
            "found by comparison and need two groups, of which at least one has two cells."
        )


def match_evidence(wanted: Sequence[str] | np.ndarray, available: np.ndarray, what: str) -> GeneMatch:
    """Match the genes of the evidence, called `what` in messages, to those of the data.

    Raises
    ------
    ValueError
        If no gene matches.

    Warns
    -----
    UserWarning
        If genes match only when case is ignored.
    """
    match = match_genes(wanted, available)
    if not match.found:
        raise ValueError(
            f"{what} and adata have no genes in common: {what} has {listed(wanted[:3])}, adata {listed(available[:3])}."
            " Convert both to the same kind of names (symbols, or Ensembl identifiers)."
        )
    if match.by_case:
        pairs = [f"{a} -> {b}" for a, b in match.by_case.items()]
        warn(f"{len(pairs)} genes of {what} match only when case is ignored: {listed(pairs)}.")
    return match
