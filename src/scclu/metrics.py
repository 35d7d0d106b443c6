"""Scores of clusterings and classifications against known labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from natsort import natsorted
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import (
    adjusted_rand_score,
    confusion_matrix,
    normalized_mutual_info_score,
    precision_recall_fscore_support,
)
from sklearn.metrics.cluster import contingency_matrix

from scclu._checks import check_choice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ClassificationReport", "accuracy", "ari", "classification_report", "nmi"]


def __dir__() -> list[str]:
    return __all__


def _codes(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check both label vectors and convert them to integer codes, ``(n_cells,)``."""
    codes = []
    for name, labels in (("labels_true", labels_true), ("labels_pred", labels_pred)):
        values = labels if isinstance(labels, (pd.Series, pd.Categorical)) else np.asarray(labels)
        if values.ndim != 1:
            raise ValueError(f"{name} must have one label per cell (one dimension), but has shape {values.shape}.")
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
        One label per cell, of any type, shape ``(n_cells,)``.

    Returns
    -------
    Score of at most 1; 1 for identical partitions, and 0 on average for independent ones.

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
        One label per cell, of any type, shape ``(n_cells,)``.
    average
        Average of the two entropies in the denominator: ``"arithmetic"``, the default of scikit-learn, or ``"max"`` as
        in Eq. 1 of the CICL paper, which never gives a larger score. Reports should state which one is used.

    Returns
    -------
    Score in [0, 1].

    Raises
    ------
    ValueError
        If `average` is not allowed, or the vectors differ in length, are empty, or have missing values.

    Examples
    --------
    >>> round(scclu.metrics.nmi([0, 0, 1, 1], [0, 0, 1, 2]), 3)
    0.8
    >>> round(scclu.metrics.nmi([0, 0, 1, 1], [0, 0, 1, 2], average="max"), 3)
    0.667
    """
    check_choice("average", average, ("arithmetic", "max"))
    return float(normalized_mutual_info_score(*_codes(labels_true, labels_pred), average_method=average))


def accuracy(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Share of correctly labelled cells under the best one-to-one match of clusters and labels.

    The match is found by the Hungarian method. If there are more clusters than labels, cells of unmatched clusters
    count as wrong.

    Parameters
    ----------
    labels_true, labels_pred
        One label per cell, of any type, shape ``(n_cells,)``.

    Returns
    -------
    Score in (0, 1].

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


@dataclass(frozen=True, kw_only=True)
class ClassificationReport:
    """Result of :func:`classification_report`.

    Attributes
    ----------
    accuracy
        Share of correctly classified cells.
    precision
        Macro average: unweighted mean of the precision over the true classes.
    recall
        Macro average of the recall.
    f1
        Macro average of the F1 score.
    per_class
        Table with ``"precision"``, ``"recall"``, ``"f1"`` and ``"n_cells"`` of each true class.
    confusion
        Number of cells of each true class (rows) in each predicted class (columns). The columns are the true classes
        followed by other predicted names, such as ``"Unknown"``.

    Examples
    --------
    >>> scclu.metrics.classification_report(["B", "T"], ["B", "T"]).f1
    1.0
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    per_class: pd.DataFrame
    confusion: pd.DataFrame


def classification_report(labels_true: ArrayLike, labels_pred: ArrayLike) -> ClassificationReport:
    """Accuracy, macro precision, recall and F1, and the confusion matrix (Table 2 of the scSiameseClu paper).

    Names are compared as strings, so that 1 and ``"1"`` are equal. Clusters must be named before they are compared.

    Parameters
    ----------
    labels_true, labels_pred
        One label per cell, shape ``(n_cells,)``. A predicted name that is not a true label, such as ``"Unknown"``,
        counts as wrong, and is not a class in the averages.

    Returns
    -------
    The report. The precision of a class that is never predicted is 0.

    Raises
    ------
    ValueError
        If the vectors differ in length, are empty, or have missing values.

    Examples
    --------
    >>> report = scclu.metrics.classification_report(["B", "B", "T", "T"], ["B", "Unknown", "T", "T"])
    >>> report.accuracy, report.precision, report.recall
    (0.75, 1.0, 0.75)
    >>> report.confusion.loc["B"].to_dict()
    {'B': 1, 'T': 0, 'Unknown': 1}
    """
    _codes(labels_true, labels_pred)
    true, pred = (np.asarray(labels, dtype=object).astype(str) for labels in (labels_true, labels_pred))
    classes = natsorted(set(true.tolist()))
    columns = classes + natsorted(set(pred.tolist()) - set(classes))
    scores = precision_recall_fscore_support(true, pred, labels=classes, zero_division=0.0)
    per_class = pd.DataFrame(dict(zip(("precision", "recall", "f1", "n_cells"), scores, strict=True)), index=classes)
    table = confusion_matrix(true, pred, labels=columns)[: len(classes)]
    means = per_class.mean()
    return ClassificationReport(
        accuracy=float((true == pred).mean()),
        precision=float(means["precision"]),
        recall=float(means["recall"]),
        f1=float(means["f1"]),
        per_class=per_class,
        confusion=pd.DataFrame(table, index=classes, columns=columns),
    )
