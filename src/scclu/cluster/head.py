"""Heads: rules that assign cells, old and new, to clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import nn

from scclu._process import one_thread
from scclu.cluster.core import cut_cells
from scclu.cluster.space import cluster_means, rows_with_each_label
from scclu.cluster.tree import MergeTree
from scclu.data.matrix import canonical_order

# cells that a head is fitted to, if there are more, and of each cluster
FITTED_CELLS = 50_000
_LEAST_CELLS = 10
_MOST_CUTS = 10
# a fit that stops early is as good a rule as one that does not
_OPTIMISER = {"maxiter": 200, "gtol": 1e-4, "ftol": 1e-6}
_Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


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
    r"""Fit a head to a cut of the tree, so that it assigns cells to exactly `n_clusters` clusters.

    W and b minimise the cross-entropy of q with the clusters of a cell's neighbours,
    :math:`-\sum_i \sum_k t_{f(i)k} \log q_{ik} + \lVert W \rVert^2 / 2`. The target :math:`t_{fk}` is the share of the
    weights of the neighbour graph that connect the cells of fine cluster f to those of cluster k, so that the
    probabilities of a cell are low where its fine cluster is connected to other clusters.

    A head may assign no cell to a cluster that others surround. One more merge is then undone for each such cluster, so
    that the head divides cells elsewhere; if there are too many clusters then, the cells of the smallest ones are
    assigned to the others. If that fails, linear discriminant analysis is used.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``. If there are more than 50,000 cells, the head is fitted to as many random ones and some
        of each cluster.
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
        if cut > tree.n_fine:
            break
        head, sizes = _fit(embedding, tree, fine, cut, [_logistic])
        n_found = int(np.count_nonzero(sizes))
        if n_found >= n_clusters:
            head = _largest(head, sizes, n_clusters)
            return head if n_found == n_clusters else _largest(head, _sizes(head, embedding), n_clusters)
        cut += n_clusters - n_found
    rules: list[_Rule] = [_logistic, partial(_discriminant, equal_weights=False), _discriminant]
    return _largest(*_fit(embedding, tree, fine, n_clusters, rules), n_clusters)


def _fit(
    embedding: np.ndarray, tree: MergeTree, fine: np.ndarray, n_clusters: int, rules: Sequence[_Rule]
) -> tuple[LinearHead, np.ndarray]:
    """Fit a head by the first rule that assigns cells to all clusters; also returns the sizes of the clusters."""
    head = LinearHead(n_clusters, embedding.shape[1])
    if n_clusters == 1:
        return head, np.array([len(fine)])
    labels = cut_cells(tree, fine, n_clusters)
    cluster_of_fine = np.empty(tree.n_fine, dtype=np.int64)
    cluster_of_fine[fine] = labels
    targets = tree.neighbors @ np.eye(n_clusters, dtype=np.float32)[cluster_of_fine]
    center = embedding.mean(axis=0, dtype=np.float64)
    scale = float(np.sqrt(np.mean((embedding - center) ** 2))) or 1.0
    # in an order that does not depend on that of the cells
    order = canonical_order(embedding)[np.random.default_rng(0).permutation(len(embedding))]
    rows = order[rows_with_each_label(labels[order], FITTED_CELLS, _LEAST_CELLS)]
    fitted = (embedding[rows] - center) / scale
    with one_thread():
        for fit in rules:
            weight, bias = fit(fitted, labels[rows], targets[fine[rows]])
            logits = (embedding - center) @ (weight.T / scale) + bias
            sizes = np.bincount(logits.argmax(axis=1), minlength=n_clusters)
            if sizes.all():
                break
    weight = weight / scale
    head.weight.copy_(torch.from_numpy(weight))
    head.bias.copy_(torch.from_numpy(bias - weight @ center))
    return head, sizes


def _sizes(head: LinearHead, embedding: np.ndarray) -> np.ndarray:
    """Number of cells that a head assigns to each cluster."""
    logits = embedding @ head.weight.numpy().T + head.bias.numpy()
    return np.bincount(logits.argmax(axis=1), minlength=len(head.bias))


def _largest(head: LinearHead, sizes: np.ndarray, n_clusters: int) -> LinearHead:
    """The head with the largest clusters only, by their number of cells, and without clusters that have no cells."""
    order = np.argsort(-sizes, kind="stable")[: min(n_clusters, np.count_nonzero(sizes))]
    head.weight, head.bias = head.weight[order], head.bias[order]
    return head


def _logistic(cells: np.ndarray, labels: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Penalised multinomial logistic regression on probabilities, which that of scikit-learn does not take."""
    n_cells, n_dims = cells.shape
    n_clusters = targets.shape[1]
    # single precision is twice as fast
    cells, targets = cells.astype(np.float32), targets.astype(np.float32)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[n_clusters:].reshape(n_clusters, n_dims), flat[:n_clusters]
        log_q = log_softmax(cells @ weight.T.astype(np.float32) + bias.astype(np.float32), axis=1)
        residual = np.exp(log_q) - targets
        slope = (residual.T @ cells + weight) / n_cells
        value = (0.5 * np.sum(weight**2) - np.sum(targets * log_q, dtype=np.float64)) / n_cells
        return value, np.concatenate((residual.sum(axis=0, dtype=np.float64) / n_cells, slope.ravel()))

    start = np.zeros(n_clusters * (n_dims + 1))
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=_OPTIMISER).x
    return flat[n_clusters:].reshape(n_clusters, n_dims), flat[:n_clusters]


def _discriminant(
    cells: np.ndarray, labels: np.ndarray, targets: np.ndarray, *, equal_weights: bool = True
) -> tuple[np.ndarray, np.ndarray]:
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
