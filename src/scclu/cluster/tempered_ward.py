"""Clustering into clusters of very different sizes: over-clustering, then merging with a tempered Ward cost."""

from __future__ import annotations

import numpy as np
from numba import njit

from scclu.cluster.kmeans import kmeans

__all__ = ["merge_clusters", "tempered_ward"]


def merge_clusters(embedding: np.ndarray, labels: np.ndarray, n_clusters: int, *, temper: float = 0.7) -> np.ndarray:
    r"""Merge fine clusters pairwise, cheapest first, until ``n_clusters`` are left.

    The cost of a pair is

    .. math:: \|c_i - c_j\|^2 \left(\frac{n_i n_j}{n_i + n_j}\right)^\tau

    With :math:`\tau = 1` this is Ward's, the loss of K-means, which would rather cut a dominant type in two than keep a
    rare one; with :math:`\tau = 0` it is centroid linkage, which leaves outliers as clusters.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    labels
        Fine labels of shape (N,).
    n_clusters
        Number of clusters; the result has fewer if there are fewer fine labels.
    temper
        :math:`\tau` in [0, 1].

    Returns
    -------
    Integer labels of shape (N,).
    """
    if not 0.0 <= temper <= 1.0:
        raise ValueError(f"temper must be in [0, 1], but {temper} was passed.")
    embedding = np.asarray(embedding, dtype=np.float64)
    _, fine, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    n_fine, size = len(sizes), sizes.astype(np.float64)
    centroid = np.zeros((n_fine, embedding.shape[1]))
    np.add.at(centroid, fine, embedding)
    centroid /= size[:, None]
    group = _merge(centroid, size, n_clusters, float(temper))
    return np.unique(group[fine], return_inverse=True)[1]


@njit(cache=True)
def _merge(centroid: np.ndarray, size: np.ndarray, n_clusters: int, temper: float) -> np.ndarray:  # pragma: no cover
    """Merge the pair of least cost until `n_clusters` are left; `centroid` and `size` are overwritten.

    Returns
    -------
    The cluster of each fine cluster, named by its first fine cluster.
    """
    n_fine, n_dims = centroid.shape
    group = np.arange(n_fine)
    cost = np.full((n_fine, n_fine), np.inf)
    gone = np.zeros(n_fine, dtype=np.bool_)
    # the merged cluster, whose costs are computed anew; all of them at first
    start, stop = 0, n_fine
    for left in range(n_fine, n_clusters, -1):
        for i in range(start, stop):
            for j in range(n_fine):
                if i == j or gone[j] or (left == n_fine and j < i):
                    continue
                square = 0.0
                for d in range(n_dims):
                    square += (centroid[i, d] - centroid[j, d]) ** 2
                value = square * (size[i] * size[j] / (size[i] + size[j])) ** temper
                cost[min(i, j), max(i, j)] = value
        best, first, second = np.inf, 0, 0
        for i in range(n_fine):
            if gone[i]:
                continue
            for j in range(i + 1, n_fine):
                if not gone[j] and cost[i, j] < best:
                    best, first, second = cost[i, j], i, j
        if second == 0:  # no finite cost
            break
        total = size[first] + size[second]
        for d in range(n_dims):
            centroid[first, d] = (size[first] * centroid[first, d] + size[second] * centroid[second, d]) / total
        size[first] = total
        gone[second] = True
        for i in range(n_fine):
            if group[i] == second:
                group[i] = first
        start, stop = first, first + 1
    return group


def tempered_ward(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    over: float = 2.0,
    temper: float = 0.7,
    n_init: int = 5,
    random_state: int = 0,
) -> np.ndarray:
    """K-means into ``over * n_clusters`` fine clusters, merged by :func:`merge_clusters`.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    n_clusters
        Number of clusters, K.
    over
        Number of fine clusters per cluster.
    temper
        See :func:`merge_clusters`.
    n_init, random_state
        Number of starts of K-means, and its random seed.

    Returns
    -------
    Integer labels of shape (N,).
    """
    n_fine = min(max(n_clusters, round(over * n_clusters)), len(embedding))
    fine, _ = kmeans(np.asarray(embedding), n_fine, random_state=random_state, n_init=n_init)
    return merge_clusters(embedding, fine, n_clusters, temper=temper)
