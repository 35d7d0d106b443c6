"""Agreement of a clustering with labels: the only place, with figures, where labels are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["accuracy", "ari", "nmi"]


def _codes(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both label vectors as integers, after checks that name what is wrong."""
    codes = []
    for name, labels in (("labels_true", labels_true), ("labels_pred", labels_pred)):
        values = labels if isinstance(labels, (pd.Series, pd.Categorical)) else np.asarray(labels)
        if values.ndim != 1:
            raise ValueError(f"{name} must be one label a cell (one dimension), but has shape {values.shape}.")
        code, _ = pd.factorize(values)
        if (code < 0).any():
            raise ValueError(
                f"{name} has {int((code < 0).sum())} missing values. "
                "Drop those cells, or give them a label of their own."
            )
        codes.append(code)
    if len(codes[0]) != len(codes[1]):
        raise ValueError(
            f"labels_true and labels_pred must have the same length, but have {len(codes[0])} and {len(codes[1])}."
        )
    if len(codes[0]) == 0:
        raise ValueError("labels_true and labels_pred are empty; at least one cell is needed.")
    return codes[0], codes[1]


def ari(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Adjusted Rand index (Eq. 2 of the CICL paper).

    Parameters
    ----------
    labels_true, labels_pred
        One label a cell, of any type, shape ``(n_cells,)``.

    Returns
    -------
    1 for equal partitions, about 0 for independent ones, never above 1.

    Raises
    ------
    ValueError
        If the vectors differ in length, are empty, or have missing values.

    Examples
    --------
    >>> scclu.metrics.ari(["B", "B", "T", "T"], [1, 1, 0, 0])
    1.0
    """
    return float(adjusted_rand_score(*_codes(labels_true, labels_pred)))


def nmi(
    labels_true: ArrayLike, labels_pred: ArrayLike, *, average: Literal["arithmetic", "max"] = "arithmetic"
) -> float:
    """Normalised mutual information.

    Parameters
    ----------
    labels_true, labels_pred
        One label a cell, of any type, shape ``(n_cells,)``.
    average
        How the two entropies are averaged in the denominator: ``"arithmetic"`` as scikit-learn does by default, or
        ``"max"`` as in Eq. 1 of the CICL paper, which is never larger. Say which one you report.

    Returns
    -------
    A value in [0, 1].

    Raises
    ------
    ValueError
        If `average` is another word, or the vectors differ in length, are empty, or have missing values.

    Examples
    --------
    >>> round(scclu.metrics.nmi([0, 0, 1, 1], [0, 0, 1, 2]), 3)
    0.8
    >>> round(scclu.metrics.nmi([0, 0, 1, 1], [0, 0, 1, 2], average="max"), 3)
    0.667
    """
    if average not in ("arithmetic", "max"):
        raise ValueError(f"average must be either 'arithmetic' or 'max', but {average!r} was passed.")
    return float(normalized_mutual_info_score(*_codes(labels_true, labels_pred), average_method=average))


def accuracy(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Share of cells with the right label under the best one-to-one match of clusters to labels.

    The match is found by the Hungarian method. Clusters beyond the number of labels stay without a partner, and their
    cells count as wrong.

    Parameters
    ----------
    labels_true, labels_pred
        One label a cell, of any type, shape ``(n_cells,)``.

    Returns
    -------
    A value in (0, 1].

    Raises
    ------
    ValueError
        If the vectors differ in length, are empty, or have missing values.

    Examples
    --------
    >>> scclu.metrics.accuracy(["B", "B", "T", "T"], [1, 1, 0, 2])
    0.75
    """
    true, pred = _codes(labels_true, labels_pred)
    table = contingency_matrix(true, pred)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(true))
