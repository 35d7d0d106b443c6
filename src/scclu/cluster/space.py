"""Space in which clusters are compared: the covariance within clusters is made spherical."""

from __future__ import annotations

import numpy as np

_SHRINKAGE = 0.1
# cells whose residuals are in memory at a time
_BLOCK = 2**16


def cluster_means(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of each cluster, ``(n_clusters, n_dims)`` float64; the labels are 0 to n_clusters - 1."""
    sums = np.column_stack([np.bincount(labels, values) for values in points.T])
    return sums / np.bincount(labels)[:, None]


def whitened(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Linear map of cells after which the covariance within clusters is close to the identity.

    Parameters
    ----------
    points
        ``(n_cells, n_dims)``.
    labels
        Cluster of each cell, 0 to n_clusters - 1.

    Returns
    -------
    ``(n_cells, n_dims)`` float32. The covariance is shrunk by a tenth towards a multiple of the identity.
    """
    means, n_dims = cluster_means(points, labels).astype(points.dtype), points.shape[1]
    covariance = np.zeros((n_dims, n_dims))
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        residual = np.asarray(points[rows] - means[labels[rows]], dtype=np.float64)
        covariance += residual.T @ residual
    covariance /= len(points)
    # without any variance within clusters, the scale does not matter
    scale = np.trace(covariance) / n_dims or 1.0
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * scale * np.eye(n_dims)
    return points @ np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)


def rows_with_each_label(labels: np.ndarray, n_rows: int, n_each: int) -> np.ndarray:
    """Positions of the first `n_rows` cells, and of the first `n_each` of each label, in ascending order.

    Parameters
    ----------
    labels
        Label of each cell, ``(n_cells,)`` int from 0, the cells in random order.
    n_rows, n_each
        Numbers of cells.
    """
    if len(labels) <= n_rows:
        return np.arange(len(labels))
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.flatnonzero((np.arange(len(labels)) < n_rows) | (rank < n_each))
