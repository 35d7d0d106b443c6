"""Space in which clusters are compared: the covariance within clusters made spherical."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["refine", "whiten"]

_SHRINKAGE = 0.1


def whiten(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Linear map of the points after which the covariance within clusters is near the identity.

    Parameters
    ----------
    points
        Array of shape (N, d).
    labels
        Cluster of each row, 0 to K - 1.

    Returns
    -------
    float64 array of shape (N, d). The covariance is shrunk by a tenth to a multiple of the identity.
    """
    points = np.asarray(points, dtype=np.float64)
    residual = points - _means(points, labels)[labels]
    covariance = residual.T @ residual / len(points)
    n_dims = len(covariance)
    # where there is no spread within clusters at all, the scale does not matter
    scale = np.trace(covariance) / n_dims or 1.0
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * scale * np.eye(n_dims)
    return points @ np.linalg.cholesky(np.linalg.inv(covariance))


def _means(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of each cluster, (K, d)."""
    order = np.argsort(labels, kind="stable")
    size = np.bincount(labels)
    start = np.concatenate(([0], np.cumsum(size)[:-1]))
    return np.add.reduceat(points[order], start, axis=0) / size[:, None]


def refine(
    representations: Sequence[np.ndarray], labels: np.ndarray, *, min_cluster_size: int = 1, n_rounds: int = 5
) -> np.ndarray:
    """Give each cell to the cluster that a linear discriminant prefers, a few times over.

    Parameters
    ----------
    representations
        Arrays of shape (N, d).
    labels
        Cluster of each cell, 0 to K - 1.
    min_cluster_size
        A round after which a cluster has fewer cells than this, and fewer than it had at first, is not made.
    n_rounds
        Rounds at most; it stops earlier where nothing changes.

    Returns
    -------
    Labels with the same number of clusters.
    """
    points = np.hstack([np.asarray(values, dtype=np.float64) for values in representations])
    n_clusters = int(labels.max()) + 1
    least = np.minimum(np.bincount(labels), max(min_cluster_size, 1))
    for _ in range(n_rounds if n_clusters > 1 else 0):
        white = whiten(points, labels)
        mean = _means(white, labels)
        prior = np.log(np.bincount(labels) / len(labels))
        new = (white @ mean.T - np.square(mean).sum(axis=1) / 2 + prior).argmax(axis=1)
        if (np.bincount(new, minlength=n_clusters) < least).any() or (new == labels).all():
            break
        labels = new
    return labels
