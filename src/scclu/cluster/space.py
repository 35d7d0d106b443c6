"""Space in which clusters are compared: the covariance within clusters is made spherical."""

from __future__ import annotations

import numpy as np

_SHRINKAGE = 0.1


def cluster_means(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of each cluster, ``(n_clusters, n_dims)`` float64; the labels are 0 to n_clusters - 1."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return np.add.reduceat(points[order], starts, axis=0, dtype=np.float64) / sizes[:, None]


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
    residual = np.asarray(points - cluster_means(points, labels).astype(points.dtype)[labels], dtype=np.float64)
    covariance = residual.T @ residual / len(points)
    n_dims = len(covariance)
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
