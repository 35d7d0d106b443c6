"""Heads: rules that assign cells, old and new, to clusters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn

from scclu._process import known_warnings_ignored
from scclu.cluster.core import cut_cells
from scclu.cluster.kmeans import one_thread
from scclu.cluster.space import cluster_means, first_rows
from scclu.cluster.tree import MergeTree
from scclu.data.matrix import canonical_order

# inverse strengths of the penalty on the weights: the next is used if a cluster would be lost
_PENALTIES = (0.1, 1.0)
# cells that a head is fitted to, if there are more
FITTED_CELLS = 50_000
_N_FOLDS = 5
_MOST_CUTS = 10
_Rule = tuple[np.ndarray, np.ndarray]


class LinearHead(nn.Module):
    r"""Assignment of cells to clusters by :math:`q = \operatorname{softmax}(W h + b)`.

    Parameters
    ----------
    n_clusters, n_dims
        Number of clusters and of dimensions of the embedding h.
    """

    def __init__(self, n_clusters: int, n_dims: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_clusters, n_dims))
        self.register_buffer("bias", torch.zeros(n_clusters))
        self.weight: torch.Tensor
        self.bias: torch.Tensor

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Probabilities of the clusters, ``(n_cells, n_clusters)``; rows sum to one."""
        return torch.softmax(embedding @ self.weight.T + self.bias, dim=1)


def head_of_cut(embedding: np.ndarray, tree: MergeTree, fine: np.ndarray, n_clusters: int) -> LinearHead:
    """Fit a head to a cut of the tree, so that it assigns cells to exactly `n_clusters` clusters.

    A head may assign no cell to a cluster that others surround. One more merge is then undone for each such cluster, so
    that the head divides cells elsewhere. If that fails, the penalty of the head is lowered (:func:`fit_head`).

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``.
    tree, fine
        The tree, and the fine cluster of each cell, ``(n_cells,)`` int.
    n_clusters
        Number of clusters, at most the number of fine clusters.

    Returns
    -------
    The head, on the CPU; cluster 0 is the largest. It has fewer clusters only if there are too few distinct cells.
    """
    cut = n_clusters
    for _ in range(_MOST_CUTS):
        head, sizes = _fit(embedding, cut_cells(tree, fine, cut), _PENALTIES[:1])
        missing = n_clusters - int(np.count_nonzero(sizes))
        if missing == 0:
            return _by_size(head, sizes)
        cut += missing
        if missing < 0 or cut > tree.n_fine:
            break
    return fit_head(embedding, cut_cells(tree, fine, n_clusters))


def fit_head(embedding: np.ndarray, labels: np.ndarray) -> LinearHead:
    """Fit a linear head to clusters.

    W and b are those of a penalised logistic regression. If it would assign no cell to some cluster, the penalty is
    lowered, and then linear discriminant analysis is used. The logits are multiplied by the factor with which cells
    that were not used for fitting have the highest likelihood (cross-validation).

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``. If there are more than 50,000 cells, as many random ones and some of each cluster are
        used.
    labels
        Cluster of each cell, 0 to n_clusters - 1.

    Returns
    -------
    The head, on the CPU, without clusters to which it would assign no cell; cluster 0 is the largest.
    """
    return _by_size(*_fit(embedding, labels, _PENALTIES))


def _fit(embedding: np.ndarray, labels: np.ndarray, penalties: Sequence[float]) -> tuple[LinearHead, np.ndarray]:
    """Fit a head; also returns the number of cells that it assigns to each cluster."""
    n_clusters = int(labels.max()) + 1
    head = LinearHead(n_clusters, embedding.shape[1])
    if n_clusters == 1:
        return head, np.array([len(labels)])
    center = embedding.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean((embedding - center) ** 2))) or 1.0
    # in an order that does not depend on that of the cells
    order = canonical_order(embedding)[np.random.default_rng(0).permutation(len(embedding))]
    rows = order[first_rows(labels[order], FITTED_CELLS, 2 * _N_FOLDS)]
    fitted, known = (embedding[rows] - center) / scale, labels[rows]
    rules = [_logistic(penalty) for penalty in penalties]
    if len(penalties) > 1:
        rules += [partial(_discriminant, equal_weights=False), _discriminant]
    with one_thread(), known_warnings_ignored.held(), warnings.catch_warnings():
        # a fit that stops early is as good a rule as one that does not
        warnings.simplefilter("ignore", ConvergenceWarning)
        for fit in rules:
            weight, bias = fit(fitted, known)
            logits = (embedding - center) @ (weight.T / scale) + bias
            sizes = np.bincount(logits.argmax(axis=1), minlength=n_clusters)
            if sizes.all():
                break
        factor = _sharpness(fit, fitted, known)
    weight = factor * weight / scale
    head.weight.copy_(torch.from_numpy(weight))
    head.bias.copy_(torch.from_numpy(factor * bias - weight @ center))
    return head, sizes


def _by_size(head: LinearHead, sizes: np.ndarray) -> LinearHead:
    """The head without clusters that have no cells, the others by their number of cells."""
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    head.weight, head.bias = head.weight[order], head.bias[order]
    return head


def _logistic(penalty: float) -> Callable[[np.ndarray, np.ndarray], _Rule]:
    def fit(cells: np.ndarray, labels: np.ndarray) -> _Rule:
        model = LogisticRegression(C=penalty, max_iter=200, tol=1e-3).fit(cells, labels)
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # scikit-learn has one row for two clusters
            weight, bias = np.vstack((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
        return weight, bias

    return fit


def _discriminant(cells: np.ndarray, labels: np.ndarray, *, equal_weights: bool = True) -> _Rule:
    """Linear discriminant analysis; the covariance is shrunk towards a multiple of the identity."""
    means = cluster_means(cells, labels)
    residual = cells - means[labels]
    n_dims = cells.shape[1]
    shrinkage = n_dims / (n_dims + len(cells))
    covariance = residual.T @ residual / len(cells)
    covariance += shrinkage * (np.trace(covariance) / n_dims * np.eye(n_dims) - covariance)
    weight = np.linalg.solve(covariance + 1e-9 * np.eye(n_dims), means.T).T
    bias = -0.5 * (weight * means).sum(axis=1)
    return weight, bias if equal_weights else bias + np.log(np.bincount(labels) / len(labels))


def _sharpness(fit: Callable[[np.ndarray, np.ndarray], _Rule], cells: np.ndarray, labels: np.ndarray) -> float:
    """Factor of the logits with the highest likelihood of cells that were not used for fitting."""
    folds = np.arange(len(labels)) % _N_FOLDS
    logits, truth = [], []
    # one fold is enough for many cells
    for fold in range(_N_FOLDS if len(labels) < 10_000 else 1):
        used = folds != fold
        known = np.unique(labels[used])
        held = ~used & np.isin(labels, known)
        if len(known) < 2 or not held.any():
            continue
        weight, bias = fit(cells[used], np.searchsorted(known, labels[used]))
        logits.append(cells[held] @ weight.T + bias)
        truth.append(np.searchsorted(known, labels[held]))
    if not logits:
        return 1.0

    def loss(log_factor: float) -> float:
        total = 0.0
        for values, true in zip(logits, truth, strict=True):
            scaled = torch.from_numpy(np.exp(log_factor) * values)
            total += float(nn.functional.cross_entropy(scaled, torch.from_numpy(true), reduction="sum"))
        return total

    # clusters that are far apart have no best factor
    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(30.0)), method="bounded").x))
